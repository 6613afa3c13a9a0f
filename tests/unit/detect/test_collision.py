import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.events import Collision, DeviceShock, Event, RoadImpact
from agent.detect.collision import CollisionDetector
from agent.detect.pulse import crash_mode_of
from tests.unit.detect.feed import LIMITS, NS, Recording, Window, run, series, windows

Floats = npt.NDArray[np.float64]

G = 9.80665


def _ride(
    *,
    force: list[tuple[float, float, tuple[float, float, float]]] = [],  # noqa: B006  # read only
    rate_hz: float = 400,
    speed_kmh: float | None = 50.0,
    rest: tuple[float, float, float] = (0.0, 0.0, G),
    shake: float = 0.5,
    end_s: float = 14.0,
    range_mps2: float = 1e9,
) -> Recording:
    """Noise around a resting level, plus haversine pulses (start s, length s, delta-v in km/h per axis)."""
    rng = np.random.default_rng(5)
    t_s = np.arange(0, end_s, 1 / rate_hz) + rng.uniform(0, 0.4 / rate_hz, round(end_s * rate_hz))
    values = rng.normal(0, shake, (len(t_s), 3)) + np.array(rest)
    for start_s, length_s, delta_v_kmh in force:
        phase = np.clip((t_s - start_s) / length_s, 0, 1)
        shape = (1 - np.cos(2 * np.pi * phase)) / length_s
        values += shape[:, None] * np.array(delta_v_kmh) / 3.6
    values = np.clip(values, -range_mps2, range_mps2)
    paths = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
    recording = {path: series(t_s, values[:, axis]) for axis, path in enumerate(paths)}
    if speed_kmh is not None:
        recording[vss.SPEED] = series(np.arange(0, end_s, 0.1), speed_kmh)
    return recording


def _detect(recording: Recording, limits: Detect = LIMITS) -> list[Event]:
    return run(CollisionDetector(limits), recording, window_s=0.1)


def _collisions(recording: Recording, limits: Detect = LIMITS) -> list[Collision]:
    return [event for event in _detect(recording, limits) if isinstance(event, Collision)]


def _one(recording: Recording, limits: Detect = LIMITS) -> Collision:
    (event,) = _detect(recording, limits)
    assert isinstance(event, Collision)
    return event


@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
@pytest.mark.parametrize(("delta_v_kmh", "length_s"), [(9.5, 0.1), (25.0, 0.1), (60.0, 0.12), (60.0, 0.07)])
def test_a_frontal_pulse_is_one_collision_at_any_rate(rate_hz: float, delta_v_kmh: float, length_s: float) -> None:
    wide = Detect(collision=CollisionLimits(sensor_range_mps2=5000))
    event = _one(_ride(force=[(10.0, length_s, (-delta_v_kmh, 0, 0))], rate_hz=rate_hz), wide)
    assert event.delta_v_kmh == pytest.approx(delta_v_kmh, rel=0.1)
    assert event.delta_v_longitudinal_kmh == pytest.approx(-delta_v_kmh, rel=0.1)
    assert event.t_ns == pytest.approx(10.0e9, abs=0.045e9)
    assert event.duration_ms == pytest.approx(1000 * length_s, abs=45)
    assert event.pdof_deg == pytest.approx(0, abs=6) or event.pdof_deg == pytest.approx(360, abs=6)
    assert not event.stationary
    assert not event.clipped
    assert event.speed_before_kmh == 50.0


@pytest.mark.parametrize(
    ("delta_v", "pdof_deg"),
    [((-15, 0, 0), 0), ((0, -15, 0), 90), ((15, 0, 0), 180), ((0, 15, 0), 270), ((-11, -11, 0), 45)],
)
def test_the_direction_of_force_is_where_it_comes_from(delta_v: tuple[float, float, float], pdof_deg: float) -> None:
    event = _one(_ride(force=[(10.0, 0.1, delta_v)]))
    assert event.pdof_deg is not None
    assert (event.pdof_deg - pdof_deg + 180) % 360 - 180 == pytest.approx(0, abs=4)


def test_below_the_trigger_nothing_happens_while_driving() -> None:
    assert _detect(_ride(force=[(10.0, 0.1, (-7.0, 0, 0))])) == []


