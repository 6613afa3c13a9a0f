"""The claims desk: what opens a ticket, what answers it, what closes it."""

from typing import Literal

import pytest

from agent.core.events import BatteryAlarm, Collision, Feedback, Rollover, TripStarted
from simulators.claims import ClaimsDesk, Ticket

_S = 1_000_000_000


def _crash(at_s: int, delta_v_kmh: float, *, stationary: bool = False) -> Collision:
    return Collision(t_ns=at_s * _S, delta_v_kmh=delta_v_kmh, duration_ms=90.0, peak_mps2=200.0, stationary=stationary)


def _said(intent: str, *, about: str = "collision", question: str = "all_right") -> Feedback:
    return Feedback(
        t_ns=99 * _S,
        question=question,
        about=about,
        intent=intent,
        transcript="",
        confidence=1.0,
        language="en",
        asked_ns=0,
    )


def _alarm(alarm: Literal["over_temperature", "thermal_runaway"], level: int, *, cleared: bool = False) -> BatteryAlarm:
    return BatteryAlarm(t_ns=0, alarm=alarm, level=level, value=1.0, limit=0.0, unit="", cleared=cleared)


def _opened(desk: ClaimsDesk, event: Collision | Rollover | BatteryAlarm | Feedback, boot: int = 1) -> Ticket:
    ticket = desk.take("car1", boot, event)
    assert ticket is not None
    return ticket


@pytest.mark.parametrize(
    ("event", "severity"), [(_crash(1, 40.0), 3), (_crash(1, 12.0), 2), (_crash(1, 6.0, stationary=True), 1)]
)
def test_a_collision_opens_a_ticket_as_severe_as_it_was(event: Collision, severity: int) -> None:
    ticket = _opened(ClaimsDesk(), event)
    assert (ticket.kind, ticket.severity, ticket.is_open) == ("collision", severity, True)
    assert ticket.answer


def test_a_second_impact_belongs_to_the_first_and_a_later_one_does_not() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, 12.0))
    assert _opened(desk, _crash(12, 30.0)).severity == 3
    assert _opened(desk, _crash(100, 12.0)).number == 2
    assert _opened(desk, _crash(11, 12.0), boot=2).number == 3  # times of another boot say nothing


def test_a_rollover_is_severe_belongs_to_the_crash_before_it_and_is_answered_like_one() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, 12.0))
    ticket = _opened(desk, Rollover(t_ns=11 * _S, roll_deg=181.0, quarter_turns=2))
    assert (ticket.number, ticket.kind, ticket.severity) == (1, "collision", 3)
    assert _opened(desk, _said("help", about="rollover")).number == 1


def test_the_driver_closes_a_light_crash_and_not_a_severe_one() -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, 12.0))
    assert _opened(desk, _said("fine")).outcome == "driver is fine"
    _opened(desk, _crash(10, 40.0))
    assert _opened(desk, _said("fine")).is_open


@pytest.mark.parametrize(("intent", "severity"), [("help", 3), ("none", 2), ("unclear", 2)])
def test_help_is_urgent_and_silence_leaves_it_open(intent: str, severity: int) -> None:
    desk = ClaimsDesk()
    _opened(desk, _crash(10, 12.0))
    ticket = _opened(desk, _said(intent))
    assert (ticket.severity, ticket.is_open, ticket.notes[-1]) == (severity, True, f"driver: {intent}")


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
    number = _opened(desk, _crash(1, 40.0)).number
    with pytest.raises(ValueError, match="outcome"):
        desk.close(number, "")
    assert desk.close(number, "paid").outcome == "paid"
    with pytest.raises(KeyError):
        desk.close(99, "paid")


def test_other_events_and_other_cars_concern_no_ticket() -> None:
    desk = ClaimsDesk()
    assert desk.take("car1", 1, TripStarted(t_ns=0)) is None
    _opened(desk, _crash(1, 12.0))
    assert desk.take("car2", 1, _said("fine")) is None
