"""The claims desk: what opens a ticket, what answers it, what closes it."""

from typing import Literal

import pytest

from agent.core.events import (
    AnyEvent,
    BatteryAlarm,
    ChargingFault,
    Collision,
    CrashRecord,
    Feedback,
    Rollover,
    TripStarted,
)
from fleet.desk.claims import ClaimsDesk, Note, Ticket

_S = 1_000_000_000


def _crash(
    at_s: int, severity: Literal["minor", "moderate", "severe"] = "moderate", *, confidence: float = 0.9
) -> Collision:
    return Collision(
        t_ns=at_s * _S,
        delta_v_kmh=12.0,
        duration_ms=90.0,
        peak_mps2=200.0,
        stationary=False,
        severity=severity,
        confidence=confidence,
    )


def _fragment(
    number: int, part: Literal["trigger", "imu", "end", "withdrawn"], *, complete: bool = True, record: int = 1
) -> CrashRecord:
    return CrashRecord(
        t_ns=10 * _S, record=record, fragment=number, part=part, from_ns=0, until_ns=1, complete=complete
    )


def _said(
    intent: str, *, about: str = "collision", question: str = "all_right", about_ns: int | None = None
) -> Feedback:
    return Feedback(
        t_ns=99 * _S,
        question=question,
        about=about,
        intent=intent,
        transcript="",
        confidence=1.0,
        language="en",
        asked_ns=0,
        about_ns=about_ns,
    )


def _alarm(alarm: Literal["over_temperature", "thermal_runaway"], level: int, *, cleared: bool = False) -> BatteryAlarm:
    return BatteryAlarm(t_ns=0, alarm=alarm, level=level, value=1.0, limit=0.0, unit="", cleared=cleared)


def _opened(desk: ClaimsDesk, event: AnyEvent, boot: int = 1) -> Ticket:
    ticket = desk.take("car1", boot, event)
    assert ticket is not None
    return ticket


@pytest.mark.parametrize(
    ("event", "severity"), [(_crash(1, "severe"), 3), (_crash(1, "moderate"), 2), (_crash(1, "minor"), 1)]
)
def test_a_collision_opens_a_ticket_as_severe_as_it_was(event: Collision, severity: int) -> None:
    ticket = _opened(ClaimsDesk(), event)
    assert (ticket.kind, ticket.severity, ticket.is_open) == ("collision", severity, True)
    assert ticket.answer == f"collision_{severity}"


def test_a_second_impact_belongs_to_the_first_and_a_later_one_does_not() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10))
    assert _opened(desk, _crash(12, "severe")).severity == 3
    assert _opened(desk, _crash(100)).number == 2
    assert _opened(desk, _crash(11), boot=2).number == 3  # times of another boot say nothing


def test_a_rollover_is_severe_belongs_to_the_crash_before_it_and_is_answered_like_one() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10))
    ticket = _opened(desk, Rollover(t_ns=11 * _S, roll_deg=181.0, quarter_turns=2))
    assert (ticket.number, ticket.kind, ticket.severity) == (1, "collision", 3)
    assert _opened(desk, _said("help", about="rollover")).number == 1


@pytest.mark.parametrize(("severity", "closed"), [("minor", True), ("moderate", False), ("severe", False)])
def test_the_driver_closes_a_light_crash_and_no_other(
    severity: Literal["minor", "moderate", "severe"], *, closed: bool
) -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, severity))
    assert _opened(desk, _said("fine")).outcome == ("driver_is_fine" if closed else "")


def test_a_crash_that_nobody_is_sure_of_is_a_call_and_no_accident_until_one_is() -> None:
    desk = ClaimsDesk()
    assert _opened(desk, _crash(10, "severe", confidence=0.4)).answer == "call_back_3"
    assert _opened(desk, _crash(11, confidence=0.3)).call_back
    assert _opened(desk, _crash(12)).answer == "collision_3"
    _opened(desk, _crash(10, confidence=0.4), boot=2)
    help_wanted = desk.take("car1", 2, _said("help"))
    assert help_wanted is not None
    assert help_wanted.answer == "collision_3"


