from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.config import Detect, RolloverLimits
from agent.core.events import DeviceShock, Event, Rollover
from agent.detect.collision import CollisionDetector
from tests.unit.detect.feed import LIMITS, NS, Recording, run, series

Floats = npt.NDArray[np.float64]

G = 9.80665
RATE_HZ = 200


def _tumble(
    turns: list[tuple[float, float, float]],
    *,
    speed_kmh: float | None = 60.0,
    gyroscope: bool = True,
    shake: float = 0.8,
    pitch: bool = False,
    falling: bool = False,
    stop_s: float = 14.0,
    end_s: float = 30.0,
) -> Recording:
    """A drive in which the car turns by degrees within s from s on: (start, length, degrees), right side down +."""
    rng = np.random.default_rng(3)
    t_s = np.arange(0, end_s, 1 / RATE_HZ)
    angle = np.zeros(len(t_s))
    for start_s, length_s, turn in turns:
        phase = np.clip((t_s - start_s) / length_s, 0, 1)
        angle += turn * (phase - np.sin(2 * np.pi * phase) / (2 * np.pi))
    shaking = np.where(t_s < stop_s, shake, 0.02)[:, None] * rng.standard_normal((len(t_s), 3))
    tipped = G * np.sin(np.deg2rad(angle))
    force = shaking + np.column_stack(
        [tipped if pitch else 0 * angle, 0 * angle if pitch else -tipped, G * _cos(angle)]
    )
    if falling:
        moving = np.abs(np.gradient(angle)) * RATE_HZ > 1
        force[moving] = 0.0
    paths = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
    recording = {path: series(t_s, force[:, axis]) for axis, path in enumerate(paths)}
    if gyroscope:
        turning = np.gradient(angle) * RATE_HZ + rng.normal(0, 0.3, len(t_s))
        recording[vss.PITCH_RATE if pitch else vss.ROLL_RATE] = series(t_s, turning)
    if speed_kmh is not None:
        at_s = np.arange(0, end_s, 0.1)
        recording[vss.SPEED] = series(at_s, np.where(at_s < stop_s, speed_kmh, 0.0))
    return recording


def _cos(angle: Floats) -> Floats:
    return np.asarray(np.cos(np.deg2rad(angle)))


def _detect(recording: Recording, limits: Detect = LIMITS) -> list[Event]:
    return run(CollisionDetector(limits), recording, window_s=0.1)


def _one(recording: Recording) -> Rollover:
    (event,) = _detect(recording)
    assert isinstance(event, Rollover)
    return event


@pytest.mark.parametrize(
    ("turn", "length_s", "quarters", "resting"),
    [(90, 1.2, 1, 90), (-90, 1.2, 1, -90), (180, 1.6, 2, 180), (-720, 4.0, 8, 0), (1080, 9.0, 12, 0)],
)
def test_a_car_that_turns_over_tells_how_far_and_how_it_lies(
    turn: float, length_s: float, quarters: int, resting: float
) -> None:
    event = _one(_tumble([(10.0, length_s, turn)]))
    assert event.roll_deg == pytest.approx(turn, rel=0.02, abs=8)
    assert event.quarter_turns == quarters
    assert event.resting_deg is not None
    assert (event.resting_deg - resting + 180) % 360 - 180 == pytest.approx(0, abs=8)
    assert event.t_ns / NS == pytest.approx(10.0 + 0.1 * length_s, abs=0.15 * length_s)
    assert event.speed_before_kmh == 60.0
    assert event.basis == "rotation"


@pytest.mark.parametrize(
    "turns",
    [
        [(10.0, 1.0, 45.0)],  # onto a bank
        [(10.0, 0.8, 40.0), (11.0, 0.8, -80.0), (12.0, 0.8, 40.0)],  # a swing
        [(10.0, 0.15, 120.0)],  # no car turns so fast: the box came loose
    ],
)
def test_what_is_no_rollover_is_not_called_one(turns: list[tuple[float, float, float]]) -> None:
    assert _detect(_tumble(turns)) == []


