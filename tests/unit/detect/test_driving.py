import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.config import Detect, Driving
from agent.core.events import Event, HarshDriving
from agent.detect.driving import DrivingDetector
from tests.unit.detect.feed import LIMITS, Recording, run, series

Floats = npt.NDArray[np.float64]

END_S = 40.0


def _ride(
    *,
    imu_mps2: float = 0.0,
    speed_mps2: float = 0.0,
    lateral_mps2: float = 0.0,
    length_s: float = 1.5,
    start_kmh: float = 60.0,
    imu: bool = True,
    speed_hz: float | None = 2.0,
    tilt: float = 0.4,
    shake: float = 0.6,
    yaw_dps: float | None = None,
) -> Recording:
    """At 20 s the IMU, the speed and the lateral axis each do what they are told; speed in whole km/h, 0.4 s late."""
    rng = np.random.default_rng(3)
    t_s = np.arange(0, END_S, 0.01)
    inside = (t_s >= 20) & (t_s < 20 + length_s)
    recording = {}
    if imu:
        recording[vss.ACCELERATION_LONGITUDINAL] = series(
            t_s, tilt + imu_mps2 * inside + rng.normal(0, shake, len(t_s))
        )
        recording[vss.ACCELERATION_LATERAL] = series(
            t_s, -tilt + lateral_mps2 * inside + rng.normal(0, shake, len(t_s))
        )
        if yaw_dps is not None:
            recording[vss.YAW_RATE] = series(t_s, yaw_dps * inside)
    if speed_hz is not None:
        speed_s = np.arange(0.1, END_S, 1 / speed_hz)
        change = speed_mps2 * np.clip(speed_s - 20.4, 0, length_s) * 3.6
        recording[vss.SPEED] = series(speed_s, np.floor(np.maximum(start_kmh + change, 0)))
    return recording


def _detect(recording: Recording, limits: Detect = LIMITS) -> list[Event]:
    return run(DrivingDetector(limits), recording, window_s=0.1)


def _one(recording: Recording, limits: Detect = LIMITS) -> HarshDriving:
    (event,) = _detect(recording, limits)
    assert isinstance(event, HarshDriving)
    return event


@pytest.mark.parametrize(("sign", "maneuver"), [(-1, "braking"), (1, "acceleration")])
def test_the_imu_finds_it_and_speed_confirms_it(sign: int, maneuver: str) -> None:
    event = _one(_ride(imu_mps2=6.0 * sign, speed_mps2=6.0 * sign))
    assert event.maneuver == maneuver
    assert event.basis == "imu"
    assert event.peak_mps2 == pytest.approx(6.0, abs=0.8)
    assert event.duration_s == pytest.approx(1.5, abs=0.2)
    assert event.t_ns == pytest.approx(20e9, abs=0.15e9)
    assert event.speed_kmh == 60


def test_an_imu_event_that_speed_denies_is_dropped() -> None:
    assert _detect(_ride(imu_mps2=-7.0, speed_mps2=0.0)) == []


def test_with_a_wrongly_mounted_imu_speed_alone_finds_it() -> None:
    event = _one(_ride(imu_mps2=0.0, speed_mps2=-6.5, length_s=2.0))
    assert event.basis == "speed"


