"""The score as a table: per family of scenarios, as text and for machines."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulators.score import Outcome, name_of

TRIPS: Final = "trips"  # a family of their own: every drive has them, and they would hide what is missed


@dataclass(slots=True)
class Row:
    """A line of the table. Latency in ms: from when it was true to when the agent told it.

    lead_s: seconds from the first warning to the hazard; unwarned: hazards without any.
    """

    family: str
    drives: int = 0
    seconds: float = 0.0
    found: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    unable: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)
    lead_s: list[float] = field(default_factory=list)
    unwarned: int = 0

    @property
    def truths(self) -> int:
        """All of them, those without an event included."""
        return self.found + self.missed.total() + self.unable.total()

    @property
    def recall(self) -> float | None:
        """Share found of the truths that the agent has an event for; None where there were none."""
        total = self.found + self.missed.total()
        return self.found / total if total else None

    @property
    def recall_of_all(self) -> float | None:
        """Share found of all truths."""
        return self.found / self.truths if self.truths else None

    @property
    def false_per_1000_h(self) -> float:
        """False alarms in a thousand hours of such drives."""
        return self.false.total() * 3_600_000 / self.seconds if self.seconds else 0.0

    @property
    def p50_p99_ms(self) -> tuple[float, float] | None:
        """Percentiles of the latency, None where nothing was found."""
        if not self.latency_ms:
            return None
        p50, p99 = np.percentile(self.latency_ms, [50, 99])
        return float(p50), float(p99)

    @property
    def lead_p50_s(self) -> float | None:
        """Median lead time, None where no hazard was warned of."""
        return float(np.median(self.lead_s)) if self.lead_s else None


def tabulate(outcomes: Iterable[Outcome]) -> list[Row]:
    """One row a family, in alphabetical order, the trips last."""
    rows: dict[str, Row] = {}
    for outcome in outcomes:
        for family in (outcome.family, TRIPS):
            row = rows.setdefault(family, Row(family))
            trips = family == TRIPS
            mine = [pair for pair in outcome.found if _is_trip(pair[0].kind) == trips]
            row.drives += 1
            row.seconds += outcome.seconds
            row.found += len(mine)
            row.latency_ms += [(report.told_ns - truth.t_ns) / 1e6 for truth, report in mine]
            row.missed.update(name_of(t) for t in outcome.missed if _is_trip(t.kind) == trips)
            row.unable.update(name_of(t) for t in outcome.unable if _is_trip(t.kind) == trips)
            row.false.update(r.event.kind for r in outcome.false if _is_trip(r.event.kind) == trips)
            if not trips:
                row.lead_s += [lead.seconds for lead in outcome.leads if lead.seconds is not None]
                row.unwarned += sum(lead.seconds is None for lead in outcome.leads)
    return sorted(rows.values(), key=lambda row: (row.family == TRIPS, row.family))


def table_text(rows: Sequence[Row]) -> str:
    """The table as lines of text, then what was missed, what no event tells yet, and what was false."""
    lines = [
        (
            f"{'family':10} {'drives':>6} {'hours':>6} {'truths':>6} {'found':>6} {'missed':>6} {'no event':>8} "
            f"{'recall':>7} {'of all':>7} {'false':>6} {'/1000 h':>8} {'p50 ms':>7} {'p99 ms':>7} {'lead s':>7}"
        )
    ]
    for row in rows:
        p50, p99 = (f"{value:.0f}" for value in row.p50_p99_ms) if row.p50_p99_ms else ("-", "-")
        lead = "-" if row.lead_p50_s is None else f"{row.lead_p50_s:.1f}"
        lines.append(
            f"{row.family:10} {row.drives:6} {row.seconds / 3600:6.2f} {row.truths:6} {row.found:6} "
            f"{row.missed.total():6} {row.unable.total():8} {percent(row.recall):>7} {percent(row.recall_of_all):>7} "
            f"{row.false.total():6} {row.false_per_1000_h:8.0f} {p50:>7} {p99:>7} {lead:>7}"
        )
    for what, counts in (
        ("missed", total(row.missed for row in rows)),
        ("no event for this yet", total(row.unable for row in rows)),
        ("false", total(row.false for row in rows)),
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
            "truths": row.truths,
            "found": row.found,
            "missed": dict(row.missed),
            "no_event": dict(row.unable),
            "recall": row.recall,
            "recall_of_all": row.recall_of_all,
            "false": dict(row.false),
            "false_per_1000_h": round(row.false_per_1000_h, 1),
            "latency_ms": [round(value, 1) for value in row.p50_p99_ms] if row.p50_p99_ms else None,
            "lead_s": None if row.lead_p50_s is None else round(row.lead_p50_s, 2),
            "hazards_unwarned": row.unwarned,
        }
        for row in rows
    ]


def percent(share: float | None) -> str:
    """One decimal, "-" for nothing."""
    return "-" if share is None else f"{share:.1%}"


def total(counters: Iterable[Counter[str]]) -> Counter[str]:
    """Their sum."""
    return sum(counters, Counter[str]())


def _is_trip(kind: str) -> bool:
    return kind.startswith("trip_")
