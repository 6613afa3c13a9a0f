"""What passes the trigger and is no collision: the box alone, a car that does not truly stand, a car that sets off."""

import numpy as np
import pytest

from agent.core import vss
from agent.core.events import Collision, DeviceShock, Event
from agent.detect.collision import CollisionDetector
from simulators.blows import Recording, draw, watch
from tests.unit.detect.feed import LIMITS, series

_G = 9.80665
_AT_S = 9.0


def _pushed(*, shake_mps2: float, speed_kmh: float | None = None) -> Recording:
    """A push of 5 km/h in 0.1 s; before it the body sways by so much (amplitude, 3 Hz)."""
    rng, t_s = np.random.default_rng(3), np.arange(0, _AT_S + 3, 1 / 400)
    values = rng.normal(0, 0.05, (len(t_s), 3)) + np.array([0, 0, _G])
    values[:, 2] += shake_mps2 * np.sin(2 * np.pi * 3 * t_s) * (t_s < _AT_S - 0.3)
    values[:, 0] += 5 / 3.6 / 0.1 * (1 - np.cos(2 * np.pi * np.clip((t_s - _AT_S) / 0.1, 0, 1)))
    paths = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
    recording = {path: series(t_s, values[:, axis]) for axis, path in enumerate(paths)}
    return recording if speed_kmh is None else recording | {vss.SPEED: series(np.arange(0, _AT_S + 3, 0.1), speed_kmh)}


def _detect(recording: Recording) -> list[Event]:
    return watch(CollisionDetector(LIMITS), recording, window_s=0.1)


def test_without_a_speed_a_car_stands_only_where_nothing_stirred_for_seconds() -> None:
    assert [event.kind for event in _detect(_pushed(shake_mps2=0.0))] == ["collision"]
    # A good road at walking pace: by its speed it stands, without one nobody knows.
    assert [event.kind for event in _detect(_pushed(shake_mps2=0.2, speed_kmh=0.0))] == ["collision"]
    assert not _detect(_pushed(shake_mps2=0.2))


@pytest.mark.parametrize(
    ("kind", "seed", "rate_hz"),
    [
        ("knock_driving", 1_000_341, 100),
        ("knock_driving", 1_000_491, 100),
        ("knock_driving", 1_000_640, 400),
        ("knock_parked", 1_000_813, 100),
    ],
)
def test_a_knock_that_lost_its_way_back_to_a_slow_or_narrow_chip_is_a_knock(kind: str, seed: int, rate_hz: int) -> None:
    scene = draw(kind, seed, rate_hz=rate_hz)
    events = watch(CollisionDetector(scene.limits()), scene.signals, window_s=0.1)
    assert {event.what for event in events if isinstance(event, DeviceShock)} <= {"knock"}
    assert not [event for event in events if isinstance(event, Collision)]


@pytest.mark.parametrize(
    ("kind", "seed", "rate_hz"),
    [
        ("handling_driving", 1_000_309, 100),
        ("handling_parked", 1_000_229, 100),
        ("handling_parked", 1_000_707, 100),
        ("handling_parked", 1_000_238, 400),
        ("handling_parked", 1_000_848, 400),
    ],
)
def test_a_box_that_a_hand_swings_is_no_car_that_is_hit(kind: str, seed: int, rate_hz: int) -> None:
    scene = draw(kind, seed, rate_hz=rate_hz)
    events = watch(CollisionDetector(scene.limits()), scene.signals, window_s=0.1)
    assert not [event for event in events if isinstance(event, Collision)]


def test_a_car_that_sets_off_hard_is_nothing_to_tell() -> None:
    for seed in range(1_000_000, 1_000_008):
        scene = draw("hard_launch", seed)
        assert not watch(CollisionDetector(scene.limits()), scene.signals, window_s=0.1)