@pytest.mark.parametrize("speed_hz", [1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_whole_kilometres_per_hour_at_any_rate_are_enough(speed_hz: float, sign: int) -> None:
    event = _one(_ride(imu=False, speed_mps2=6.5 * sign, length_s=2.5, speed_hz=speed_hz))
    assert event.basis == "speed"
    assert event.peak_mps2 == pytest.approx(6.5, abs=1.0)
    assert event.t_ns == pytest.approx(20.4e9, abs=1.0e9)


@pytest.mark.parametrize("speed_hz", [1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("mps2", [-3.4, 3.4])
def test_brisk_is_not_harsh(speed_hz: float, mps2: float) -> None:
    assert _detect(_ride(imu_mps2=mps2, speed_mps2=mps2, length_s=3.0, speed_hz=speed_hz)) == []


def test_one_wrong_speed_sample_is_no_maneuver() -> None:
    for speed_hz in (1.0, 2.0, 5.0, 10.0):
        recording = dict(_ride(imu=False, speed_hz=speed_hz))
        value = recording[vss.SPEED].value.copy()
        value[len(value) // 2] = 0.0
        recording[vss.SPEED] = series(recording[vss.SPEED].t_ns / 1e9, value)
        assert _detect(recording) == []


@pytest.mark.parametrize("leap_kmh", [24.0, -24.0])
@pytest.mark.parametrize("speed_hz", [10.0, 50.0])
def test_a_speed_that_leaps_is_no_maneuver(speed_hz: float, leap_kmh: float) -> None:
    """A stuck sensor that comes back, or another node that speaks in the true one's place."""
    recording = dict(_ride(speed_hz=speed_hz))
    honest = recording[vss.SPEED]
    lies = (honest.t_ns >= 20e9) & (honest.t_ns < 28e9)
    recording[vss.SPEED] = series(honest.t_ns / 1e9, honest.value + leap_kmh * lies)
    assert _detect(recording) == []


@pytest.mark.parametrize("mps2", [-9.0, -6.0])
def test_a_speed_told_rarely_and_asked_often_does_not_leap(mps2: float) -> None:
    recording = dict(_ride(imu=False, speed_hz=2.5, speed_mps2=mps2))
    told, asked_s = recording[vss.SPEED], np.arange(0.1, END_S, 0.02)
    rows = np.searchsorted(told.t_ns, asked_s * 1e9, side="right") - 1
    recording[vss.SPEED] = series(asked_s, told.value[np.maximum(rows, 0)])
    assert _one(recording).basis == "speed"


def test_without_a_speed_the_imu_is_believed() -> None:
    event = _one(_ride(imu_mps2=-6.0, speed_hz=None))
    assert event.basis == "imu"
    assert event.speed_kmh is None


def test_slow_and_short_ones_do_not_count() -> None:
    assert _detect(_ride(imu_mps2=-6.0, speed_mps2=-6.0, length_s=0.2)) == []
    assert _detect(_ride(imu_mps2=-6.0, speed_mps2=-6.0, start_kmh=9.0)) == []
    assert _detect(_ride(lateral_mps2=7.0, start_kmh=25.0)) == []


def test_a_rough_road_is_not_harsh_driving() -> None:
    assert _detect(_ride(shake=5.0, imu_mps2=-1.0, speed_mps2=-1.0)) == []


@pytest.mark.parametrize("lateral_mps2", [-6.5, 6.5])
def test_cornering_either_way(lateral_mps2: float) -> None:
    event = _one(_ride(lateral_mps2=lateral_mps2))
    assert event.maneuver == "cornering"
    assert event.peak_mps2 == pytest.approx(6.5, abs=0.8)


def test_cornering_is_checked_against_the_yaw_rate() -> None:
    assert _detect(_ride(lateral_mps2=6.5, yaw_dps=1.0)) == []
    assert _one(_ride(lateral_mps2=6.5, yaw_dps=-22.0)).maneuver == "cornering"


def test_tilt_and_a_steep_road_are_not_acceleration() -> None:
    assert _detect(_ride(tilt=5.0)) == []


def test_what_tyres_cannot_do_is_no_driving() -> None:
    assert _detect(_ride(imu_mps2=-60.0, speed_mps2=-20.0, length_s=0.6)) == []


def test_a_pulsed_brake_is_one_event() -> None:
    recording = dict(_ride(imu_mps2=-6.0, speed_mps2=-6.0, length_s=3.0))
    longitudinal = recording[vss.ACCELERATION_LONGITUDINAL]
    t_s = longitudinal.t_ns / 1e9
    released = (t_s > 21.0) & (t_s < 21.5)
    recording[vss.ACCELERATION_LONGITUDINAL] = series(t_s, np.where(released, -1.0, longitudinal.value))
    assert _one(recording).maneuver == "braking"


def test_a_maneuver_at_the_end_of_data_is_told_by_finish() -> None:
    recording = {
        path: series(s.t_ns[s.t_ns < 21.4e9] / 1e9, s.value[s.t_ns < 21.4e9])
        for path, s in _ride(imu_mps2=-6.0, speed_mps2=-6.0, speed_hz=10.0, length_s=3.0).items()
    }
    assert _one(recording).maneuver == "braking"


def test_limits_are_configurable() -> None:
    recording = _ride(imu_mps2=-3.4, speed_mps2=-3.4)
    assert _one(recording, Detect(driving=Driving(braking_mps2=2.5))).maneuver == "braking"
