"""Simulated packs for months through the agent's own path: what is warned of, named, and falsely alarmed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from agent.core import vss
from agent.core.battery_events import CellFault
from agent.core.config import BatteryLimits, Detect
from agent.core.events import BatteryAdvice, BatteryAlarm, Event, PackSensorFault
from agent.core.ports import SampleSource
from agent.core.signals import Samples, SignalSpec
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.packs import CELLS, DAY_S, HEALTHY, PROBES, RUNAWAYS, SENSORS, Kind, Life, Lived, live
from tests.eval.battery_model import Listener
from tests.eval.statistics import poisson_upper

NS: Final = 1_000_000_000
_REST_S: Final = 0.7 * DAY_S  # from the middle of a day's rests to when the next one judges it
PREVALENCE: Final = 0.0005  # of vehicles: one fleet's 0.038 to 0.075 % (docs/sources.md 4)

_SIZES: Final[Mapping[Kind, tuple[int, int, float]]] = {  # packs, days, seconds between rows
    "healthy": (24, 28, 30.0),
    "aged": (8, 28, 30.0),
    "cold": (6, 28, 30.0),
    "fast_charging": (6, 28, 30.0),
    "towed": (3, 10, 30.0),
    "weak_cell": (8, 24, 30.0),
    "contact_resistance": (8, 14, 30.0),
    "micro_short": (8, 70, 30.0),
    "micro_short_fast": (12, 1, 10.0),
    "coolant_loss": (12, 1, 10.0),
    "volt_stuck": (8, 8, 30.0),
    "volt_drift": (8, 24, 30.0),
    "volt_offset": (8, 14, 30.0),
    "probe_stuck": (8, 8, 30.0),
    "probe_offset": (8, 8, 30.0),
    "contact_wear": (8, 36, 30.0),
}
_FAULTS: Final[Mapping[Kind, CellFault]] = {
    "weak_cell": "weak_cell",
    "contact_resistance": "contact_resistance",
    "contact_wear": "contact_resistance",
    "micro_short": "micro_short",
    "micro_short_fast": "micro_short",
}
LEVELS: Final = {"advice": 1, "service_soon": 2, "stop_now": 3}


@dataclass(slots=True)
class Story:
    """One life and what was told of it."""

    life: Life
    lived: Lived = field(default_factory=Lived)
    events: list[Event] = field(default_factory=list)
    joined: list[Event] = field(default_factory=list)  # the same with the model's word, and what it said alone
    sure: float = 0.0  # how sure the model was of the cell that it was surest of
    days: float = 0.0

    def score(self, events: Sequence[Event] | None = None) -> float:
        """Highest level told by the rules, or in the events given, and how sure: what a fleet's desk would sort by."""
        found = [0.0]
        for event in self.events if events is None else events:
            if isinstance(event, BatteryAdvice) and event.cell is not None:
                found.append(LEVELS[event.level] + 0.99 * event.confidence)
            elif _is_of_cells(event):
                found.append(min(event.level, 3) + 0.5)  # type: ignore[attr-defined]
        return max(found)

    def stops(self) -> int:
        """Times the driver was told to stop now."""
        return sum(_is_stop(event) for event in self.events)

    def named(self) -> set[int]:
        """Cells named in advice."""
        return {e.cell for e in self.events if isinstance(e, BatteryAdvice) and e.cell is not None}

    def faults(self) -> set[str]:
        """What advice called the cell at fault."""
        return {e.fault for e in self.events if isinstance(e, BatteryAdvice) and e.cell == self.lived.cell}

    def warned_s(self) -> float | None:
        """From the first true warning after the fault began to the runaway; None where there was none."""
        if self.lived.runaway_s is None or self.lived.fault_s is None:
            return None
        told = [
            event.t_ns / NS
            for event in self.events
            if (isinstance(event, BatteryAdvice) or _is_of_cells(event)) and self.lived.fault_s <= event.t_ns / NS
        ]
        return self.lived.runaway_s - min(told) if told else None

    def lie_named(self) -> bool:
        """Whether the sensor at fault, and no cell, was named."""
        cell = self.lived.cell
        path = vss.cell_temperature(cell * PROBES // CELLS) if "probe" in self.life.kind else vss.cell_voltage(cell)
        return not self.named() and any(isinstance(e, PackSensorFault) and e.signal == path for e in self.events)


class _Source:
    """What the pipeline needs to know of a simulated pack."""

    name = "pack"

    def __init__(self, specs: Sequence[SignalSpec]) -> None:
        self.specs = specs

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def counters(self) -> Mapping[str, int]:
        """Nothing to count."""
        return {}

    async def read_batch(self) -> Samples:
        """Stretches are handed over by hand."""
        raise NotImplementedError


def tell(life: Life, listener: Listener | None = None) -> Story:
    """Let a pack live and listen to the agent, and beside it to the model."""
    story = Story(life)
    source: SampleSource = _Source(life.specs)

    def note(events: Sequence[Event]) -> None:
        story.events.extend(events)
        story.joined.extend(events if listener is None else listener.hold(events))

    pipeline = Pipeline(
        load_profile("generic"),
        [],
        limits=Detect(battery=BatteryLimits(capacity_ah=100.0)),
        sample_sources=[source],
        on_events=note,
        on_window=lambda _: None,
        epoch_ns=0,
    )
    for samples in live(life, story.lived):
        pipeline.on_samples(source.name, samples)
        story.days = float(samples.t_ns[-1]) / NS / DAY_S
        if listener is not None:
            story.joined.extend(listener.after(pipeline, int(samples.t_ns[-1])))
    pipeline.finish()
    story.sure = 0.0 if listener is None else listener.level()
    return story


def sweep(*, scale: float = 1.0, model: bool = True, progress: Callable[[str], None] = lambda _: None) -> list[Story]:
    """All kinds, each with its own seeds; scale: more or fewer packs of each."""
    stories = []
    for number, (kind, (packs, days, step_s)) in enumerate(_SIZES.items()):
        for seed in range(max(1, round(packs * scale))):
            listener = Listener(apart=True) if model else None
            stories.append(tell(Life(kind, 1000 * number + seed, days, step_s), listener))
        progress(kind)
    return stories


def figures(stories: Sequence[Story]) -> dict[str, object]:
    """The sweep's figures; shares are of packs."""
    healthy = [s for s in stories if s.life.kind in HEALTHY]
    days = sum(story.days for story in healthy)
    stops = sum(story.stops() for story in healthy)
    burnt = [s for s in stories if s.life.kind in RUNAWAYS and s.lived.runaway_s is not None]
    slow = [s for s in burnt if s.life.kind == "micro_short"]
    sensors = [s for s in stories if s.life.kind in SENSORS]
    scores = ([s.score() for s in stories if s.life.kind not in (*HEALTHY, *SENSORS)], [s.score() for s in healthy])
    return {
        "healthy_vehicle_days": round(days),
        "false_stop_now": stops,
        "false_stop_now_per_1000_days": round(1000 * stops / days, 2) if days else None,
        "false_stop_now_upper_95": round(1000 * poisson_upper(stops) / days, 2) if days else None,
        "healthy_packs": len(healthy),
        "healthy_packs_with_a_named_cell": sum(bool(s.named()) for s in healthy),
        "runaways": len(burnt),
        "runaways_warned_5_min": sum((s.warned_s() or 0) >= 300 for s in burnt),
        "slow_shorts": len(slow),
        "slow_shorts_warned_10_days": sum((s.warned_s() or 0) >= 10 * DAY_S for s in slow),
        "sensors": len(sensors),
        "sensors_named": sum(s.lie_named() for s in sensors),
        **{
            kind: f"{sum(s.lived.cell in s.named() for s in stories if s.life.kind == kind)} named, "
            f"{sum(fault in s.faults() for s in stories if s.life.kind == kind)} by its kind, "
            f"of {sum(s.life.kind == kind for s in stories)}"
            for kind, fault in _FAULTS.items()
        },
        **leak_figures(slow),
        "sensors_by_kind": {
            kind: f"{sum(s.lie_named() for s in sensors if s.life.kind == kind)} of "
            f"{sum(s.life.kind == kind for s in sensors)}"
            for kind in SENSORS
        },
        "auroc": auroc(*scores),
        "at_prevalence": PREVALENCE,
        "levels": [level_figures(name, level, *scores) for name, level in LEVELS.items()],
    }


def leak_figures(stories: Sequence[Story]) -> dict[str, object]:
    """Leaks of slow shorts as told from days of rest, beside what the cell did lose meanwhile, and what leaked.

    Balancing takes charge from all other cells, and so hides a part of the leak from whoever sees voltages alone.
    """
    told = [
        (event, story.lived, event.t_ns / NS - event.since_days * DAY_S - _REST_S, event.t_ns / NS - _REST_S)
        for story in stories
        for event in story.events
        if isinstance(event, BatteryAdvice) and event.cell == story.lived.cell and event.low is not None
    ]
    held = sum(
        (event.low or 0.0) <= lived.mean_loss_a(since_s, until_s) <= (event.high or 0.0)
        for event, lived, since_s, until_s in told
    )
    shares = [event.value / lived.mean_leak_a(since_s, until_s) for event, lived, since_s, until_s in told]
    return {
        "leaks_told": len(told),
        "losses_within_interval": held,
        "median_share_of_the_leak": round(median(shares), 2) if shares else None,
    }


def auroc(bad: Sequence[float], good: Sequence[float]) -> float | None:
    """Chance that a faulty pack scores above a healthy one; ties count half."""
    if not bad or not good:
        return None
    won = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    return round(won / len(bad) / len(good), 4)


def level_figures(name: str, level: float, bad: Sequence[float], good: Sequence[float]) -> dict[str, object]:
    """Acting from this level on: shares found and falsely accused, precision at the prevalence, and the cost curve.

    precision_low takes the 95 % upper bound of the false share. cost: per 10,000 vehicles in units of one visit to the
    workshop, by what a missed fault costs in the same units.
    """
    found = sum(score >= level for score in bad) / max(1, len(bad))
    accused = sum(score >= level for score in good)
    false, false_upper = accused / max(1, len(good)), min(1.0, poisson_upper(accused) / max(1, len(good)))
    return {
        "from": name,
        "found": round(found, 3),
        "false": round(false, 4),
        "false_upper_95": round(false_upper, 4),
        "precision": _precision(found, false),
        "precision_low": _precision(found, false_upper),
        "cost": {
            str(cost): round(1e4 * ((1 - PREVALENCE) * false + PREVALENCE * (1 - found) * cost), 1)
            for cost in (10, 100, 1000, 10_000)
        },
    }


def _precision(found: float, false: float) -> float | None:
    told = PREVALENCE * found + (1 - PREVALENCE) * false
    return round(PREVALENCE * found / told, 4) if told else None


def _is_of_cells(event: Event) -> bool:
    """An alarm that something is wrong with cells; an empty battery is not wrong."""
    return isinstance(event, BatteryAlarm) and not event.cleared and not event.alarm.startswith("soc")


def _is_stop(event: Event) -> bool:
    if isinstance(event, BatteryAdvice):
        return event.level == "stop_now"
    return isinstance(event, BatteryAlarm) and event.level >= 3 and not event.cleared
