"""What the battery model is worth on the sweep's packs: alone, and beside the rules."""

from collections.abc import Sequence
from typing import Final

from agent.core.events import BatteryAdvice
from simulators.packs import HEALTHY, SENSORS, Kind
from tests.eval.battery_sweep import LEVELS, Story, auroc, level_figures

_ACUTE: Final[tuple[Kind, ...]] = ("micro_short_fast", "coolant_loss")


def model_figures(stories: Sequence[Story], threshold: float) -> dict[str, object]:
    """Alone by how sure the model was, joined to the rules by what is told.

    of_days: without the faults that begin and end within a day, which it never sees.
    """
    bad = [s for s in stories if s.life.kind not in (*HEALTHY, *SENSORS)]
    good = [s for s in stories if s.life.kind in HEALTHY]
    slow = [s for s in bad if s.life.kind not in _ACUTE]
    healthy = [s.sure for s in good]
    joined = ([s.score(s.joined) for s in bad], [s.score(s.joined) for s in good])
    heard = [e for s in stories for e in s.joined if isinstance(e, BatteryAdvice) and e.confidence_model is not None]
    only = [(s, cell) for s in stories for cell in _named_alone(s)]
    return {
        "model_alone": {
            "auroc": auroc([s.sure for s in bad], healthy),
            "auroc_of_days": auroc([s.sure for s in slow], healthy),
            "levels": [level_figures("threshold", threshold, [s.sure for s in bad], healthy)],
            "of_days": [level_figures("threshold", threshold, [s.sure for s in slow], healthy)],
            "sensor_packs_over": sum(s.sure >= threshold for s in stories if s.life.kind in SENSORS),
            "cells_only_it_named": len(only),
            "of_these_at_fault": sum(s.life.kind not in HEALTHY and cell == s.lived.cell for s, cell in only),
        },
        "rules_and_model": {
            "auroc": auroc(*joined),
            "levels": [level_figures(name, level, *joined) for name, level in LEVELS.items()],
            "advice_with_its_word": len(heard),
        },
    }


def _named_alone(story: Story) -> set[int]:
    """Cells that the model named and the rules never did."""
    told = [e for e in story.joined if isinstance(e, BatteryAdvice) and e.confidence_rules is None]
    return {event.cell for event in told if event.cell is not None and event.cell not in story.named()}