@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
@pytest.mark.parametrize("size_g", [0.8, 1.0, 1.1])
def test_hard_braking_is_no_collision(size_g: float, rate_hz: float) -> None:
    recording = dict(_ride(rate_hz=rate_hz, shake=1.0))
    t_ns, value = recording[vss.ACCELERATION_LONGITUDINAL].t_ns, recording[vss.ACCELERATION_LONGITUDINAL].value
    recording[vss.ACCELERATION_LONGITUDINAL] = series(t_ns / 1e9, value - size_g * G * (t_ns > 8e9) * (t_ns < 11e9))
    assert _detect(recording) == []


def test_hard_braking_without_a_speed_signal_is_no_parked_impact_either() -> None:
    recording = dict(_ride(shake=0.02, speed_kmh=None))
    t_ns, value = recording[vss.ACCELERATION_LONGITUDINAL].t_ns, recording[vss.ACCELERATION_LONGITUDINAL].value
    recording[vss.ACCELERATION_LONGITUDINAL] = series(t_ns / 1e9, value - 0.9 * G * (t_ns > 8e9) * (t_ns < 11e9))
    assert _detect(recording) == []


@pytest.mark.parametrize("speed_kmh", [0.0, None])
def test_a_hit_on_a_standing_car_has_a_lower_limit(speed_kmh: float | None) -> None:
    event = _one(_ride(force=[(10.0, 0.1, (3.0, 4.0, 0))], speed_kmh=speed_kmh, shake=0.03))
    assert event.stationary
    assert event.delta_v_kmh == pytest.approx(5.0, rel=0.1)
    assert event.pdof_deg == pytest.approx(180 + 53.1, abs=5)


@pytest.mark.parametrize(
    "force",
    [
        [(10.0, 0.02, (0.0, 2.0, 0))],  # a door
        [(10.0, 0.1, (0, 1.0, 5.0))],  # somebody sits down
        [(10.0, 0.6, (0, 6.0, 0))],  # a car wash pushes
    ],
)
def test_a_standing_car_is_not_hit_by_what_happens_to_standing_cars(
    force: list[tuple[float, float, tuple[float, float, float]]],
) -> None:
    assert _detect(_ride(force=force, speed_kmh=0.0, shake=0.03)) == []


def test_a_knock_on_the_box_is_its_own_kind() -> None:
    force = [(10.0, 0.01, (0.0, 6.0, 0.0)), (10.01, 0.01, (0.0, -6.0, 0.0))]
    (event,) = _detect(_ride(force=force, speed_kmh=0.0, shake=0.03))
    assert isinstance(event, DeviceShock)
    assert (event.what, event.speed_kmh) == ("knock", 0.0)


def test_two_loud_samples_are_no_pulse() -> None:
    recording = dict(_ride(rate_hz=100))
    lateral = recording[vss.ACCELERATION_LATERAL]
    value = lateral.value.copy()
    value[1000:1002] = 300.0
    recording[vss.ACCELERATION_LATERAL] = series(lateral.t_ns / 1e9, value)
    assert _detect(recording) == []


def test_a_clipped_pulse_says_so() -> None:
    event = _one(_ride(force=[(10.0, 0.08, (-55.0, 0, 0))], range_mps2=156.9))
    assert event.clipped
    assert 30 < event.delta_v_kmh < 55


@pytest.mark.parametrize("rest", [(G, 0.2, 0.9), (0.3, -G, 0.1), (G / 2**0.5, G / 2**0.5, 0.0)])
def test_with_gravity_on_another_axis_the_mounting_is_unknown_but_the_crash_is_seen(
    rest: tuple[float, float, float],
) -> None:
    force = np.cross(rest, (0.0, 0.0, 1.0))
    force *= 20 / np.linalg.norm(force)
    event = _one(_ride(force=[(10.0, 0.1, (float(force[0]), float(force[1]), float(force[2])))], rest=rest))
    assert event.delta_v_kmh == pytest.approx(20, rel=0.1)
    assert event.pdof_deg is None
    assert event.delta_v_longitudinal_kmh is None
    assert event.crash_mode is None


def test_an_imu_without_gravity_is_taken_at_its_word() -> None:
    event = _one(_ride(force=[(10.0, 0.1, (-20.0, 0, 0))], rest=(0.1, 0.1, 0.0)))
    assert event.pdof_deg is not None


