"""What the battery model makes of a pack: its word on what the rules found, and what it found by itself. Pure.

Asking is somebody else's business: `look` gives what the model should be asked, one cell at a time, and is sent the
answers. A cell's question is small, so that whoever waits behind it does not wait long.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.battery_events import CellFault, Feature
from agent.core.events import BatteryAdvice, Event, ModelReport
from agent.core.manifest import SequenceManifest
from agent.core.odds import join_confidence
from agent.detect.cell_advice import advise
from agent.detect.cell_days import CellDays
from agent.detect.cell_features import DAYS_MIN, FEATURES, GROUPS, STEPS, CellHistory, kept_of, look_back, told, without
from agent.detect.cell_figures import Values, spread_of
from agent.detect.cell_verdicts import note
from agent.detect.drift import psi

Float32s = npt.NDArray[np.float32]
Asking = Generator[Float32s, Float32s, list[Event]]
"""Gives what the model should be asked, is sent what it said, and ends with events."""

_HELD_MAX: Final = 16
_NAMED_MAX: Final = 2  # a joint shows in two cells; more are no outliers but a pack that the model does not know
_APART_SIGMAS: Final = 3.0  # of the pack's own spread: what lies within is nobody's news, whatever a model says
_BACK_MAX: Final = 30  # days of use over which it is asked since when
_NO_WORD: Final = 0.5
_MONTH_DAYS: Final = 30
_DRIFT_DAYS_MIN: Final = 7


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the model says of one cell: how likely it is at fault at all, and by which fault."""

    cell: int
    sick: float
    fault: CellFault


class CellScores:
    """Looks at a pack after each day of use. Rules' advice that days have shown waits for it; urgent advice never.

    The model takes no advice back. What it finds alone is advice and no more, of a cell that nobody has named.
    """

    def __init__(self, manifest: SequenceManifest) -> None:
        self.manifest = manifest
        self._faults = [manifest.kinds.index(fault) for fault in manifest.faults]
        self._held: list[BatteryAdvice] = []
        self._named: set[int] = set()
        self._looked_at: tuple[int, int] | None = None

    @staticmethod
    def knows(manifest: SequenceManifest) -> bool:
        """Whether the model's features are those that cells are told by, and its faults those that advice names."""
        names = tuple(feature.name for feature in manifest.features)
        known = names == FEATURES and manifest.steps == STEPS
        return known and set(manifest.faults) <= {"weak_cell", "contact_resistance", "micro_short"}

    def begin(self, days: CellDays | None) -> None:
        """What is kept already has been looked at at an earlier boot."""
        self._looked_at = _state(days)

    def hold(self, event: Event) -> bool:
        """Whether the event waits for the model; of a cell that the rules named, it is remembered."""
        if not isinstance(event, BatteryAdvice):
            return False
        if event.cell is None:
            self._named.clear()  # another pack
            return False
        self._named.add(event.cell)
        if event.level == "stop_now" or event.since_days < 1 or len(self._held) == _HELD_MAX:
            return False  # what began today the model cannot know
        self._held.append(event)
        return True

    def is_due(self, days: CellDays | None) -> bool:
        """Whether a day of use has ended, or advice waits."""
        return bool(self._held) or _state(days) != self._looked_at

    def release(self) -> list[Event]:
        """What waited, as the rules told it: the model does not speak."""
        held, self._held = self._held, []
        return list(held)

    def look(self, days: CellDays | None, t_ns: int) -> Asking:
        """Ask about every cell. Closing it early loses nothing: `release` has what waited."""
        state = _state(days)
        history = None if days is None else look_back(kept_of(days), newest=STEPS + _BACK_MAX)
        if days is None or history is None or len(history.numbers) < DAYS_MIN:
            self._looked_at = state
            return self.release()
        found: list[_Finding] = []
        for cell in range(history.cells):
            finding = yield from self._ask(history, cell)
            found.append(finding)
        events: list[Event] = [_with_model(event, found) for event in self._held]
        self._held = []
        if state == self._looked_at:
            return events
        over = [finding for finding in found if finding.sick >= self.manifest.threshold]
        for finding in over if len(over) <= _NAMED_MAX else []:
            if days.told[:, finding.cell].any() or finding.cell in self._named:
                continue
            if not _is_apart(history, finding.cell, self.manifest.persistence):
                continue
            run = yield from self._run(history, finding.cell)
            if run < self.manifest.persistence:
                continue
            group = yield from self._explain(history, finding)
            today = days.open.number if days.open is not None else int(history.numbers[-1])
            since_days = float(today - int(history.numbers[-run]))
            events.append(_advice(t_ns, history, finding, group, since_days))
            note(days, finding.fault, finding.cell, "advice")
            self._named.add(finding.cell)
        self._looked_at = state
        return events + self._report(t_ns, history, over=len(over))

    def _ask(self, history: CellHistory, cell: int, *, before: int = 0) -> Generator[Float32s, Float32s, _Finding]:
        steps = history.steps(cell, before=before)
        return (yield from self._ask_about(cell, np.zeros(self.manifest.input_shape[1:]) if steps is None else steps))

    def _ask_about(self, cell: int, steps: Values) -> Generator[Float32s, Float32s, _Finding]:
        said = yield self.manifest.scaled(steps)
        shares = said[0, self._faults].astype(np.float64)
        fault = self.manifest.faults[int(shares.argmax())]
        return _Finding(cell, float(min(shares.sum(), 1.0)), fault)  # type: ignore[arg-type]  # `knows` has checked it

    def _run(self, history: CellHistory, cell: int) -> Generator[Float32s, Float32s, int]:
        """On how many days of use in a row the model would have said so, knowing at each what was known by then."""
        days = 1
        while days <= min(_BACK_MAX, len(history.numbers) - DAYS_MIN):
            then = yield from self._ask(history, cell, before=days)
            if then.sick < self.manifest.threshold:
                break
            days += 1
        return days

    def _explain(self, history: CellHistory, finding: _Finding) -> Generator[Float32s, Float32s, Feature]:
        """The group of features without which, the median cell's in its place, the model is least sure."""
        steps = history.steps(finding.cell)
        if steps is None:
            return "rest_voltage"
        left: dict[Feature, float] = {}
        for group in GROUPS:
            left[group] = (yield from self._ask_about(finding.cell, without(steps, group))).sick
        return min(left, key=lambda group: left[group])

    def _report(self, t_ns: int, history: CellHistory, *, over: int) -> list[Event]:
        """Once a month of the calendar: whether the pack's features are still like those of the training."""
        numbers = history.numbers
        if len(numbers) < _DRIFT_DAYS_MIN or numbers[-1] // _MONTH_DAYS == numbers[-2] // _MONTH_DAYS:
            return []
        found = drift_of(self.manifest, history)
        drifted = [name for name, index in found.items() if index >= self.manifest.drift_psi]
        if not drifted:
            return []
        largest = round(max(found.values()), 3)
        return [
            ModelReport(
                t_ns=t_ns,
                model=self.manifest.id,
                windows=history.cells,
                over=over,
                drifted=drifted,
                psi_max=largest,
            )
        ]


