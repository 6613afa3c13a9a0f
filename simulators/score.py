"""How well an agent does: its reports against the truth, per family of scenarios. Pure; `sweep` does the driving."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from agent.core.events import Event
from simulators.world.types import Truth

NS: Final = 1_000_000_000
TRIPS: Final = "trips"  # a family of their own: every drive has them, and they would hide what is missed

_TOLERANCE_S: Final = {"collision": 0.3, "road_impact": 0.3, "harsh_driving": 1.0, "battery_alarm": 8.0}
_TOLERANCE_OTHER_S: Final = 5.0
_SAYS_WHICH: Final = ("alarm", "maneuver", "code", "fault", "attack")
_NO_VERDICT: Final = frozenset({"agent_started", "agent_stopped", "source_changed", "model_changed", "feedback"})


@dataclass(frozen=True, slots=True)
class Report:
    """An event, and the drive's time at which the agent had it."""

    event: Event
    told_ns: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One drive judged: which truths were found (with their report), which were missed, which reports are false."""

    family: str
    name: str
    seconds: float
    found: tuple[tuple[Truth, Report], ...]
    missed: tuple[Truth, ...]
    false: tuple[Report, ...]


@dataclass(slots=True)
class Row:
    """A line of the table. Latency in ms: from when it was true to when the agent told it."""

    family: str
    drives: int = 0
    seconds: float = 0.0
    found: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float | None:
        """Share of truths that were found; None where there was nothing to find."""
        total = self.found + self.missed.total()
        return self.found / total if total else None

    @property
    def false_per_1000_h(self) -> float:
        """False alarms in a thousand hours of such drives."""
        return self.false.total() * 3_600_000 / self.seconds if self.seconds else 0.0


def judge(family: str, name: str, seconds: float, truths: Sequence[Truth], reports: Sequence[Report]) -> Outcome:
    """Match each truth with the nearest report of its kind within the kind's tolerance; each counts once.

    An alarm that only ends (`cleared`) or that rises a level after it was found is neither found nor false.
    """
    left = [report for report in reports if report.event.kind not in _NO_VERDICT and not _ends(report.event)]
    found, missed = [], []
    for truth in truths:
        near = [report for report in left if _same(truth, report.event)]
        best = min(near, key=lambda report: abs(report.event.t_ns - truth.t_ns), default=None)
        if best is None:
            missed.append(truth)
        else:
            left.remove(best)
            found.append((truth, best))
    known = {_which(report.event) for _, report in found}
    false = tuple(report for report in left if not _goes_on(report.event) or _which(report.event) not in known)
    return Outcome(family, name, seconds, tuple(found), tuple(missed), false)


def tabulate(outcomes: Iterable[Outcome]) -> list[Row]:
    """One row a family, in alphabetical order, the trips last."""
    rows: dict[str, Row] = {}
    for outcome in outcomes:
        for family in (outcome.family, TRIPS):
            row = rows.setdefault(family, Row(family))
            mine = [pair for pair in outcome.found if _is_trip(pair[0].kind) == (family == TRIPS)]
            row.drives += 1
            row.seconds += outcome.seconds
            row.found += len(mine)
            row.latency_ms += [(report.told_ns - truth.t_ns) / 1e6 for truth, report in mine]
            row.missed.update(_name(t) for t in outcome.missed if _is_trip(t.kind) == (family == TRIPS))
            row.false.update(r.event.kind for r in outcome.false if _is_trip(r.event.kind) == (family == TRIPS))
    return sorted(rows.values(), key=lambda row: (row.family == TRIPS, row.family))


def table_text(rows: Sequence[Row]) -> str:
    """The table as lines of text, then what was missed."""
    lines = [
        (
            f"{'family':10} {'drives':>6} {'hours':>6} {'truths':>6} {'found':>6} {'recall':>7} {'false':>6} "
            f"{'/1000 h':>8} {'p50 ms':>7} {'p99 ms':>7}"
        )
    ]
    for row in rows:
        recall = "-" if row.recall is None else f"{row.recall:.1%}"
        p50, p99 = (f"{value:.0f}" for value in _percentiles(row)) if row.latency_ms else ("-", "-")
        lines.append(
            f"{row.family:10} {row.drives:6} {row.seconds / 3600:6.2f} {row.found + row.missed.total():6} "
            f"{row.found:6} {recall:>7} {row.false.total():6} {row.false_per_1000_h:8.0f} {p50:>7} {p99:>7}"
        )
    for what, counts in (
        ("missed", sum((row.missed for row in rows), Counter[str]())),
        ("false", sum((row.false for row in rows), Counter[str]())),
    ):
        lines.append(f"{what}: " + (", ".join(f"{kind} {n}" for kind, n in counts.most_common()) or "nothing"))
    return "\n".join(lines)


def table_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The same for machines."""
    return [
        {
            "family": row.family,
            "drives": row.drives,
            "hours": round(row.seconds / 3600, 4),
            "found": row.found,
            "missed": dict(row.missed),
            "recall": row.recall,
            "false": dict(row.false),
            "false_per_1000_h": round(row.false_per_1000_h, 1),
            "latency_ms": [round(value, 1) for value in _percentiles(row)] if row.latency_ms else None,
        }
        for row in rows
    ]


def _percentiles(row: Row) -> tuple[float, float]:
    p50, p99 = np.percentile(row.latency_ms, [50, 99])
    return float(p50), float(p99)


def _same(truth: Truth, event: Event) -> bool:
    if event.kind != truth.kind:
        return False
    fields = msgspec.structs.asdict(event)
    if any(key in truth.details and key in fields and truth.details[key] != fields[key] for key in _SAYS_WHICH):
        return False
    return abs(event.t_ns - truth.t_ns) <= _TOLERANCE_S.get(truth.kind, _TOLERANCE_OTHER_S) * NS


def _which(event: Event) -> tuple[str, object]:
    return event.kind, getattr(event, "alarm", None)


def _goes_on(event: Event) -> bool:
    """Whether more reports of one alarm are one alarm."""
    return hasattr(event, "alarm")


def _ends(event: Event) -> bool:
    return bool(getattr(event, "cleared", False))


def _is_trip(kind: str) -> bool:
    return kind.startswith("trip_")


def _name(truth: Truth) -> str:
    which = next((str(truth.details[key]) for key in _SAYS_WHICH if key in truth.details), "")
    return f"{truth.kind}:{which}" if which else truth.kind