def test_impacts_within_five_seconds_are_one_crash_and_a_later_one_is_another() -> None:
    hits = [(10.0, 0.1, (-20.0, 0.0, 0.0)), (10.8, 0.1, (0.0, 12.0, 0.0)), (20.0, 0.1, (-15.0, 0.0, 0.0))]
    first, second, later = _collisions(_ride(force=hits, end_s=24.0))
    assert (first.multi_event, first.since_first_s, first.crash_mode) == (1, None, "frontal")
    assert (second.multi_event, second.crash_mode) == (2, "side_left")
    assert second.since_first_s == pytest.approx(0.8, abs=0.03)
    assert second.since_first_s == pytest.approx((second.t_ns - first.t_ns) / 1e9, abs=1e-3)
    assert (later.multi_event, later.since_first_s) == (1, None)


def test_an_impact_on_the_heels_of_another_counts_only_its_own_delta_v() -> None:
    hits = [(10.0, 0.1, (16.0, 0.0, 0.0)), (10.14, 0.1, (-12.0, 0.0, 0.0))]
    first, second = _collisions(_ride(force=hits))
    assert first.delta_v_longitudinal_kmh == pytest.approx(16, rel=0.1)
    assert second.delta_v_longitudinal_kmh == pytest.approx(-12, rel=0.1)
    assert (first.crash_mode, second.crash_mode) == ("rear", "frontal")


def test_a_pulse_that_does_not_end_is_no_second_impact() -> None:
    long = _ride(force=[(10.0, 1.2, (-90.0, 0, 0))])
    assert [event.multi_event for event in _collisions(long)] == [1]


def test_a_parked_car_that_was_just_hit_does_not_stand_any_more() -> None:
    hits = [(10.1, 0.1, (0.0, 5.0, 0.0)), (10.5, 0.1, (0.0, -5.0, 0.0))]
    (event,) = _collisions(_ride(force=hits, speed_kmh=0.0, shake=0.03))
    assert event.stationary


def test_impacts_without_end_are_told_up_to_a_limit() -> None:
    hits = [(10.0 + 0.4 * k, 0.1, (-12.0, 0.0, 0.0)) for k in range(8)]
    limits = Detect(collision=CollisionLimits(events_max=3))
    assert [event.multi_event for event in _collisions(_ride(force=hits), limits)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("pdof", "mode"),
    [
        (0, "frontal"),
        (44, "frontal"),
        (46, "side_right"),
        (134, "side_right"),
        (136, "rear"),
        (224, "rear"),
        (226, "side_left"),
        (314, "side_left"),
        (316, "frontal"),
        (360, "frontal"),
    ],
)
def test_the_direction_of_force_names_a_side(pdof: float, mode: str) -> None:
    assert crash_mode_of(pdof, 45.0) == mode


def test_an_imu_that_falls_silent_in_the_crash_still_tells() -> None:
    recording = {p: s for p, s in _ride(force=[(10.0, 0.1, (-40.0, 0, 0))], end_s=10.06).items() if p != vss.SPEED}
    recording[vss.SPEED] = series(np.arange(0, 14, 0.1), 50.0)
    detector = CollisionDetector(LIMITS)
    event = _one(recording)
    assert event.delta_v_kmh > 15
    assert detector.finish(0) == []


def test_limits_change_without_losing_the_resting_level() -> None:
    detector = CollisionDetector(LIMITS)
    recording = _ride(force=[(10.0, 0.1, (-10.0, 0, 0))])
    tight = msgspec.structs.replace(LIMITS, collision=CollisionLimits(delta_v_kmh=12.0))
    detector.configure(tight)
    assert run(detector, recording) == []
    detector.configure(LIMITS)
    assert len(run(CollisionDetector(LIMITS), recording)) == 1


@pytest.mark.parametrize(("peak", "length_s"), [(16.0, 0.04), (40.0, 0.03), (60.0, 0.02)])
def test_a_pothole_is_a_road_impact_and_no_collision(peak: float, length_s: float) -> None:
    up_kmh = peak * length_s / 2 * 3.6
    force = [(10.0, length_s, (-0.2 * up_kmh, 0.1 * up_kmh, up_kmh)), (10.2, length_s, (0.0, 0.0, 0.8 * up_kmh))]
    (event,) = _detect(_ride(force=force))
    assert isinstance(event, RoadImpact)
    assert event.peak_mps2 == pytest.approx(peak, abs=2.5)
    assert event.speed_kmh == 50.0