def drift_of(manifest: SequenceManifest, history: CellHistory) -> dict[str, float]:
    """Population stability index by feature, over the cells of the last month of the calendar."""
    recent = history.features[history.numbers > history.numbers[-1] - _MONTH_DAYS]
    found = {}
    for feature in manifest.features:
        values = told(recent, feature.name)
        if feature.shares and len(values):
            bins = np.searchsorted(feature.edges, values - 1e-6)  # an edge itself stays below
            seen = np.bincount(bins, minlength=len(feature.shares)) / len(values)
            found[feature.name] = psi(seen, np.array(feature.shares))
    return found


def _is_apart(history: CellHistory, cell: int, days: int) -> bool:
    """Whether the cell stood out in anything on one of the newest days."""
    recent = history.features[-days:, cell]
    low = recent[:, [FEATURES.index("charge_sigmas"), FEATURES.index("moved_sigmas")]].min()
    return bool(low <= -_APART_SIGMAS or recent[:, FEATURES.index("ohm_sigmas")].max() >= _APART_SIGMAS)


def _state(days: CellDays | None) -> tuple[int, int] | None:
    """Changes with every day that is kept, and with the pack."""
    return None if days is None or not len(days.numbers) else (days.cells, int(days.numbers[-1]))


def _with_model(event: BatteryAdvice, found: Sequence[_Finding]) -> BatteryAdvice:
    """The advice with the model's word on its cell joined to the rules'."""
    if event.cell is None or event.cell >= len(found):
        return event
    sick = found[event.cell].sick
    joined = round(join_confidence(event.confidence, sick), 2)
    return msgspec.structs.replace(event, confidence=joined, confidence_model=round(sick, 3))


def _advice(t_ns: int, history: CellHistory, finding: _Finding, group: Feature, since_days: float) -> BatteryAdvice:
    """The model's own: which cell, in what, since when; half as sure as the model, since the rules say nothing."""
    cell = finding.cell
    value, spread, unit = _figure(history, group)
    event = advise(
        t_ns,
        level="advice",
        fault=finding.fault,
        cell=cell,
        feature=group,
        value=float(value[cell]),
        spread=spread,
        unit=unit,
        since_days=since_days,
        confidence=round(join_confidence(_NO_WORD, finding.sick), 2),
    )
    return msgspec.structs.replace(event, confidence_rules=None, confidence_model=round(finding.sick, 3))


def _figure(history: CellHistory, group: Feature) -> tuple[Values, float, str]:
    """The newest figures of all cells that a person would look at, their spread and unit."""
    value, unit = {
        "rest_voltage": (_newest(history.volt), "V"),
        "resistance": (_newest(history.ohm), "Ohm"),
        "self_discharge": (-history.features[-1, :, FEATURES.index("charge_per_day")] / 24, "percent/h"),
    }[group]
    return value, spread_of(value), unit


def _newest(by_day: Values) -> Values:
    """The last day on which anything is known; zeros where there is none."""
    known = by_day[~np.isnan(by_day).all(axis=1)]
    return np.nan_to_num(known[-1]) if len(known) else np.zeros(by_day.shape[1])
