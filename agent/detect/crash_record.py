"""Records of crashes, in fragments: what is known goes to the disk at once, for the power may fail in the next instant.

The collision detector opens a record at the sample that passes the trigger, and says later whether it was a crash.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agent.core.config import Detect
from agent.core.crash import IMU_PATHS
from agent.core.crash_columns import Columns
from agent.core.events import CrashRecord, Event
from agent.core.signals import SignalWindow
from agent.detect.crash_elements import (
    LONGEST_NS,
    Elements,
    Impact,
    Trigger,
    elements_after,
    elements_before,
    impact_elements,
)
from agent.detect.crash_plan import LATE_NS, SIGNALS_AFTER_NS, Part, Step, make_plan
from agent.detect.crash_samples import RECORDED, between, imu_between, pieces, signals_between
from agent.detect.pulse import LONG_AGO_NS, MS
from agent.detect.streams import NS

OPEN_MAX: Final = 16
"""Records under way at once: their spans overlap. Beyond, the oldest ends as it is."""

_GAP_NS: Final = 500 * MS
_HOUR_NS: Final = 3600 * NS
_NO_COLUMNS: Final = Columns([], [], [], b"")


@dataclass(slots=True)
class _Record:
    """One record under way. number: 0 while it is not begun. crash: None while it is not sure, from sure_ns on it is.

    over_ns: it ends there.
    """

    impact: Impact
    since_previous_s: float | None
    number: int = 0
    fragment: int = 0
    plan: list[Step] | None = None
    crash: bool | None = None
    sure_ns: int | None = None
    over_ns: int | None = None
    elements: Elements = field(default_factory=dict)
    facts: Elements = field(default_factory=dict)


class CrashRecords:
    """A detector of nothing: it writes down what CollisionDetector, which comes before it, found.

    -15 to 15 s around T0 of the IMU at its full rate and -20 to 5 s of other signals, from the history; every fragment
    is a function of the samples alone, and when it is due one of their times, so windows do not matter. At each window
    as much is told as is due: the trigger with its own sample, the table with the first one from T0 + 250 ms on, then
    the second before T0, the rest of what was before within a second, and each second after T0 as it is over.
    Pulses that are no crash count towards records_per_hour; beyond it a record begins when it is sure to be a crash.
    """

    inputs: tuple[str, ...] = (*IMU_PATHS, *RECORDED)

    def __init__(self, limits: Detect) -> None:
        self._limits = limits.collision
        self._records: list[_Record] = []
        self._counts = {"collision": 0, "rollover": 0}
        self._withdrawn: list[int] = []  # T0 of the last hour's
        self._previous_ns = LONG_AGO_NS
        self._heard_ns = LONG_AGO_NS  # the IMU's newest sample
        self._window: SignalWindow | None = None

    def configure(self, limits: Detect) -> None:
        """Swap the limits."""
        self._limits = limits.collision

    def open(self, impact: Impact) -> None:
        """A trigger was passed. Of each T0 once; close must follow."""
        t0_ns = impact.t0_ns
        self._withdrawn = [t for t in self._withdrawn if t0_ns - t < _HOUR_NS]
        under_way = [record for record in self._records if record.over_ns is None]
        if len(under_way) >= OPEN_MAX:
            under_way[0].over_ns = impact.trigger_ns
            under_way[0].facts["incomplete_because"] = "too many records at once"
        since_ns = t0_ns - self._previous_ns
        follows = impact.trigger == "collision" and since_ns < _HOUR_NS
        record = _Record(impact, round(since_ns / NS, 3) if follows else None)
        if len(self._withdrawn) < self._limits.records_per_hour:
            self._begin(record)
        self._records.append(record)

    def close(
        self,
        t0_ns: int,
        at_ns: int,
        *,
        crash: bool,
        trigger: Trigger = "collision",
        event: int | None = None,
        since_first_s: float | None = None,
    ) -> int:
        """Say whether it was a crash, and the how manieth impact of it; the record's number, 0 for none.

        at_ns: how far the decision looked. Not before the trigger; and a sample from it on was there, or none will be.
        """
        key = (trigger, t0_ns)
        record = next((r for r in self._records if (r.impact.trigger, r.impact.t0_ns) == key), None)
        if record is None:
            return 0
        record.crash = crash
        if crash:
            if not record.number:
                self._begin(record)
            if trigger == "collision":
                self._previous_ns = t0_ns
            record.facts |= {"events": event, "since_first_s": since_first_s}
            record.sure_ns = at_ns
        elif record.over_ns is None:
            record.over_ns = at_ns
            self._withdrawn += [t0_ns] if record.number else []
        return record.number if crash else 0

    def update(self, window: SignalWindow) -> list[Event]:
        """Tell what is due."""
        self._window = window
        newest = window.new(IMU_PATHS[0])
        if len(newest):
            self._heard_ns = int(newest.t_ns[-1])
        if not self._records:
            return []
        events = [event for record in self._records for event in self._advance(record, window)]
        self._records = [record for record in self._records if record.plan != []]
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """End every record with what there is up to t_ns."""
        events: list[Event] = []
        for record in self._records:
            if record.over_ns is None:
                record.over_ns = max(t_ns, record.impact.trigger_ns)
                record.facts.setdefault("incomplete_because", "the data ended")
            self._heard_ns = max(t_ns, record.over_ns)
            if self._window is not None:
                events += self._advance(record, self._window)
        self._records = []
        return events

    def _begin(self, record: _Record) -> None:
        kind = record.impact.trigger
        self._counts[kind] += 1
        record.number = 2 * self._counts[kind] - (kind == "collision")

    def _advance(self, record: _Record, window: SignalWindow) -> Iterator[Event]:
        if not record.number:
            if record.crash is False:
                record.plan = []
            return
        if record.plan is None:
            record.plan = make_plan(record.impact, window)
        # While it is not sure to be a crash, nothing is told that a decision could still come before.
        reached_ns = self._heard_ns if record.crash is None else max(self._heard_ns, window.t_ns - LATE_NS)
        over = record.over_ns is not None and record.over_ns <= reached_ns
        due_ns = record.over_ns if over and record.over_ns is not None else reached_ns
        while record.plan and record.plan[0].due_ns <= due_ns:
            yield from self._tell(record, record.plan.pop(0), window)
        if over and record.plan:
            yield from self._cut(record, due_ns, window)

    def _cut(self, record: _Record, over_ns: int, window: SignalWindow) -> Iterator[Event]:
        """End it before its time: withdrawn, or with all that there is."""
        rest, record.plan = record.plan or [], []
        if record.crash is False:
            yield _fragment(record, "withdrawn", record.impact.t0_ns, over_ns)
            return
        for step in rest:
            if step.from_ns <= over_ns:
                yield from self._tell(record, step._replace(until_ns=min(step.until_ns, over_ns + 1)), window)

    def _tell(self, record: _Record, step: Step, window: SignalWindow) -> Iterator[Event]:
        t0_ns, (_, part, from_ns, until_ns) = record.impact.t0_ns, step
        if part == "end":
            yield self._end(record, step, window)
            return
        elements = ""
        if part == "table":
            until_ns = _first_from(window, until_ns, t0_ns + LONGEST_NS) + 1
            elements = self._table(record, step._replace(until_ns=until_ns), window)
        take = signals_between if part == "signals" else imu_between
        told = list(pieces(t0_ns, take(window, from_ns, until_ns), from_ns, until_ns))
        if elements and not told:
            told = [(from_ns, until_ns, _NO_COLUMNS)]
        for piece in told:
            yield _fragment(record, part, *piece, elements=elements)
            part, elements = ("imu" if part == "table" else part), ""

    def _table(self, record: _Record, step: Step, window: SignalWindow) -> str:
        t0_ns, until_ns = record.impact.t0_ns, step.until_ns
        record.elements = impact_elements(window, record.impact, until_ns, self._limits)
        record.elements |= elements_before(window, t0_ns) | elements_after(window, t0_ns, until_ns)
        sure = record.sure_ns is not None and record.sure_ns <= step.due_ns
        return _text(record, record.facts if sure else {}, complete=False)

    def _end(self, record: _Record, step: Step, window: SignalWindow) -> CrashRecord:
        """The last fragment, with the table as it is known then."""
        t0_ns, until_ns = record.impact.t0_ns, step.until_ns
        record.elements |= impact_elements(window, record.impact, until_ns, self._limits)
        record.elements |= elements_after(window, t0_ns, min(until_ns, t0_ns + SIGNALS_AFTER_NS))
        lacks = _what_is_lacking(window, step)
        if lacks:
            record.facts.setdefault("incomplete_because", lacks)
        complete = "incomplete_because" not in record.facts
        elements = _text(record, record.facts, complete=complete)
        return _fragment(record, "end", step.from_ns, until_ns, elements=elements, complete=complete)


def _text(record: _Record, facts: Elements, *, complete: bool) -> str:
    known: Elements = {
        "events": None,
        "since_first_s": None,
        "since_previous_s": record.since_previous_s,
        "complete": complete,
        "incomplete_because": None,
    }
    return msgspec.json.encode(record.elements | known | facts).decode()


def _first_from(window: SignalWindow, t_ns: int, latest_ns: int) -> int:
    """The IMU's first sample at or behind t_ns: a curve up to t_ns ends between it and the one before."""
    found = between(window, IMU_PATHS[0], t_ns, latest_ns).t_ns
    return int(found[0]) if len(found) else latest_ns


def _what_is_lacking(window: SignalWindow, step: Step) -> str:
    """Why the IMU's samples do not reach from the record's begin to its end; empty where they do."""
    t_ns = between(window, IMU_PATHS[0], step.from_ns, step.until_ns).t_ns
    if not len(t_ns):
        return "the accelerometer is silent"
    if t_ns[0] - step.from_ns > _GAP_NS:
        return "the history begins later"
    if step.until_ns - t_ns[-1] > _GAP_NS:
        return "the accelerometer fell silent"
    return "the accelerometer was silent for a while" if int((t_ns[1:] - t_ns[:-1]).max()) > _GAP_NS else ""


def _fragment(
    record: _Record,
    part: Part,
    from_ns: int,
    until_ns: int,
    columns: Columns = _NO_COLUMNS,
    *,
    elements: str = "",
    complete: bool = False,
) -> CrashRecord:
    number = record.fragment
    record.fragment += 1
    return CrashRecord(
        t_ns=record.impact.t0_ns,
        record=record.number,
        fragment=number,
        part=part,
        from_ns=from_ns,
        until_ns=until_ns,
        complete=complete,
        elements=elements,
        signals=columns.signals,
        steps=columns.steps,
        counts=columns.counts,
        columns=columns.columns,
    )
