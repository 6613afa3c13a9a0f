"""Whatever a broken sensor or clock makes of a quiet drive: no error, no collision, the same however it is cut."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import vss
from agent.core.events import Collision, Event
from agent.core.signals import Series, SignalCatalog, SignalSpec, interleave
from agent.decode.history import History
from agent.detect.collision import CollisionDetector
from agent.detect.screen import Screen
from tests.unit.detect.feed import LIMITS, NS, Recording, run

Floats = npt.NDArray[np.float64]

G = 9.80665
DURATION_S = 16.0
PATHS = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)

faults = st.lists(
    st.tuples(
        st.sampled_from(["nan", "inf", "stuck", "full", "dead", "swap", "glitch", "repeat", "slow", "fast", "forward"]),
        st.floats(2, DURATION_S),  # when
        st.sampled_from([0.003, 0.05, 0.3, 2.0, 60.0]),  # how long
        st.sampled_from([0, 1, 2]),  # which axis
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda fault: fault[0],
)


def _drive(seed: int, rate_hz: int, speed_kmh: float | None) -> tuple[Floats, Floats, Recording]:
    rng = np.random.default_rng(seed)
    t_s = np.arange(0, DURATION_S, 1 / rate_hz) + rng.uniform(0, 0.2 / rate_hz, round(DURATION_S * rate_hz))
    values = rng.normal(0, 0.02 if speed_kmh == 0 else 0.5, (len(t_s), 3)) + np.array([0.1, -0.2, G])
    others: dict[str, Series] = {}
    if speed_kmh is not None:
        speed_s = np.arange(0, DURATION_S, 0.1)
        others[vss.SPEED] = Series((speed_s * NS).astype(np.int64), np.full(len(speed_s), speed_kmh))
    return t_s, values, others


def _break(t_s: Floats, values: Floats, fault: tuple[str, float, float, int]) -> tuple[Floats, Floats]:
    what, at_s, span_s, axis = fault
    inside = (t_s >= at_s) & (t_s < at_s + span_s)
    if not inside.any():
        return t_s, values
    t_s, values = t_s.copy(), values.copy()
    first = int(np.flatnonzero(inside)[0])
    if what in ("nan", "inf", "glitch"):
        values[inside if what != "glitch" else first, axis] = {"nan": np.nan, "inf": np.inf, "glitch": 150.0}[what]
    elif what in ("stuck", "full"):
        values[inside, axis] = values[first, axis] if what == "stuck" else 16 * G
    elif what == "dead":
        values[inside] = np.nan
    elif what == "swap":
        values[inside] = values[inside][:, [1, 2, 0]]
    elif what == "repeat":
        t_s[inside] = t_s[first]
    elif what in ("slow", "fast"):
        t_s[first:] = t_s[first] + (t_s[first:] - t_s[first]) * (1.3 if what == "slow" else 0.8)
    else:
        t_s[first:] += span_s
    return t_s, values


def _recording(t_s: Floats, values: Floats, others: Recording) -> Recording:
    t_ns = np.maximum.accumulate(np.rint(t_s * NS).astype(np.int64))  # a Series never goes back
    return {**others, **{path: Series(t_ns, values[:, axis].copy()) for axis, path in enumerate(PATHS)}}


def _in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.t_ns, event.kind))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**20), faults, st.sampled_from([100, 400]), st.sampled_from([None, 0.0, 50.0]))
def test_a_broken_sensor_is_no_collision(
    seed: int, broken: list[tuple[str, float, float, int]], rate_hz: int, speed_kmh: float | None
) -> None:
    t_s, values, others = _drive(seed, rate_hz, speed_kmh)
    for fault in broken:
        t_s, values = _break(t_s, values, fault)
    recording = _recording(t_s, values, others)
    events = run(CollisionDetector(LIMITS), recording, window_s=0.02)
    assert not [event for event in events if isinstance(event, Collision)]
    assert _in_order(events) == _in_order(run(CollisionDetector(LIMITS), recording, cuts_ns=[]))


@pytest.mark.parametrize("jump_s", [-0.05, -3.0, 3.0, 40.0])
def test_a_clock_that_jumps_is_no_collision(jump_s: float) -> None:
    t_s, values, _ = _drive(3, 400, None)
    t_s[t_s > 8] += jump_s
    catalog = SignalCatalog()
    numbers = [catalog.add(SignalSpec(path)) for path in PATHS]
    history = History(catalog)
    detector = CollisionDetector(LIMITS)
    events: list[Event] = []
    for first in range(0, len(t_s), 8):
        rows = slice(first, first + 8)
        samples = interleave((t_s[rows] * NS).astype(np.int64), values[rows], first=numbers[0])
        history.extend(samples)
        events += detector.update(history.window(samples, int(t_s[rows].max() * NS)))
    assert events + detector.finish(0) == []
    assert bool(history.backwards) == (jump_s < 0)


@pytest.mark.parametrize("rate_hz", [100, 400])
def test_a_clock_that_goes_back_is_screened_where_no_history_does_it(rate_hz: int) -> None:
    screen = Screen()
    t_ns = np.arange(0, 3 * NS, NS // rate_hz)
    assert len(screen.pass_on("a", Series(t_ns, np.zeros(len(t_ns))))) == len(t_ns)
    assert len(screen.pass_on("a", Series(t_ns[-5:], np.zeros(5)))) == 0
    mixed = Series(np.array([4, 3, 5, 5, 6]) * NS, np.array([1.0, 2.0, np.nan, 4.0, 5.0]))
    passed = screen.pass_on("a", mixed)
    assert passed.value.tolist() == [1.0, 5.0]
    assert screen.jumped(4 * NS, 4 * NS)
    assert not screen.jumped(5 * NS, 9 * NS)


def test_a_sensor_that_dies_in_the_crash_is_told_with_it() -> None:
    t_s, values, others = _drive(5, 400, 50.0)
    values[:, 0] -= 200 * np.clip(np.sin(np.pi * (t_s - 8) / 0.12), 0, None) * ((t_s > 8) & (t_s < 8.12))
    alive = t_s < 8.07
    dead = _recording(t_s[alive], values[alive], others)
    (event,) = run(CollisionDetector(LIMITS), dead)
    assert isinstance(event, Collision)
    assert event.limits_of_data[-1] == "sensor_died"
    axis_dies = {**_recording(t_s, values, others), PATHS[0]: dead[PATHS[0]]}
    (event,) = run(CollisionDetector(LIMITS), axis_dies)
    assert isinstance(event, Collision)
    assert event.crash_mode == "frontal"
