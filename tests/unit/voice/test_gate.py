from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.config import Voice
from agent.core.events import Collision, Priority
from agent.core.vss import ACCELERATION_LATERAL, ACCELERATION_LONGITUDINAL, CURRENT_GEAR, SELECTED_GEAR, SPEED
from agent.voice.gate import Gate

MakeWindow = Callable[..., Any]
CONFIG = Voice()
DRIVING = {SPEED: 60.0}
SECOND = 1_000_000_000


def steady(value: float, start_s: float, end_s: float) -> list[tuple[float, float]]:
    return [(n / 100, value) for n in range(round(start_s * 100), round(end_s * 100))]


def crash(t_s: float, *, duration_ms: float = 100.0) -> Collision:
    return Collision(t_ns=round(t_s * 1e9), delta_v_kmh=40, duration_ms=duration_ms, peak_mps2=300, stationary=False)


def is_open(gate: Gate, t_s: float, urgency: int = Priority.SERVICE) -> bool:
    return gate.is_open(round(t_s * 1e9), urgency)


@pytest.mark.parametrize(
    ("path", "value", "closed"),
    [
        (ACCELERATION_LONGITUDINAL, -3.5, True),
        (ACCELERATION_LONGITUDINAL, -2.5, False),
        (ACCELERATION_LONGITUDINAL, 5.0, False),  # accelerating is no reason to be silent
        (ACCELERATION_LATERAL, 3.0, True),
        (ACCELERATION_LATERAL, -3.0, True),
        (ACCELERATION_LATERAL, 2.0, False),
    ],
)
def test_a_manoeuvre_closes_the_gate_until_it_has_been_calm_for_a_while(
    make_window: MakeWindow, path: str, value: float, *, closed: bool
) -> None:
    gate = Gate(CONFIG)
    gate.update(make_window({path: [*steady(0, 0, 1), *steady(value, 1, 3)]}, latest=DRIVING))
    assert is_open(gate, 3.0) is not closed
    assert is_open(gate, 2.9 + CONFIG.gate_quiet_s) is not closed
    assert is_open(gate, 3.0 + CONFIG.gate_quiet_s)


def test_one_shake_of_a_rough_road_is_no_manoeuvre(make_window: MakeWindow) -> None:
    gate = Gate(CONFIG)
    rough = [(t, value * (-1) ** n) for n, (t, value) in enumerate(steady(8.0, 0, 2))]
    gate.update(make_window({ACCELERATION_LONGITUDINAL: rough, ACCELERATION_LATERAL: rough}, latest=DRIVING))
    assert is_open(gate, 2.0)


def test_a_sensor_mounted_askew_does_not_silence_a_standing_car(make_window: MakeWindow) -> None:
    gate = Gate(CONFIG)
    gate.update(make_window({ACCELERATION_LONGITUDINAL: steady(-9.8, 0, 2)}, latest={SPEED: 0.0}))
    assert is_open(gate, 2.0)


def test_without_an_imu_the_speed_tells_of_braking(make_window: MakeWindow) -> None:
    braking = [(n / 10, 80.0 - 1.5 * n) for n in range(20)]  # 15 km/h a second: 4.2 m/s^2
    gate = Gate(CONFIG)
    gate.update(make_window({SPEED: braking}))
    assert not is_open(gate, 2.0)
    coasting = [(n / 10, 80.0 - 0.5 * n) for n in range(20)]
    gate = Gate(CONFIG)
    gate.update(make_window({SPEED: coasting}))
    assert is_open(gate, 2.0)


def test_after_a_collision_only_crash_speech_and_only_once_the_pulse_is_over() -> None:
    gate = Gate(CONFIG)
    gate.on_collision(crash(10.0))
    assert not is_open(gate, 10.2, Priority.CRASH)
    assert is_open(gate, 12.0, Priority.CRASH)
    assert not is_open(gate, 12.0, Priority.SAFETY)
    assert is_open(gate, 12.0 + CONFIG.gate_crash_s, Priority.SAFETY)


def test_the_driver_is_asked_within_seconds_whatever_the_detector_says_of_the_pulse(make_window: MakeWindow) -> None:
    gate = Gate(CONFIG)
    gate.on_collision(crash(10.0, duration_ms=1e12))
    gate.update(make_window({ACCELERATION_LONGITUDINAL: steady(-9.0, 10, 13)}, latest=DRIVING))
    assert is_open(gate, 13.0, Priority.CRASH)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-20, 20), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_any_split_into_windows_gives_the_same_gate(
    make_window: MakeWindow, values: Sequence[float], cuts: Sequence[int]
) -> None:
    rows = [(n / 50, value) for n, value in enumerate(values)]
    whole, split = Gate(CONFIG), Gate(CONFIG)
    paths = (ACCELERATION_LONGITUDINAL, ACCELERATION_LATERAL)
    whole.update(make_window(dict.fromkeys(paths, rows), latest=DRIVING))
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in pairwise(edges):
        split.update(make_window(dict.fromkeys(paths, rows[start:end]), latest=DRIVING))
    for urgency in Priority:
        assert whole.opens_ns(urgency) == split.opens_ns(urgency)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-20, 20), min_size=1, max_size=60),
    crash_s=st.none() | st.floats(0, 2),
    t_s=st.floats(0, 100),
)
def test_the_gate_opens_for_good_in_a_known_time_and_first_for_the_urgent(
    make_window: MakeWindow, values: Sequence[float], crash_s: float | None, t_s: float
) -> None:
    gate = Gate(CONFIG)
    gate.update(make_window({ACCELERATION_LONGITUDINAL: [(n / 50, v) for n, v in enumerate(values)]}, latest=DRIVING))
    if crash_s is not None:
        gate.on_collision(crash(crash_s))
    for urgency in Priority:
        opens_ns = gate.opens_ns(urgency)
        assert is_open(gate, t_s, urgency) == (opens_ns is None or round(t_s * 1e9) >= opens_ns)
        assert (opens_ns or 0) <= (2 + 2 + 1 + CONFIG.gate_crash_s + CONFIG.gate_quiet_s) * SECOND
    if is_open(gate, t_s, Priority.TELEMETRY):
        assert is_open(gate, t_s, Priority.CRASH)


@pytest.mark.parametrize("path", [CURRENT_GEAR, SELECTED_GEAR])
def test_reversing_closes_the_gate_until_another_gear_and_some_calm(make_window: MakeWindow, path: str) -> None:
    gate = Gate(CONFIG)
    gate.update(make_window({path: [(1.0, 1.0), (2.0, -1.0)]}))
    gate.update(make_window({path: [(9.0, -1.0), (10.0, 1.0), (11.0, 1.0)]}))
    assert not is_open(gate, 10.0 + CONFIG.gate_quiet_s - 0.1)
    assert is_open(gate, 10.0 + CONFIG.gate_quiet_s)
    assert is_open(gate, 10.0, Priority.CRASH)


def test_braking_to_a_stand_counts_to_its_end(make_window: MakeWindow) -> None:
    gate = Gate(CONFIG)
    speed = [(n / 10, max(0.0, 30.0 - 2.5 * n)) for n in range(20)]
    gate.update(make_window({SPEED: speed, ACCELERATION_LONGITUDINAL: steady(-7.0, 0, 1.2)}))
    assert not is_open(gate, 1.1 + CONFIG.gate_quiet_s - 0.1)