def test_a_slow_lift_of_a_standing_car_or_a_box_that_is_carried_is_no_rollover() -> None:
    assert _detect(_tumble([(10.0, 1.5, 90.0)], speed_kmh=0.0, shake=0.02)) == []
    assert _detect(_tumble([(10.0, 1.5, 90.0)], speed_kmh=None, shake=0.02)) == []
    assert _detect(_tumble([(10.0, 8.0, 30.0)])) == []


def test_a_box_that_falls_is_no_car_that_turns_over() -> None:
    assert [
        event for event in _detect(_tumble([(10.0, 0.5, 100.0)], falling=True)) if isinstance(event, Rollover)
    ] == []


def test_a_car_without_a_speed_signal_turns_over_too() -> None:
    event = _one(_tumble([(10.0, 1.6, 180.0)], speed_kmh=None))
    assert event.speed_before_kmh is None


def test_a_standing_car_that_is_hit_and_turned_over_tells_both() -> None:
    recording = dict(_tumble([(10.3, 1.6, 180.0)], speed_kmh=0.0, shake=0.02))
    lateral = recording[vss.ACCELERATION_LATERAL]
    t_s = lateral.t_ns / NS
    blow = np.where((t_s > 10) & (t_s < 10.1), 1 - np.cos(2 * np.pi * (t_s - 10) / 0.1), 0) * 20 / 3.6 / 0.1
    recording[vss.ACCELERATION_LATERAL] = series(t_s, lateral.value + blow)
    assert [event.kind for event in _detect(recording)] == ["collision", "rollover"]


def test_without_a_gyroscope_a_car_that_comes_to_lie_on_its_side_tells() -> None:
    event = _one(_tumble([(13.0, 1.6, -90.0)], gyroscope=False))
    assert (event.basis, event.quarter_turns, event.roll_deg) == ("attitude", 1, None)
    assert event.resting_deg == pytest.approx(-90, abs=2)
    assert event.t_ns / NS == pytest.approx(17, abs=1.1)


def test_attitude_says_nothing_of_a_standing_car_a_nose_that_points_down_or_where_a_gyroscope_knows_better() -> None:
    (moved,) = _detect(_tumble([(13.0, 1.6, 90.0)], gyroscope=False, speed_kmh=0.0, shake=0.02))
    assert isinstance(moved, DeviceShock)
    assert moved.what == "loose"
    assert _detect(_tumble([(13.0, 1.6, 80.0)], gyroscope=False, pitch=True)) == []
    fallen = dict(_tumble([(13.0, 1.6, 90.0)]))
    fallen[vss.ROLL_RATE] = series(fallen[vss.ROLL_RATE].t_ns / NS, 0.0)
    assert _detect(fallen) == []


def test_the_limit_is_configurable() -> None:
    limits = Detect(rollover=RolloverLimits(angle_deg=120.0))
    assert _detect(_tumble([(10.0, 1.2, 90.0)]), limits) == []
    assert len(_detect(_tumble([(10.0, 1.6, 180.0)]), limits)) == 1


def test_a_gyroscope_that_dies_in_the_roll_still_tells() -> None:
    recording = dict(_tumble([(10.0, 1.6, 180.0)]))
    rates = recording[vss.ROLL_RATE]
    alive = rates.t_ns < round(11.2 * NS)
    recording[vss.ROLL_RATE] = series(rates.t_ns[alive] / NS, rates.value[alive])
    event = _one(recording)
    assert event.resting_deg is None
    assert 60 < (event.roll_deg or 0) < 180


def test_windows_do_not_matter() -> None:
    recording = _tumble([(10.0, 1.6, 180.0), (24.0, 3.0, -540.0)], stop_s=28.0)
    rng = np.random.default_rng(9)
    whole = run(CollisionDetector(LIMITS), recording, cuts_ns=[])
    assert len(whole) == 2
    assert all(one.t_ns < other.t_ns for one, other in pairwise(whole))
    for _ in range(5):
        cuts = rng.integers(0, 30 * NS, 40).tolist()
        assert run(CollisionDetector(LIMITS), recording, cuts_ns=cuts) == whole