def test_a_row_of_potholes_is_told_once_in_a_while() -> None:
    force = [(4.0 + k, 0.03, (0.0, 0.0, 1.5)) for k in range(30)]
    events = _detect(_ride(force=force, end_s=40))
    assert [type(event) for event in events] == [RoadImpact] * 3


def test_a_crash_is_no_road_impact_and_neither_is_a_door() -> None:
    crash = _ride(force=[(10.0, 0.1, (-40.0, 0, 0)), (10.02, 0.03, (0.0, 0.0, 3.0))])
    assert [type(event) for event in _detect(crash)] == [Collision]
    door = _ride(force=[(10.0, 0.03, (0.0, 0.2, 1.5))], speed_kmh=0.0, shake=0.03)
    assert _detect(door) == []


@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
def test_a_crash_in_the_first_second_is_judged_by_what_is_there(rate_hz: float) -> None:
    event = _one(_ride(force=[(0.4, 0.1, (-40.0, 0, 0))], end_s=6, rate_hz=rate_hz, range_mps2=400))
    assert event.delta_v_kmh == pytest.approx(40, rel=0.1)
    assert event.crash_mode == "frontal"


def test_nothing_is_judged_before_anything_calm_was_seen() -> None:
    assert _detect(_ride(force=[(0.05, 0.1, (-40.0, 0, 0))], end_s=6)) == []


def test_a_box_that_starts_while_the_car_brakes_hard_calls_nothing() -> None:
    recording = dict(_ride(shake=1.0))
    forward = recording[vss.ACCELERATION_LONGITUDINAL]
    recording[vss.ACCELERATION_LONGITUDINAL] = series(forward.t_ns / 1e9, forward.value - G * (forward.t_ns < 0.5e9))
    assert _detect(recording) == []


def test_no_samples_no_events() -> None:
    assert run(CollisionDetector(LIMITS), {vss.SPEED: series([1.0, 2.0], 30.0)}) == []


@pytest.mark.parametrize(("error_deg", "known"), [(180.0, False), (12.0, False), (4.0, True)])
def test_an_imu_that_does_not_know_forward_gives_no_direction(error_deg: float, known: bool) -> None:  # noqa: FBT001  # pytest hands it over by name
    recording = _ride(force=[(10.0, 0.1, (-25, 0, 0))])
    recording = {**recording, vss.IMU_HEADING_ERROR: series(np.arange(0.5, 14, 1), error_deg)}
    event = _one(recording)
    assert event.delta_v_kmh == pytest.approx(25, rel=0.1)
    assert (event.pdof_deg is not None) == known
    assert (event.delta_v_longitudinal_kmh is not None) == known


def test_forward_learnt_after_the_crash_is_no_direction_of_it() -> None:
    told = series([9.0, 11.0], [180.0, 3.0])
    recording = {**_ride(force=[(10.0, 0.1, (-25, 0, 0))]), vss.IMU_HEADING_ERROR: told}
    assert _one(recording).pdof_deg is None


@pytest.mark.parametrize(("at_s", "clipped"), [(10.05, True), (9.5, False), (12.0, False)])
def test_clipping_that_the_imu_tells_marks_the_crash_it_was_in(at_s: float, clipped: bool) -> None:  # noqa: FBT001  # pytest hands it over by name
    recording = {**_ride(force=[(10.0, 0.1, (-25, 0, 0))]), vss.IMU_CLIPPED: series([at_s], 1.0)}
    for window_s in (0.02, 0.5, 14.0):
        (event,) = run(CollisionDetector(LIMITS), recording, window_s=window_s)
        assert isinstance(event, Collision)
        assert event.clipped == clipped


@pytest.mark.parametrize("window_s", [0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("start_s", [8.0, 8.03, 8.07, 8.11, 8.15, 8.19])
def test_a_crash_is_told_within_half_a_second_however_long_windows_are(window_s: float, start_s: float) -> None:
    detector = CollisionDetector(LIMITS)
    recording = _ride(force=[(start_s, 0.07, (-15, 0, 0))], shake=0.2)
    bus = {vss.SPEED: recording[vss.SPEED]}
    told = []
    for window in windows(recording, range(0, 14 * NS, round(window_s * NS))):
        detector.update(Window(bus, window.start_ns, window.t_ns))  # the bus's frames of that time came before
        told += [window.t_ns for _ in detector.update(window)]
    assert len(told) == 1
    assert start_s * NS < told[0] < (start_s + 0.07 + 0.5 + window_s) * NS
