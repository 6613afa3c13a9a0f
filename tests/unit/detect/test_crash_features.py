import numpy as np
import numpy.typing as npt
import pytest

from agent.detect.crash_features import FEATURES, crash_features, named
from agent.detect.impacts import Pulse
from agent.detect.pulse import MS, Mounting, PulseHistory, PulseTrace

Floats = npt.NDArray[np.float64]

T0_NS = 1_000_000_000


def _trace(rate_hz: float, *blows: tuple[float, float, tuple[float, float, float]], until_s: float = 1.4) -> PulseTrace:
    """Haversine blows (start in s after T0, length in s, km/h per axis) without any noise."""
    t_s = np.arange(0.4, until_s, 1 / rate_hz)
    force = np.zeros((len(t_s), 3))
    for start_s, length_s, kmh in blows:
        phase = np.clip((t_s - 1.0 - start_s) / length_s, 0, 1)
        force += ((1 - np.cos(2 * np.pi * phase)) / length_s)[:, None] * np.array(kmh) / 3.6
    history = PulseHistory()
    history.add((t_s * 1e9).astype(np.int64), force, np.zeros(len(t_s), np.bool_))
    return history.trace()


def _features(
    trace: PulseTrace,
    *,
    length_ms: int = 100,
    mounting: Mounting = Mounting(),  # noqa: B008  # frozen
    speed_kmh: float | None = None,
) -> dict[str, float]:
    pulse = Pulse(T0_NS, T0_NS + length_ms // 2 * MS, standing=False)
    end = trace.first_after(T0_NS + length_ms * MS)
    return dict(named(crash_features(trace, pulse, end, mounting=mounting, speed_kmh=speed_kmh)))


@pytest.mark.parametrize("rate_hz", [100, 400, 1600])
def test_a_pulse_has_the_same_features_at_every_rate(rate_hz: float) -> None:
    told = _features(_trace(rate_hz, (0.0, 0.1, (-20.0, 0.0, 2.0))), speed_kmh=50.0)
    assert set(told) == set(FEATURES)
    assert told["delta_v_kmh"] == pytest.approx(20, rel=0.02)
    assert told["longitudinal_kmh"] == pytest.approx(-20, rel=0.02)
    assert told["lateral_kmh"] == pytest.approx(0, abs=0.01)
    assert told["vertical_kmh"] == pytest.approx(2, rel=0.02)
    assert told["kmh_in_150ms"] == pytest.approx(20, rel=0.02)
    assert told["kmh_in_50ms"] == pytest.approx(16.4, rel=0.04)
    assert told["peak_mps2"] == pytest.approx(111 * 0.98, rel=0.05)
    assert told["peak_after_ms"] == pytest.approx(50, abs=6)
    assert told["fill"] == pytest.approx(0.5, abs=0.04)
    assert told["crest"] == pytest.approx(1, abs=0.06)
    assert told["vertical_share"] == pytest.approx(1 / 11, abs=0.01)
    assert told["sign_changes"] == 0
    assert told["ringing"] < 0.05
    assert told["rebound"] == pytest.approx(0, abs=0.01)
    assert told["free_fall_ms"] == 0
    assert told["speed_before_kmh"] == 50
    assert told["turn_dps"] == -1
    assert told["rise_ms"] == pytest.approx(48, abs=5)
    assert told["carry_on"] == pytest.approx(0, abs=0.01)


def test_without_known_axes_only_what_is_across_and_along_gravity_is_told() -> None:
    trace = _trace(400, (0.0, 0.1, (2.0, 12.0, 16.0)))
    told = _features(trace, mounting=Mounting((1.0, 0.0, 0.0), trusted=False))
    assert told["delta_v_kmh"] == pytest.approx(20, rel=0.02)
    assert told["vertical_kmh"] == pytest.approx(2, rel=0.02)
    assert told["longitudinal_kmh"] == told["lateral_kmh"] == 0


def test_what_swings_back_rebounds_and_what_rings_turns() -> None:
    swing = _features(_trace(400, (0.0, 0.05, (10.0, 0.0, 0.0)), (0.05, 0.05, (-10.0, 0.0, 0.0))))
    assert swing["rebound"] == pytest.approx(1, abs=0.05)
    assert swing["sign_changes"] == 1
    ringing = [(0.02 * k, 0.02, (8.0 * (-1) ** k, 0.0, 0.0)) for k in range(5)]
    assert _features(_trace(400, *ringing))["ringing"] > 0.3


def test_a_blow_before_and_a_fall_before_are_seen() -> None:
    echo = _features(_trace(400, (-0.2, 0.05, (0.0, 0.0, 5.0)), (0.0, 0.1, (-10.0, 0.0, 0.0))))
    assert echo["echo_before"] == pytest.approx(1, abs=0.05)
    assert echo["shake_before_mps2"] > 5
    trace = _trace(400, (0.0, 0.1, (-10.0, 0.0, 0.0)))
    falling = trace.acceleration(slice(0, len(trace.t_ns)))
    falling[(trace.t_ns > T0_NS - 300 * MS) & (trace.t_ns < T0_NS), 2] -= 9.81
    history = PulseHistory()
    history.add(trace.t_ns, falling, trace.clipped)
    assert _features(history.trace())["free_fall_ms"] == pytest.approx(290, abs=15)


def test_a_box_that_lies_otherwise_afterwards_has_an_offset() -> None:
    trace = _trace(400, (0.0, 0.1, (-10.0, 0.0, 0.0)))
    assert _features(trace)["offset_after_mps2"] == pytest.approx(0, abs=0.05)
    tilted = trace.acceleration(slice(0, len(trace.t_ns)))
    tilted[trace.t_ns > T0_NS + 100 * MS] += [9.81, 0.0, -9.81]
    history = PulseHistory()
    history.add(trace.t_ns, tilted, trace.clipped)
    told = _features(history.trace())
    assert told["offset_after_mps2"] == pytest.approx(13.9, abs=0.2)
    assert told["tilt_after_deg"] == pytest.approx(90, abs=1)


def test_braking_before_is_a_push_and_no_shake_and_skidding_after_is_no_tilt() -> None:
    trace = _trace(400, (0.0, 0.1, (-10.0, 0.0, 0.0)))
    braking = trace.acceleration(slice(0, len(trace.t_ns)))
    braking[:, 0] -= 8.0
    history = PulseHistory()
    history.add(trace.t_ns, braking, trace.clipped)
    told = _features(history.trace())
    assert told["push_before_mps2"] == pytest.approx(8, abs=0.1)
    assert told["shake_before_mps2"] < 0.5
    assert told["offset_after_mps2"] == pytest.approx(8, abs=0.1)
    assert told["tilt_after_deg"] == 0
    assert told["carry_on"] == pytest.approx(0.13, abs=0.02)


def test_a_trace_that_ends_in_the_pulse_and_one_that_is_broken_have_features_too() -> None:
    trace = _trace(100, (0.0, 0.1, (-40.0, 0.0, 0.0)), until_s=1.05)
    pulse = Pulse(T0_NS, T0_NS + 30 * MS, standing=False)
    told = named(crash_features(trace, pulse, len(trace.t_ns) - 1, mounting=Mounting()))
    assert 10 < told["delta_v_kmh"] < 30
    lone = PulseTrace(trace.t_ns[:1], np.full((1, 3), 10**12), np.zeros(1, np.bool_))
    wild = crash_features(lone, Pulse(int(lone.t_ns[0]), int(lone.t_ns[0]), standing=True), 0, mounting=Mounting())
    assert all(abs(value) <= 2_000_000 for value in wild)


def test_no_features_have_no_names() -> None:
    assert named([]) == {}
