import typing

from agent.core.events import AgentStopped, AnyEvent, Collision, Event, Purpose, TripStarted
from agent.privacy.egress import EgressFilter

COLLISION = Collision(t_ns=1, delta_v_kmh=20, duration_ms=90, peak_mps2=100, stationary=False)


def test_only_consented_purposes_pass_and_the_rest_is_counted() -> None:
    door = EgressFilter(["claims"])
    events: list[Event] = [COLLISION, TripStarted(t_ns=2), AgentStopped(t_ns=3, reason="x"), TripStarted(t_ns=4)]
    assert [event for event in events if door.admits(event)] == [COLLISION]
    assert door.withheld == {"ubi_score": 2, "diagnostics": 1}


def test_without_consent_nothing_passes() -> None:
    assert not EgressFilter([]).admits(COLLISION)


def test_every_kind_of_event_declares_a_known_purpose() -> None:
    purposes = set(typing.get_args(Purpose))
    assert {kind.purpose for kind in typing.get_args(AnyEvent)} <= purposes
