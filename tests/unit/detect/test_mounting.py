from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest

from agent.core.signals import Series
from agent.detect.alignment import angle_deg, level_rotation, towards
from agent.detect.mounting import SelfMount
from simulators.mounting import SpeedBy, Speeds, commute, feed, hills, random_rotation
from simulators.world import Drive
from tests.held_state import HeldState

NS = 1_000_000_000
G = 9.80665


@cache
def drive_of(seed: int, minutes: float) -> Drive:
    return commute(seed, minutes * 60)


def learn(mount: SelfMount, seed: int, minutes: float, *, by: SpeedBy = "car", start_ns: int = 0) -> None:
    drive = drive_of(seed, minutes)
    for _ in feed(mount, drive, random_rotation(seed), by=by, start_ns=start_ns, slopes=hills(drive, seed)):
        pass


def error_deg(mount: SelfMount, mounted: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    assert mount.orientation is not None
    return angle_deg(mount.orientation.rotation, mounted.T)


def standing(mount: SelfMount, seconds: int, force: list[float], *, start_s: int = 0) -> None:
    for second in range(start_s, start_s + seconds):
        t_ns = second * NS + np.arange(0, NS, NS // 50)
        mount.rotations(t_ns, np.zeros((50, 3)))
        mount.accelerations(t_ns, np.tile(np.array(force), (50, 1)))


@pytest.mark.parametrize("by", ["car", "obd", "gnss"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_minutes_of_hills_are_enough_at_any_angle(seed: int, by: SpeedBy) -> None:
    mount = SelfMount()
    learn(mount, seed, 10, by=by)
    assert error_deg(mount, random_rotation(seed)) < 5
    assert mount.heading_error_deg < 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_a_gyroscope_it_says_how_little_it_knows(seed: int) -> None:
    mount, mounted, drive = SelfMount(), random_rotation(seed), drive_of(seed, 10)
    for _ in feed(mount, drive, mounted, turning=False):
        pass
    assert mount.orientation is not None
    up = mount.orientation.rotation @ mounted[:, 2]
    assert np.degrees(np.arccos(up[2])) < 3
    assert mount.heading_error_deg == 180 or error_deg(mount, mounted) < mount.heading_error_deg + 3


def test_before_it_knows_it_is_level_and_says_so() -> None:
    drive, mounted, mount = drive_of(1, 10), random_rotation(1), SelfMount()
    for t_ns, turned in feed(mount, drive, mounted):
        if t_ns > 20 * NS:
            break
        assert mount.heading_error_deg == 180
        assert np.degrees(np.arccos(turned.mean(axis=0)[2] / np.linalg.norm(turned.mean(axis=0)))) < 25
    assert mount.heading_error_deg == 180


def test_what_was_learnt_outlives_a_boot() -> None:
    store = HeldState()
    learn(SelfMount(store), 2, 10)
    assert 0 < len(store.state) < 1000
    again = SelfMount(store)
    drive = drive_of(2, 10)
    t_ns, turned = next(feed(again, drive, random_rotation(2)))
    assert t_ns <= NS
    assert again.heading_error_deg < 10
    assert error_deg(again, random_rotation(2)) < 5
    assert turned.mean(axis=0) == pytest.approx([0, 0, G], abs=0.6)


def test_a_box_that_was_moved_between_boots_is_doubted_and_learnt_anew() -> None:
    store = HeldState()
    learn(SelfMount(store), 2, 10)
    mount, mounted, doubted_s = SelfMount(store), random_rotation(9), None
    for t_ns, _ in feed(mount, drive_of(3, 10), mounted):
        if doubted_s is None and mount.heading_error_deg == 180:
            doubted_s = t_ns / NS
    assert doubted_s is not None
    assert doubted_s < 90
    assert error_deg(mount, mounted) < 5
    assert mount.heading_error_deg < 10


def test_a_box_that_was_turned_about_the_vertical_is_noticed_too() -> None:
    store = HeldState()
    learn(SelfMount(store), 2, 10)
    turned = random_rotation(2) @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mount = SelfMount(store)
    for _ in feed(mount, drive_of(3, 10), turned):
        pass
    assert error_deg(mount, turned) < 5
    assert mount.heading_error_deg < 10


def test_the_axes_never_jump() -> None:
    mount, mounted, before = SelfMount(), random_rotation(5), None
    for _ in feed(mount, drive_of(3, 10), mounted):
        assert mount._rotation is not None
        if before is not None:
            assert angle_deg(before, mount._rotation) < 2.1 * 0.2 + 0.01  # 2 degrees a second, looked at every 200 ms
        before = mount._rotation


def test_without_speed_there_is_a_level_and_no_heading() -> None:
    mount = SelfMount()
    standing(mount, 60, [3.0, -8.0, 4.8])
    up = np.array([3.0, -8.0, 4.8]) / np.linalg.norm([3.0, -8.0, 4.8])
    assert mount.orientation is not None
    assert mount.orientation.rotation @ up == pytest.approx([0, 0, 1])
    assert mount.heading_error_deg == 180


def test_an_hour_parked_on_a_slope_does_not_outweigh_the_drive() -> None:
    mount, drive, mounted = SelfMount(), drive_of(2, 10), random_rotation(2)
    for _ in feed(mount, drive, mounted):
        pass
    sloping = mounted @ np.array([G * np.sin(0.14), 0, G * np.cos(0.14)])
    for second in range(601, 4200):
        t_ns = second * NS + np.arange(0, NS, NS // 4)
        mount.observe(Speeds(second * NS, "Vehicle.Speed", Series(t_ns[:1], np.zeros(1))))
        mount.accelerations(t_ns, np.tile(sloping, (4, 1)))
    assert error_deg(mount, mounted) < 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: np.full_like(rows, np.nan),
        lambda rows: np.where(np.arange(len(rows))[:, None] % 3 == 0, np.inf, rows),
        np.zeros_like,
        lambda rows: np.full_like(rows, 156.9),
        lambda rows: np.tile([0.0, 0.0, G], (len(rows), 1)),
    ],
    ids=["nan", "inf", "dead", "at its end", "stuck"],
)
def test_nonsense_teaches_no_direction(
    spoil: Callable[
        [np.ndarray[tuple[int, ...], np.dtype[np.float64]]], np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    ],
) -> None:
    mount, drive = SelfMount(), drive_of(1, 10)
    spoilt = spoil(drive.imu.acceleration[:30_000])
    for edge in range(0, 30_000, 20):
        t_ns = drive.imu.t_ns[edge : edge + 20]
        mount.rotations(t_ns, np.full((20, 3), np.nan))
        turned = mount.accelerations(t_ns, spoilt[edge : edge + 20])
        assert turned.shape == (20, 3)
        mount.observe(Speeds(int(t_ns[-1]), "Vehicle.Speed", Series(t_ns[-1:], 20.0 + 10 * np.sin(t_ns[-1:] / 3e9))))
    assert mount.heading_error_deg == 180


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"[]",
        b'{"rows":100.0,"regressors":[[1]],"forces":[],"squares":[],"still_s":0,"still":[]}',
        msgspec.json.encode(
            {
                "regressors": [[1e9] * 3] * 3,
                "forces": [[0.0] * 3] * 3,
                "squares": [[0.0] * 3] * 3,
                "still_s": 0.0,
                "still": [0.0] * 3,
            }
        ),
        msgspec.json.encode(
            {
                "rows": 100.0,
                "regressors": [[100.0, 0, 0], [0, -5, 0], [0, 0, 1]],
                "forces": [[0.0, 0, 980], [0, 0, 0], [0, 0, 0]],
                "squares": [[0.0, 0, 0], [0, 0, 0], [0, 0, 9604]],
                "still_s": 0.0,
                "still": [0.0] * 3,
            }
        ),
    ],
)
def test_a_state_that_makes_no_sense_is_none(state: bytes) -> None:
    mount = SelfMount(HeldState(state))
    assert mount.orientation is None
    assert mount.heading_error_deg == 180


def test_turning_goes_the_short_way_and_arrives() -> None:
    for seed in range(20):
        one, other = random_rotation(seed), random_rotation(seed + 100)
        whole = angle_deg(one, other)
        part = towards(one, other, 10.0)
        assert angle_deg(part, other) == pytest.approx(max(whole - 10, 0), abs=1e-6)
        assert part @ part.T == pytest.approx(np.eye(3))
    upside_down = np.diag([1.0, -1.0, -1.0])
    assert angle_deg(towards(np.eye(3), upside_down, 30), upside_down) == pytest.approx(150)
    assert towards(np.eye(3), upside_down, 180) == pytest.approx(upside_down)


def test_level_is_the_smallest_turn() -> None:
    for seed in range(20):
        up = random_rotation(seed)[0]
        assert level_rotation(up) @ up == pytest.approx([0, 0, 1])
        assert angle_deg(level_rotation(up), np.eye(3)) == pytest.approx(np.degrees(np.arccos(up[2])))
    assert level_rotation(np.array([0.0, 0, -1])) @ [0, 0, -1] == pytest.approx([0, 0, 1])
