"""What a collision tells beyond its pulse: severity, confidence, the car's own signals, position."""

import numpy as np
import pytest

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.events import Collision
from agent.core.signals import Series
from agent.detect.collision import CollisionDetector
from agent.detect.crash_features import FEATURES
from tests.unit.detect.feed import LIMITS, Recording, run, series

G = 9.80665
HIT_S = 10.0
PATHS = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)


def _hit(
    x_kmh: float,
    y_kmh: float = 0.0,
    *,
    speed_kmh: float | None = 50.0,
    others: Recording = {},  # noqa: B006  # read only
) -> Recording:
    """One haversine blow of 100 ms at 10 s."""
    t_s = np.arange(0, 13, 1 / 400)
    values = np.random.default_rng(1).normal(0, 0.3 if speed_kmh else 0.02, (len(t_s), 3)) + np.array([0, 0, G])
    shape = (1 - np.cos(2 * np.pi * np.clip((t_s - HIT_S) / 0.1, 0, 1))) / 0.1 / 3.6
    values[:, 0] += shape * x_kmh
    values[:, 1] += shape * y_kmh
    recording = {path: series(t_s, values[:, axis]) for axis, path in enumerate(PATHS)}
    if speed_kmh is not None:
        recording[vss.SPEED] = series(np.arange(0, 13, 0.1), speed_kmh)
    return {**recording, **others}


def _one(recording: Recording, limits: Detect = LIMITS) -> Collision:
    (event,) = run(CollisionDetector(limits), recording)
    assert isinstance(event, Collision)
    return event


def _told(value: float, *, until_s: float = 13.0) -> Series:
    return series(np.arange(0.05, until_s, 0.1), value)


@pytest.mark.parametrize(
    ("kmh", "severity", "drivable"), [(10, "minor", "likely"), (20, "moderate", "unknown"), (30, "severe", "unlikely")]
)
def test_severity_goes_by_delta_v_in_any_direction(kmh: float, severity: str, drivable: str) -> None:
    for event in (_one(_hit(-kmh)), _one(_hit(0.0, kmh))):
        assert (event.severity, event.drivable) == (severity, drivable)
        assert event.max_after_ms is not None
        assert 60 < event.max_after_ms <= event.duration_ms + 20
        assert len(event.features) == len(FEATURES)


def test_severe_begins_where_config_says() -> None:
    tight = Detect(collision=CollisionLimits(lock_delta_v_kmh=12, moderate_delta_v_kmh=9))
    assert _one(_hit(-10), tight).severity == "moderate"
    assert _one(_hit(-13), tight).severity == "severe"


def test_asi_is_that_of_means_over_50_ms() -> None:
    # A haversine of 36 km/h in 100 ms: its middle 50 ms hold 0.818 of delta-v.
    assert _one(_hit(-36)).asi == pytest.approx(0.818 * 10 / 0.05 / G / 12, rel=0.03)
    assert _one(_hit(0, 36)).asi == pytest.approx(0.818 * 10 / 0.05 / G / 9, rel=0.03)


def test_nothing_is_told_that_the_car_does_not_tell() -> None:
    event = _one(_hit(-20))
    told = (event.airbag_deployed, event.belted, event.occupants, event.braking, event.latitude, event.longitude)
    assert told == (None,) * 6
    assert event.limits_of_data == []
    assert event.confidence == event.confidence_rules > 0.9


def test_the_car_s_own_word_is_part_of_it_and_makes_it_surer() -> None:
    driver, passenger = vss.SEATS[0], vss.SEATS[1]
    others = {
        vss.airbag_deployed(driver): series([9.0, HIT_S + 0.06], [0.0, 1.0]),
        vss.seat_belted(driver): _told(1.0),
        vss.seat_belted(passenger): _told(0.0),
        vss.seat_occupied(driver): _told(1.0),
        vss.seat_occupied(passenger): _told(1.0),
        vss.BRAKE_PEDAL: _told(60.0),
    }
    event = _one(_hit(-9, others=others))
    assert (event.airbag_deployed, event.belted, event.occupants, event.braking) == (True, 1, 2, True)
    assert event.severity == "severe"
    assert event.confidence > _one(_hit(-9)).confidence


def test_a_door_that_moves_makes_a_parked_hit_less_sure() -> None:
    door = {vss.DOORS_OPEN[0]: series([9.0, HIT_S - 0.1], [1.0, 0.0])}
    plain, doubtful = _one(_hit(4, speed_kmh=0)), _one(_hit(4, speed_kmh=0, others=door))
    assert doubtful.confidence < plain.confidence


def test_more_delta_v_never_makes_it_less_sure() -> None:
    sure = [_one(_hit(-kmh)).confidence for kmh in (8.5, 10, 12, 16, 25, 40)]
    assert sure == sorted(sure)


@pytest.mark.parametrize("age_s", [0.5, 9.0])
def test_the_position_is_the_newest_before_the_crash(age_s: float) -> None:
    at_s = [HIT_S - age_s - 0.5, HIT_S - age_s, HIT_S + 1]
    others = {
        vss.LATITUDE: series(at_s, [1.0, 52.1, 9.0]),
        vss.LONGITUDE: series(at_s, [1.0, 13.4, 9.0]),
        vss.HORIZONTAL_ACCURACY: series(at_s, [1.0, 4.0, 9.0]),
    }
    event = _one(_hit(-20, others=others))
    assert (event.latitude, event.longitude, event.position_accuracy_m) == (52.1, 13.4, 4.0)


def test_half_a_position_is_none() -> None:
    event = _one(_hit(-20, others={vss.LATITUDE: _told(52.1), vss.HORIZONTAL_ACCURACY: _told(4.0)}))
    assert (event.latitude, event.longitude, event.position_accuracy_m) == (None, None, None)


def test_an_axis_that_stands_still_and_a_gap_are_told_with_it() -> None:
    still = {vss.ACCELERATION_VERTICAL: series(np.arange(0, 13, 1 / 400), G)}
    assert "stuck_axis" in _one(_hit(-20, others=still)).limits_of_data
    whole = _hit(-20)
    holed = {}
    for path, one in whole.items():
        keep = (one.t_ns < (HIT_S + 0.03) * 1e9) | (one.t_ns > (HIT_S + 0.05) * 1e9)
        holed[path] = Series(one.t_ns[keep], one.value[keep])
    assert "samples_lost" in _one(holed).limits_of_data
