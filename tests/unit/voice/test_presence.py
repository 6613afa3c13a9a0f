from collections.abc import Sequence
from typing import Final

import pytest

from agent.core.events import Collision
from agent.core.vss import LOW_VOLTAGE_STATE, SEATS, SPEED, seat_belted
from agent.voice.presence import Presence
from tests.unit.voice.conftest import MakeWindow

S: Final = 10**9
BELT: Final = seat_belted(SEATS[0])


@pytest.mark.parametrize(
    ("path", "rows", "there"),
    [
        (SPEED, [(1.0, 0.0), (2.0, 30.0)], True),
        (SPEED, [(1.0, 0.0), (2.0, 2.9)], False),
        (BELT, [(1.0, 1.0)], True),
        (BELT, [(1.0, 0.0)], False),
        (LOW_VOLTAGE_STATE, [(1.0, 4.0)], True),
        (LOW_VOLTAGE_STATE, [(1.0, 3.0)], False),
        (LOW_VOLTAGE_STATE, [(1.0, 4.0), (2.0, 2.0)], False),
        (LOW_VOLTAGE_STATE, [(1.0, 4.0), (2.0, 0.0)], True),
    ],
)
def test_a_moving_car_a_belt_or_the_ignition_is_a_sign_of_a_driver(
    make_window: MakeWindow, path: str, rows: Sequence[tuple[float, float]], *, there: bool
) -> None:
    presence = Presence()
    assert presence.update(make_window({path: rows})) == there
    assert presence.there(3 * S) == there
    assert not presence.there(300 * S), "the sign fades"


def test_a_driver_comes_once_and_comes_again(make_window: MakeWindow) -> None:
    presence = Presence()
    came = [presence.update(make_window({SPEED: [(t_s, 50.0)]})) for t_s in (1.0, 2.0, 3.0)]
    assert came == [True, False, False]
    assert not presence.update(make_window({LOW_VOLTAGE_STATE: [(10.0, 1.0)]}))
    assert not presence.there(11 * S)
    assert presence.update(make_window({LOW_VOLTAGE_STATE: [(20.0, 5.0)]}))


@pytest.mark.parametrize(("told", "empty"), [({}, True), ({"occupants": 1}, False), ({"belted": 2}, False)])
def test_seats_that_are_taken_speak_for_themselves(told: dict[str, int], *, empty: bool) -> None:
    blow = Collision(t_ns=9, delta_v_kmh=5, duration_ms=90, peak_mps2=30, stationary=True, **told)  # type: ignore[arg-type]
    assert Presence().was_empty(blow) == empty
