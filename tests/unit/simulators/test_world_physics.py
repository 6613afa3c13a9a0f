import hashlib
import subprocess
import sys

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from simulators.world import Drive, load_scenario, random_commute, simulate, simulate_commute
from simulators.world.grid import convolve, haversine_pulse, haversine_step, lag, wander
from simulators.world.motion import GRAVITY
from simulators.world.scenario import CELL_COUNT, Collision, Leg, Scenario

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def commute() -> Drive:
    return simulate(load_scenario("commute"), 7)


def between(drive: Drive, start_s: float, end_s: float) -> Floats:
    """IMU acceleration of a span."""
    rows = (drive.imu.t_ns >= start_s * 1e9) & (drive.imu.t_ns <= end_s * 1e9)
    return drive.imu.acceleration[rows]


def speed_at(drive: Drive, t_s: float) -> float:
    t_ns, kmh = drive.signals[vss.SPEED]
    return float(np.interp(t_s * 1e9, t_ns, kmh))


def crash(**changes: float) -> Scenario:
    event = msgspec.convert({"kind": "collision", "at_s": 12, "delta_v_kmh": 25, **changes}, Collision)
    legs = [Leg(at_s=1, speed_kmh=50, acceleration_mps2=3)]
    return Scenario(name="crash", description="", duration_s=20, legs=legs, events=[event])


def digest(drive: Drive) -> str:
    whole = hashlib.sha256()
    for path, (t_ns, values) in drive.signals.items():
        whole.update(path.encode() + t_ns.tobytes() + values.tobytes())
    for array in (drive.imu.acceleration, drive.imu.rotation, drive.gnss.latitude, drive.gnss.speed_kmh):
        whole.update(array.tobytes())
    return whole.hexdigest() + repr(drive.truth)


def test_a_seed_gives_the_same_bytes_in_another_process(commute: Drive) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/unit/simulators')\n"
        "from test_world_physics import digest\n"
        "from simulators.world import load_scenario, simulate\n"
        "print(digest(simulate(load_scenario('commute'), 7)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(commute)


def test_another_seed_gives_another_drive(commute: Drive) -> None:
    assert digest(simulate(load_scenario("commute"), 8)) != digest(commute)


def test_a_standing_car_feels_gravity_alone(commute: Drive) -> None:
    mean = between(commute, 0, 2).mean(axis=0)
    assert np.linalg.norm(mean) == pytest.approx(GRAVITY, abs=0.15)
    assert mean[2] == pytest.approx(GRAVITY, abs=0.15)


def test_the_imu_and_the_speed_tell_of_one_motion(commute: Drive) -> None:
    """Integrated acceleration is the change of speed, but for nose dive, bias and tilt."""
    level = between(commute, 0, 2).mean(axis=0)
    gained_kmh = 3.6 * float((between(commute, 2, 10)[:, 0] - level[0]).sum()) / 400
    assert gained_kmh == pytest.approx(speed_at(commute, 10) - speed_at(commute, 2), rel=0.12)


def test_a_left_bend_pushes_to_the_right_and_turns_the_heading_left(commute: Drive) -> None:
    """Specific force in a left bend points left, which is minus; heading falls, yaw rate is positive."""
    assert between(commute, 21.5, 24.5)[:, 1].mean() == pytest.approx(-2.7, abs=0.5)
    t_ns, yaw = commute.signals[vss.YAW_RATE]
    assert yaw[(t_ns > 21.5e9) & (t_ns < 24.5e9)].min() > 10
    heading = np.interp([19e9, 27e9], commute.gnss.t_ns, commute.gnss.heading_deg)
    assert heading[1] < heading[0] - 40
    steering = commute.signals[vss.STEERING_ANGLE][1]
    assert steering[(t_ns > 21.5e9) & (t_ns < 24.5e9)].min() > 40


def test_position_odometer_and_speed_agree(commute: Drive) -> None:
    metres = np.diff(commute.signals[vss.TRAVELED_DISTANCE][1][[0, -1]])[0]
    t_ns, kmh = commute.signals[vss.SPEED]
    assert np.trapezoid(kmh / 3.6, t_ns / 1e9) == pytest.approx(metres, rel=0.003)
    north = np.diff(commute.gnss.latitude) * 111_320
    east = np.diff(commute.gnss.longitude) * 111_320 * np.cos(np.deg2rad(31.2))
    moving = np.interp(commute.gnss.t_ns[1:], t_ns, kmh) > 1  # fixes of a standing car wander, and add up
    assert np.hypot(north, east)[moving].sum() == pytest.approx(metres, rel=0.05)


def test_the_harsh_brake_is_one(commute: Drive) -> None:
    longitudinal = lag(between(commute, 33.3, 34.4)[:, 0], 1 / 400, 0.05)
    assert longitudinal.max() < -4.4
    assert longitudinal.min() > -8.5


@pytest.mark.parametrize("pdof_deg", [0.0, 90.0, 180.0, 250.0])
def test_a_collision_has_the_delta_v_the_peak_and_the_direction_asked_for(pdof_deg: float) -> None:
    drive = simulate(crash(pdof_deg=pdof_deg, duration_ms=120.0), 3)
    pulse = between(drive, 12, 12.12)[:, :2] - between(drive, 11, 11.9)[:, :2].mean(axis=0)
    change_kmh = 3.6 * pulse.sum(axis=0) / 400
    assert np.hypot(*change_kmh) == pytest.approx(25, abs=0.6)
    assert np.rad2deg(np.arctan2(-change_kmh[1], -change_kmh[0])) % 360 == pytest.approx(pdof_deg, abs=3)
    peak = 2 * 25 / 3.6 / 0.12  # docs/sources.md 3: haversine
    assert np.hypot(pulse[:, 0], pulse[:, 1]).max() == pytest.approx(peak, rel=0.12)
    assert speed_at(drive, 19.5) == 0