@pytest.mark.parametrize(("severity", "closed"), [("minor", True), ("moderate", True), ("severe", False)])
def test_a_false_alarm_told_by_the_driver_is_marked_and_a_severe_one_looked_at_all_the_same(
    severity: Literal["minor", "moderate", "severe"], *, closed: bool
) -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, severity))
    ticket = _opened(desk, _said("false_alarm"))
    assert (ticket.false_alarm, ticket.is_open) == (True, not closed)


@pytest.mark.parametrize(("intent", "severity"), [("garage", 1), ("damage", 1), ("tow", 2), ("help", 3)])
def test_who_wants_something_after_all_is_heard(intent: str, severity: int) -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, "minor"))
    assert not _opened(desk, _said("fine", about_ns=10 * _S)).is_open
    ticket = _opened(desk, _said(intent, about_ns=10 * _S))
    assert (ticket.number, ticket.is_open, ticket.severity) == (1, True, severity)


def test_a_parked_car_without_damage_is_closed() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, "minor"))
    assert _opened(desk, _said("no_damage", question="parked_hit")).outcome == "no_damage"


def test_an_answer_belongs_to_the_crash_that_was_asked_about() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10))
    _opened(desk, _crash(200))
    assert _opened(desk, _said("help", about_ns=10 * _S)).number == 1
    assert _opened(desk, _said("help")).number == 2


def test_the_record_joins_the_ticket_whichever_comes_first() -> None:
    early, late = ClaimsDesk(), ClaimsDesk()
    assert early.take("car1", 1, _fragment(0, "trigger")) is None
    assert _opened(early, _crash(10)).records == ((1, "coming"),)
    _opened(late, _crash(10))
    assert _opened(late, _fragment(0, "trigger")).records == ((1, "coming"),)
    for desk in (early, late):
        assert desk.take("car1", 1, _fragment(1, "imu")) is None
        assert _opened(desk, _fragment(2, "end")).records == ((1, "complete"),)


def test_a_record_is_complete_only_when_the_last_of_its_fragments_came_in_any_order() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10))
    assert _opened(desk, _fragment(2, "end")).records == ((1, "coming"),)
    assert desk.take("car1", 1, _fragment(0, "trigger")) is None
    assert desk.take("car1", 1, _fragment(0, "trigger")) is None
    assert _opened(desk, _fragment(1, "imu")).records == ((1, "complete"),)
    _opened(desk, _fragment(0, "trigger", record=2))
    assert _opened(desk, _fragment(1, "end", record=2, complete=False)).records[-1] == (2, "partial")


def test_a_box_that_falls_silent_in_a_crash_opens_the_most_urgent_ticket() -> None:
    desk = ClaimsDesk()
    desk.take("car1", 1, _fragment(0, "trigger"), received_ns=100 * _S)
    assert not desk.look(159 * _S)
    desk.take("car1", 1, TripStarted(t_ns=0), received_ns=159 * _S)  # it lives
    assert not desk.look(200 * _S)
    (ticket,) = desk.look(219 * _S)
    assert (ticket.answer, ticket.records, ticket.is_open) == ("call_back_3", ((1, "silent"),), True)
    assert not desk.look(900 * _S)
    assert _opened(desk, _fragment(1, "imu")).notes[-1] == Note("speaks_again")
    assert _opened(desk, _fragment(2, "withdrawn")).outcome == "withdrawn"


def test_silence_after_a_notice_makes_its_ticket_more_urgent() -> None:
    desk = ClaimsDesk()
    desk.take("car1", 1, _fragment(0, "trigger"))
    assert _opened(desk, _crash(10, "minor")).severity == 1
    (ticket,) = desk.look(60 * _S)
    assert (ticket.number, ticket.answer) == (1, "collision_2")


def test_a_finished_or_withdrawn_record_is_no_silence() -> None:
    desk = ClaimsDesk()
    for number, part in ((0, "trigger"), (1, "withdrawn")):
        assert desk.take("car1", 1, _fragment(number, part)) is None  # type: ignore[arg-type]  # of the parts above
    assert not desk.look(900 * _S)
    assert not desk.tickets


