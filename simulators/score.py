"""How well an agent does: its reports against the truth of one drive. Pure; `sweep` does the driving."""

import shlex
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from agent.core.events import AnyEvent, BusAnomaly, Collision, Event
from simulators.world.types import Truth

NS: Final = 1_000_000_000

_AGAIN: Final = "second_impact"  # a collision that is not the first of its crash
_NEAR_S: Final = {"collision": 0.3, _AGAIN: 0.3, "road_impact": 0.3, "harsh_driving": 1.0, "battery_alarm": 8.0}
_NEAR_OTHER_S: Final = 5.0
_DEVELOPS: Final = frozenset(
    {"battery_advice", "coolant_loss", "sensor_fault", "pack_sensor_fault"}
)  # shows at any time after it began
_SAYS_WHICH: Final = ("alarm", "maneuver", "code", "fault", "attack", "finding")
_NO_VERDICT: Final = frozenset(  # about the agent itself, or plain data: says nothing that could be false
    {
        *("agent_started", "agent_stopped", "source_changed", "model_changed", "model_report"),
        *("records_shed", "records_damaged", "config_applied", "config_rejected", "feedback", "telemetry"),
        *("charge_session", "battery_health", "battery_report", "bus_habits"),
    }
)
_WARNINGS: Final[Mapping[str, frozenset[str]]] = {
    "battery_alarm:thermal_runaway": frozenset({"battery_alarm", "battery_advice", "coolant_loss", "charging_fault"}),
    "low_voltage_alarm:flat": frozenset({"low_voltage_alarm"}),
}
"""Hazards, and the kinds of report that warn of them."""
_EXPLAINED: Final[Mapping[str, frozenset[str]]] = {
    "engine_advice": frozenset({"dtc", "sensor_fault"}),
    "trouble_codes": frozenset({"dtc"}),
    "diagnosis": frozenset({"dtc"}),
}
"""Reports that say the same as a truth in other words: not asked for, and not false where that came before them."""
_KINDS: Final = {_AGAIN: Collision} | {str(kind.__struct_config__.tag): kind for kind in typing.get_args(AnyEvent)}


@dataclass(frozen=True, slots=True)
class Report:
    """An event, and the drive's time at which the agent had it."""

    event: Event
    told_ns: int