def test_a_weak_sensor_clips() -> None:
    scenario = crash(delta_v_kmh=60, duration_ms=60)
    assert np.abs(simulate(scenario, 1).imu.acceleration).max() < 1.02 * 16 * GRAVITY


def test_a_mounting_known_to_the_box_makes_no_difference() -> None:
    plain = load_scenario("healthy")
    turned = msgspec.structs.replace(plain, imu=msgspec.structs.replace(plain.imu, mounting_deg=(90.0, 20.0, -135.0)))
    difference = simulate(plain, 5).imu.acceleration - simulate(turned, 5).imu.acceleration
    assert np.abs(difference.mean(axis=0)).max() < 0.2


def test_the_pack_is_one_circuit(commute: Drive) -> None:
    cells = np.array([commute.signals[vss.cell_voltage(cell)][1] for cell in range(CELL_COUNT)])
    t_ns, _ = commute.signals[vss.cell_voltage(0)]
    pack_ns, pack_v = commute.signals[vss.PACK_VOLTAGE]
    assert np.abs(cells.sum(axis=0) - np.interp(t_ns, pack_ns, pack_v)).max() < 0.2
    _, amperes = commute.signals[vss.PACK_CURRENT]
    drawn_percent = -amperes.sum() * 0.02 / 3600  # of 100 Ah
    soc = commute.signals[vss.STATE_OF_CHARGE][1]
    assert soc[0] - soc[-1] == pytest.approx(drawn_percent, abs=0.01)
    assert amperes.max() > 50  # it brakes into the pack,
    assert amperes.min() < -100  # and accelerates out of it
    assert np.corrcoef(amperes[::5], np.interp(pack_ns[::5], t_ns, cells[3]))[0, 1] > 0.9


def test_the_hot_cell_heats_at_the_rate_asked_for_and_the_others_do_not(commute: Drive) -> None:
    t_ns, hot = commute.signals[vss.cell_temperature(7)]
    at_40, at_50 = np.interp([38e9, 48e9], t_ns, hot)
    assert (at_50 - at_40) / 10 == pytest.approx(1.6, abs=0.02)
    assert hot.max() == pytest.approx(67, abs=1)
    others = [commute.signals[vss.cell_temperature(cell)][1].max() for cell in range(CELL_COUNT) if cell != 7]
    assert max(others) < 38


def test_after_the_crash_nothing_runs(commute: Drive) -> None:
    for path in (vss.ENGINE_SPEED, vss.ACCELERATOR_PEDAL, vss.MASS_AIR_FLOW):
        assert commute.signals[path][1][-500:].max() == 0


def test_healthy_commutes_have_nothing_to_tell_but_the_trip() -> None:
    for seed in range(4):
        drive = simulate_commute(seed, 900)
        assert [truth.kind for truth in drive.truth] == ["trip_started", "trip_ended"]
        assert speed_at(drive, 899) < 5
        cells = np.array([drive.signals[vss.cell_voltage(cell)][1] for cell in range(CELL_COUNT)])
        assert 2.8 < cells.min() < cells.max() < 4.2


@pytest.mark.parametrize("seed", range(5))
def test_every_value_of_a_drive_is_a_number_in_its_range(seed: int) -> None:
    drive = simulate_commute(100 + seed, 400.5)
    for path, (t_ns, values) in drive.signals.items():
        assert len(t_ns) == len(values), path
        assert np.isfinite(values).all(), path
        assert (np.diff(t_ns) > 0).all(), path
    for path in (vss.ACCELERATOR_PEDAL, vss.BRAKE_PEDAL, vss.THROTTLE, vss.STATE_OF_CHARGE):
        assert 0 <= drive.signals[path][1].min() <= drive.signals[path][1].max() <= 100, path
    assert np.isfinite(drive.imu.acceleration).all()
    assert np.isfinite(drive.imu.rotation).all()


def test_commutes_differ() -> None:
    assert len({random_commute(seed, 600).car.mass_kg for seed in range(20)}) == 20


def test_truth_comes_in_order_of_time(commute: Drive) -> None:
    times = [truth.t_ns for truth in commute.truth]
    assert times == sorted(times)
    kinds = {truth.kind for truth in commute.truth}
    assert kinds == {"trip_started", "road_impact", "harsh_driving", "battery_alarm", "collision", "trip_ended"}


def test_block_convolution_equals_the_plain_one() -> None:
    rng = np.random.default_rng(1)
    for count, width in ((5000, 40), (100, 300), (1024, 128), (1, 1)):
        x, kernel = rng.standard_normal(count), rng.standard_normal(width)
        np.testing.assert_allclose(convolve(x, kernel), np.convolve(x, kernel), atol=1e-10)


def test_lag_settles_at_its_input_and_wander_has_deviation_one() -> None:
    assert lag(np.full(100, 3.0), 0.02, 0.5) == pytest.approx(3.0)
    slow = wander(np.random.default_rng(2), 400_000, 0.1, 5.0)
    assert slow.std() == pytest.approx(1, rel=0.1)
    assert np.abs(slow[:200]).max() < 4


def test_a_haversine_pulse_is_the_slope_of_its_step() -> None:
    t_s = np.arange(0, 1, 1e-4)
    slope = np.gradient(haversine_step(t_s, 0.3, 0.1), t_s)
    np.testing.assert_allclose(slope, haversine_pulse(t_s, 0.3, 0.1), atol=0.02)
    assert haversine_pulse(t_s, 0.3, 0.1).max() == pytest.approx(20, rel=1e-4)
