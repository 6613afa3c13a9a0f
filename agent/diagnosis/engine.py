"""Ranks causes: points for how common each is, and for every piece of evidence that is seen. Nothing else counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core import vss
from agent.core.diagnosis_events import Drive
from agent.diagnosis.knowledge import Knowledge
from agent.diagnosis.rules import Cause, Condition, Evidence, gravest, matches

CAUSES_MAX: Final = 5
_RECENT_KM: Final = 3000.0
_RECENT_DAYS: Final = 90.0
_IDLE_RPM: Final = 1200.0
_IDLE_KMH: Final = 2.0
_FRAME: Final = {
    "trim_short": vss.SHORT_TERM_FUEL_TRIM,
    "trim_long": vss.LONG_TERM_FUEL_TRIM,
    "coolant": vss.COOLANT_TEMPERATURE,
    "load": vss.ENGINE_LOAD,
    "rpm": vss.ENGINE_SPEED,
    "speed": vss.SPEED,
    "map": vss.MANIFOLD_PRESSURE,
    "maf": vss.MASS_AIR_FLOW,
    "intake_temperature": vss.INTAKE_TEMPERATURE,
    "voltage": vss.LOW_VOLTAGE,
}


@dataclass(frozen=True, slots=True)
class Repair:
    """Something done to the car lately; days and km ago, None where it is not known."""

    what: str
    days_ago: float | None = None
    km_ago: float | None = None

    @property
    def recent(self) -> bool:
        """Within 3000 km, or 90 days where the distance is not known; what has no date at all is taken for recent."""
        if self.km_ago is not None:
            return 0 <= self.km_ago <= _RECENT_KM
        return self.days_ago is None or 0 <= self.days_ago <= _RECENT_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that is known of the car. frame: figures of the freeze frame; trends: see Trends; advice: engine faults."""

    codes: frozenset[str]
    frame: Mapping[str, float] = field(default_factory=dict)
    trends: Mapping[str, float] = field(default_factory=dict)
    repairs: Sequence[Repair] = ()
    advice: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """A piece of evidence that holds, and the figure that it speaks of."""

    condition: Condition
    value: float | None

    def words(self, language: str) -> str:
        """What it says."""
        text: str = getattr(self.condition, language)
        return text if self.value is None else text.replace("{value}", f"{self.value:.4g}")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cause with its points, and what spoke for and against it."""

    cause: Cause
    points: int
    evidence: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is behind the codes of one group: causes, the likeliest first; limits: why one may not drive further."""

    group: str
    codes: tuple[str, ...]
    drive: Drive
    causes: tuple[Ranked, ...]
    limits: tuple[Seen, ...] = ()


def frame_figures(frame: Mapping[str, float]) -> dict[str, float]:
    """Figures by name from a freeze frame's values by VSS path."""
    figures = {name: frame[path] for name, path in _FRAME.items() if path in frame}
    if "trim_long" in figures:
        figures["trim_total"] = figures["trim_long"] + figures.get("trim_short", 0.0)
    idles = figures.get("rpm", _IDLE_RPM) < _IDLE_RPM and figures.get("speed", _IDLE_KMH) < _IDLE_KMH
    if idles and "map" in figures:
        figures["idle_map"] = figures["map"]
    return figures


def diagnose(knowledge: Knowledge, codes: Sequence[str], findings: Findings) -> list[Verdict]:
    """A verdict for each group among these codes, in their order; codes that the rule base does not know come last.

    Those have no causes, and no more is claimed of them than that a garage should look.
    """
    by_group: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        meaning = knowledge.codes.get(code)
        by_group.setdefault(meaning.group if meaning else "", []).append(code)
    unknown = by_group.pop("", [])
    verdicts = [_judge(knowledge, group, members, findings) for group, members in by_group.items()]
    return verdicts + ([Verdict("", tuple(unknown), "to_a_garage", ())] if unknown else [])


def _judge(knowledge: Knowledge, group: str, codes: list[str], findings: Findings) -> Verdict:
    ranked = [_rank(cause, findings) for cause in knowledge.causes.values() if group in cause.groups]
    ranked.sort(key=lambda one: one.points, reverse=True)  # stable: of equals the file's first
    limits = [
        (limit.drive, seen)
        for limit in knowledge.limits.values()
        if group in limit.groups and (seen := look(limit, findings)) is not None
    ]
    drives = [knowledge.codes[code].drive for code in codes] + [drive for drive, _ in limits]
    if ranked and ranked[0].cause.drive is not None:
        drives.append(ranked[0].cause.drive)
    likely = tuple(one for one in ranked if one.points > 0)[:CAUSES_MAX] or tuple(ranked[:1])
    return Verdict(group, tuple(codes), gravest(*drives), likely, tuple(seen for _, seen in limits))


def _rank(cause: Cause, findings: Findings) -> Ranked:
    seen = [(evidence, found) for evidence in cause.evidence if (found := look(evidence, findings)) is not None]
    points = cause.points + sum(evidence.points for evidence, _ in seen)
    return Ranked(cause, points, tuple(found for _, found in seen))


def look(condition: Condition, findings: Findings) -> Seen | None:
    """Whether a condition holds; None where it does not, or where that is not known."""
    value = None
    if condition.frame or condition.trend:
        value = (
            findings.frame.get(condition.frame or "") if condition.frame else findings.trends.get(condition.trend or "")
        )
        if value is None:
            return None
        if condition.minimum is not None and value < condition.minimum:
            return None
        if condition.maximum is not None and value > condition.maximum:
            return None
    if condition.repairs and not any(repair.recent and repair.what in condition.repairs for repair in findings.repairs):
        return None
    if condition.codes and not _any_matches(findings.codes, condition.codes):
        return None
    if condition.absent and _any_matches(findings.codes, condition.absent):
        return None
    if condition.advice and not findings.advice & set(condition.advice):
        return None
    return Seen(condition, value)


def _any_matches(codes: frozenset[str], patterns: Sequence[str]) -> bool:
    return any(matches(code, pattern) for code in codes for pattern in patterns)


def points_of(seen: Seen) -> int:
    """What it added; nothing where it only limits how far one may drive."""
    return seen.condition.points if isinstance(seen.condition, Evidence) else 0
