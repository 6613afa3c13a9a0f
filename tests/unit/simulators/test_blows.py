"""The library of single blows: physics, truth, determinism, and a chip that filters before it clips."""

import numpy as np
import pytest

from agent.core import vss
from simulators.blows import HELD_OUT, KINDS, NEGATIVES, POSITIVES, TRAINING, TUNING, draw
from simulators.blows.chip import GRAVITY, Chip, low_pass, sample
from simulators.blows.library import is_true
from simulators.world.happening import PulseShape
from simulators.world.pulses import PEAK, pulse, pulse_step

ACCELERATIONS = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)


@pytest.mark.parametrize("shape", PEAK)
def test_a_pulse_is_its_step_made_steep(shape: PulseShape) -> None:
    t_s = np.arange(0, 0.3, 1e-5)
    acceleration, step = pulse(shape, t_s, 0.1, 0.12), pulse_step(shape, t_s, 0.1, 0.12)
    assert acceleration.sum() * 1e-5 == pytest.approx(1.0, rel=1e-3)
    assert np.abs(np.cumsum(acceleration) * 1e-5 - step).max() < 1e-3
    assert acceleration.max() == pytest.approx(PEAK[shape] / 0.12, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_a_function_of_kind_and_seed(kind: str) -> None:
    one, again, other = draw(kind, 3), draw(kind, 3), draw(kind, 4)
    assert one.signals.keys() == again.signals.keys()
    for path, series in one.signals.items():
        assert np.array_equal(series.t_ns, again.signals[path].t_ns)
        assert np.array_equal(series.value, again.signals[path].value)
    x = vss.ACCELERATION_LONGITUDINAL
    assert not np.array_equal(one.signals[x].value, other.signals[x].value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
def test_every_class_makes_sound_series_at_any_rate(kind: str, rate_hz: int) -> None:
    scene = draw(kind, 11, rate_hz=rate_hz)
    for path, series in scene.signals.items():
        assert np.isfinite(series.value).all(), path
        assert (np.diff(series.t_ns) > 0).all(), path
    steps_s = np.diff(scene.signals[ACCELERATIONS[0]].t_ns) / 1e9
    assert np.median(steps_s) == pytest.approx(1 / rate_hz, rel=0.02)
    assert (scene.blow is not None) == (kind in POSITIVES)
    assert is_true(scene)


@pytest.mark.parametrize("seed", range(12))
def test_the_delta_v_of_a_parked_hit_is_the_one_drawn(seed: int) -> None:
    scene = draw("parked_hit", seed)
    assert scene.blow is not None
    assert scene.car_delta_v_kmh == pytest.approx(scene.blow.delta_v_kmh, rel=0.03, abs=0.15)
    assert 3 <= scene.blow.delta_v_kmh <= 30
    assert vss.SPEED not in scene.signals


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_changes_the_speed_felt_as_drawn(seed: int) -> None:
    scene = draw("crash", seed, rate_hz=1600, mount="known", range_g=200.0)
    blow = scene.blow
    assert blow is not None
    t_ns = scene.signals[ACCELERATIONS[0]].t_ns
    felt = np.column_stack([scene.signals[path].value for path in ACCELERATIONS])
    rows = slice(*np.searchsorted(t_ns, (blow.t_ns, blow.t_ns + blow.duration_ms * 1e6)))
    seconds = (t_ns[rows.stop - 1] - t_ns[rows.start]) / 1e9
    rest = np.median(felt[t_ns < blow.t_ns - 1.5e9], axis=0)
    change_kmh = (felt[rows] - rest).mean(axis=0) * seconds * 3.6
    assert np.hypot(change_kmh[0], change_kmh[1]) == pytest.approx(blow.delta_v_kmh, rel=0.08, abs=1.0)
    pdof_deg = np.degrees(np.arctan2(-change_kmh[1], -change_kmh[0]))
    assert (pdof_deg - blow.pdof_deg + 180) % 360 - 180 == pytest.approx(0, abs=8)
    assert 60 <= blow.duration_ms <= 150
    assert 8 <= blow.delta_v_kmh <= 80


@pytest.mark.parametrize("kind", [kind for kind, negative in NEGATIVES.items() if negative.befalls == "car"])
def test_what_is_no_collision_is_clearly_below_the_trigger(kind: str) -> None:
    limit_kmh = 7.2 if NEGATIVES[kind].hours_of == "driving" else 2.7
    assert max(draw(kind, seed, rate_hz=100).car_delta_v_kmh for seed in range(8)) < limit_kmh


def test_a_known_mounting_reads_gravity_upwards_and_an_unknown_one_says_so() -> None:
    known, unknown = draw("ferry", 1, mount="known"), draw("pothole", 1, mount="unknown")
    rest = [float(np.median(known.signals[path].value)) for path in ACCELERATIONS]
    assert rest[2] == pytest.approx(GRAVITY, abs=0.6)
    assert known.signals[vss.IMU_HEADING_ERROR].value.max() == 2.0
    assert unknown.signals[vss.IMU_HEADING_ERROR].value.min() == 180.0
    size = np.linalg.norm([np.median(unknown.signals[path].value) for path in ACCELERATIONS])
    assert size == pytest.approx(GRAVITY, abs=0.6)


def test_seeds_for_training_tuning_and_reporting_do_not_overlap() -> None:
    assert not set(range(0, 20_000_000, 999)) & set(TRAINING) & set(TUNING)
    assert max(TRAINING) < min(TUNING) <= max(TUNING) < min(HELD_OUT)


def test_a_chip_filters_before_it_clips() -> None:
    t_s = np.arange(0, 1, 1 / 10_000)
    ring = 400.0 * np.sin(2 * np.pi * 1500 * t_s)  # far beyond both bandwidth and range
    force = np.column_stack([ring, np.zeros_like(t_s), np.full_like(t_s, GRAVITY)])
    reading = sample(Chip(rate_hz=400, range_g=16, noise_mps2=0.0), np.random.default_rng(1), t_s, force)
    assert not reading.clipped.any()
    assert np.abs(reading.values[:, 0]).max() < 10
    assert reading.values[:, 2] == pytest.approx(GRAVITY, abs=0.01)
    long_push = np.column_stack([np.full_like(t_s, -300.0), 0 * t_s, 0 * t_s])
    reading = sample(Chip(rate_hz=400, range_g=16, noise_mps2=0.0), np.random.default_rng(1), t_s, long_push)
    assert (reading.clipped == 1).all()
    assert reading.values[:, 0] == pytest.approx(-16 * GRAVITY)


def test_the_low_pass_loses_3_db_at_its_end_and_nothing_of_a_delta_v() -> None:
    t_s = np.arange(0, 4, 1 / 4000)
    wave = np.sin(2 * np.pi * 100 * t_s)[:, None]
    assert np.abs(low_pass(wave, 4000, 100)[8000:]).max() == pytest.approx(0.5**0.5, rel=0.01)
    blow = pulse("sawtooth", t_s, 1.0, 0.08)[:, None]
    assert low_pass(blow, 4000, 30).sum() == pytest.approx(blow.sum(), rel=1e-6)
    assert np.abs(low_pass(blow, 4000, 30)[:3900]).max() < 1e-6


def test_a_box_that_is_fixed_keeps_no_delta_v_of_a_knock() -> None:
    for seed in range(6):
        scene = draw("knock_parked", seed, rate_hz=1600, mount="known", range_g=200.0)
        t_s = scene.signals[ACCELERATIONS[0]].t_ns / 1e9
        felt = np.column_stack([scene.signals[path].value for path in ACCELERATIONS])
        change_kmh = (felt - np.median(felt[t_s < 2.5], axis=0)).sum(axis=0) / 1600 * 3.6
        assert np.linalg.norm(change_kmh) < 1
