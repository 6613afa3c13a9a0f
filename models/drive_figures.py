"""How well the drive model finds faults and leaves healthy drives alone, for its card."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.model_card import Metric
from models.collision_figures import auroc
from models.drive_data import Told
from models.drive_faults import FAULTS, Fault

Floats = npt.NDArray[np.float64]
Levels = Sequence[tuple[Told, Floats]]

PREVALENCE: Final = 0.01
NEVER: Final = -99.0
"""Log-odds of what is not even asked."""


def lasting(log_odds: npt.NDArray[np.float32], windows: int) -> Floats:
    """The highest level that so many windows in a row reach, float64[outputs]; far below all where there are fewer."""
    if len(log_odds) < windows:
        return np.full(log_odds.shape[1], NEVER)
    rows = np.lib.stride_tricks.sliding_window_view(log_odds, windows, axis=0)
    return np.asarray(rows.min(axis=2).max(axis=0), np.float64)


def count(healthy: Sequence[Floats], shift: Floats) -> int:
    """How many of the healthy drives alarm."""
    return sum(bool((level >= shift).any()) for level in healthy)


def measure(healthy: Sequence[Floats], broken: Levels, shift: Floats, *, source: str) -> list[Metric]:
    """A line for each output: AUROC, what is found at the threshold, precision if 1 % of drives had this fault."""
    found = []
    for place, fault in enumerate(FAULTS):
        levels = np.array([level[place] for told, level in broken if told.shown[:, place].any()])
        if not len(levels):
            continue
        good = np.array([level[place] for level in healthy])
        both = np.concatenate([levels, good])
        area = auroc(both, np.arange(len(both)) < len(levels))
        hits, false = int((levels >= shift[place]).sum()), int((good >= shift[place]).sum())
        recall = hits / len(levels)
        high = min(1.0, (false + 3) / len(good))  # of none the 95 % upper bound is 3 in n
        precision = f"{_precision(recall, false / len(good)):.2f}, at least {_precision(recall, high):.2f}"
        found.append(
            Metric(
                what=f"{name(fault)}, {source}",
                value=f"found in {hits} of {len(levels)} drives in which it shows; AUROC {area:.3f}; precision at 1 % "
                f"prevalence {precision} ({false} of {len(good)} healthy drives)",
            )
        )
    return found


def name(fault: Fault) -> str:
    """What a person calls an output."""
    signal = fault.path.rsplit(".", 1)[-1] if fault.name != "coolant" else "coolant"
    return f"{fault.fault} ({signal})" if fault.fault == "sensor_implausible" else fault.fault


def _precision(found: float, false: float) -> float:
    told = PREVALENCE * found + (1 - PREVALENCE) * false
    return PREVALENCE * found / told if told else 0.0