@pytest.mark.parametrize(("intent", "severity"), [("help", 3), ("none", 2), ("unclear", 2)])
def test_help_is_urgent_and_silence_leaves_it_open(intent: str, severity: int) -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10))
    ticket = _opened(desk, _said(intent))
    assert (ticket.severity, ticket.is_open, ticket.notes[-1]) == (
        severity,
        True,
        Note("driver", ("question_all_right", intent)),
    )


def test_a_battery_has_one_ticket_as_severe_as_its_worst_alarm() -> None:
    desk = ClaimsDesk()
    assert _opened(desk, _alarm("over_temperature", 2)).severity == 1
    assert _opened(desk, _alarm("thermal_runaway", 4)).severity == 3
    assert _opened(desk, _alarm("over_temperature", 2, cleared=True)).is_open
    assert len(desk.tickets) == 1
    assert ClaimsDesk().take("car1", 1, _alarm("over_temperature", 2, cleared=True)) is None


def test_noisy_brakes_are_the_drivers_word() -> None:
    desk = ClaimsDesk()
    assert _opened(desk, _said("yes", about="trip_ended", question="brake_noise")).kind == "brake_noise"
    assert desk.take("car1", 1, _said("no", about="trip_ended", question="brake_noise")) is None


def test_a_case_handler_closes_with_an_outcome() -> None:
    desk = ClaimsDesk()
    number = _opened(desk, _crash(1, "severe")).number
    with pytest.raises(ValueError, match="outcome"):
        desk.close(number, "")
    assert desk.close(number, "paid").outcome == "paid"
    with pytest.raises(KeyError):
        desk.close(99, "paid")


def test_other_events_and_other_cars_concern_no_ticket() -> None:
    desk = ClaimsDesk()
    assert desk.take("car1", 1, TripStarted(t_ns=0)) is None
    _opened(desk, _crash(1))
    assert desk.take("car2", 1, _said("fine")) is None


def _charge(intent: str, question: str = "charge") -> Feedback:
    return _said(intent, about="charge_session", question=question, about_ns=90 * _S)


def _fault(fault: Literal["charger", "grid", "plug", "slow"]) -> ChargingFault:
    return ChargingFault(t_ns=80 * _S, fault=fault, power_kw=7.0)


@pytest.mark.parametrize(
    ("intent", "severity"), [("hot", 2), ("charger_fault", 1), ("pay_trouble", 1), ("bad", 1), ("slow", 0), ("fine", 0)]
)
def test_a_bad_charge_opens_a_ticket(intent: str, severity: int) -> None:
    ticket = ClaimsDesk().take("car1", 1, _charge(intent))
    assert (0 if ticket is None else ticket.severity) == severity
    if ticket is not None:
        assert (ticket.kind, ticket.answer, ticket.opened_ns) == ("charging", f"charging_{severity}", 90 * _S)


def test_what_the_box_saw_and_what_the_driver_says_of_it_share_a_ticket() -> None:
    desk = ClaimsDesk()
    first = _opened(desk, _fault("grid"))
    assert desk.take("car1", 1, _charge("charger_fault", "charge_faulty")) is not None
    last = _opened(desk, _charge("home", "charge_where"))
    assert (len(desk.tickets), last.number, len(last.notes)) == (1, first.number, 3)
    assert ClaimsDesk().take("car1", 1, _fault("slow")) is None


def test_a_driver_who_ended_it_himself_closes_it_but_not_a_hot_plug() -> None:
    desk = ClaimsDesk()
    _opened(desk, _fault("charger"))
    assert _opened(desk, _charge("by_driver", "charge_interrupted")).outcome == "driver_ended_it"
    _opened(desk, _fault("plug"))
    assert _opened(desk, _charge("by_driver", "charge_interrupted")).is_open


def test_an_answer_about_a_charge_touches_no_crash_and_no_battery_ticket() -> None:
    desk = ClaimsDesk()
    crash, pack = _opened(desk, _crash(90)), _opened(desk, _alarm("over_temperature", 3))
    assert desk.take("car1", 1, _charge("fine")) is None
    assert desk.tickets == (crash, pack)