@dataclass(frozen=True, slots=True)
class Lead:
    """A hazard, and how long before it the agent first warned: negative where after it, None where never."""

    hazard: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One drive judged: which truths were found (with their report), which were missed, which reports are false.

    unable: truths that the agent has no event for yet, so nobody can find them.
    """

    family: str
    name: str
    seconds: float
    found: tuple[tuple[Truth, Report], ...]
    missed: tuple[Truth, ...]
    unable: tuple[Truth, ...]
    false: tuple[Report, ...]
    leads: tuple[Lead, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """An outcome and what to type to get it again."""

    outcome: Outcome
    source: str
    seed: int
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> str:
        """The shell line that does it again."""
        changes = [word for key, value in self.parameters for word in ("--param", f"{key}={value}")]
        if self.source.startswith("--commutes"):  # its number is the seed
            return f"./run sweep {self.source}"
        return shlex.join(["./run", "sweep", self.source, *changes, "--seeds", str(self.seed)])


def judge(family: str, name: str, seconds: float, truths: Sequence[Truth], reports: Sequence[Report]) -> Outcome:
    """Match truths with reports of their kind within the kind's window, one to one and as many as possible.

    Among matches of equal number the nearer report is preferred. An alarm that only ends (`cleared`) or that rises a
    level after it was found is neither found nor false.
    """
    left = [report for report in reports if _is_verdict(report.event)]
    able = [truth for truth in truths if can_tell(truth)]
    matched = _match(able, left)
    found = tuple((truth, left[matched[n]]) for n, truth in enumerate(able) if n in matched)
    known = {_which(report.event) for _, report in found}
    used = set(matched.values())
    false = tuple(
        report
        for n, report in enumerate(left)
        if n not in used
        and not (_goes_on(report.event) and _which(report.event) in known)
        and not _is_explained(report.event, truths)
    )
    return Outcome(
        family,
        name,
        seconds,
        found,
        missed=tuple(truth for n, truth in enumerate(able) if n not in matched),
        unable=tuple(truth for truth in truths if not can_tell(truth)),
        false=false,
        leads=tuple(_leads(truths, found)),
    )


def can_tell(truth: Truth) -> bool:
    """Whether the agent has an event for it: of this kind, and able to say which alarm, maneuver, code it is."""
    kind = _KINDS.get(truth.kind)
    if kind is None:
        return False
    hints = typing.get_type_hints(kind)
    sayable = [(truth.details[key], hints[key]) for key in _SAYS_WHICH if key in truth.details and key in hints]
    return all(value in typing.get_args(hint) for value, hint in sayable if typing.get_origin(hint) is typing.Literal)


def name_of(truth: Truth) -> str:
    """Kind, and which of its kind: battery_alarm:over_temperature."""
    which = next((str(truth.details[key]) for key in _SAYS_WHICH if key in truth.details), "")
    return f"{truth.kind}:{which}" if which else truth.kind


def _match(truths: Sequence[Truth], reports: Sequence[Report]) -> dict[int, int]:
    """Truth -> report by index: augmenting paths, nearest candidate first (Kuhn's algorithm)."""
    near = [
        sorted(
            (n for n, report in enumerate(reports) if _same(truth, report.event)),
            key=lambda n: abs(reports[n].event.t_ns - truth.t_ns),
        )
        for truth in truths
    ]
    truth_of: dict[int, int] = {}

    def assign(truth: int, tried: set[int]) -> bool:
        for report in near[truth]:
            if report not in tried:
                tried.add(report)
                if report not in truth_of or assign(truth_of[report], tried):
                    truth_of[report] = truth
                    return True
        return False

    for truth in range(len(truths)):
        assign(truth, set())
    return {truth: report for report, truth in truth_of.items()}


def _leads(truths: Sequence[Truth], found: Sequence[tuple[Truth, Report]]) -> typing.Iterator[Lead]:
    """The first true report of a warning's kind counts, also that of the hazard itself."""
    for truth in truths:
        kinds = _WARNINGS.get(name_of(truth))
        if kinds is None or not can_tell(truth):
            continue
        told = [report.told_ns for cause, report in found if cause.kind in kinds and cause.t_ns <= truth.t_ns]
        yield Lead(name_of(truth), (truth.t_ns - min(told)) / NS if told else None)


def _same(truth: Truth, event: Event) -> bool:
    kind = _AGAIN if isinstance(event, Collision) and event.multi_event > 1 else event.kind
    if kind != truth.kind:
        return False
    fields = msgspec.structs.asdict(event)
    if any(key in truth.details and key in fields and truth.details[key] != fields[key] for key in _SAYS_WHICH):
        return False
    late_s = (event.t_ns - truth.t_ns) / NS
    near_s = _NEAR_S.get(truth.kind, _NEAR_OTHER_S)
    return -near_s <= late_s and (late_s <= near_s or truth.kind in _DEVELOPS)


def _which(event: Event) -> tuple[str, object]:
    return event.kind, getattr(event, "alarm", None)


def _goes_on(event: Event) -> bool:
    """Whether more reports of one alarm are one alarm, and more signs of an attack one attack."""
    return hasattr(event, "alarm") or isinstance(event, BusAnomaly)


def _is_explained(event: Event, truths: Sequence[Truth]) -> bool:
    return any(truth.kind in _EXPLAINED.get(event.kind, ()) and truth.t_ns <= event.t_ns for truth in truths)


def _is_verdict(event: Event) -> bool:
    """Whether it claims that something happened; detail behind a claim and the end of an alarm do not."""
    return event.kind not in _NO_VERDICT and not event.bulk and not getattr(event, "cleared", False)
