"""Whatever a broken sensor or clock makes of a quiet drive: no error, no collision, the same however it is cut."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import vss
from agent.core.events import Collision, Event
from agent.core.signals import Series
from agent.detect.collision import CollisionDetector
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
    t_s, values, others = _drive(3, 400, None)
    t_s[t_s > 8] += jump_s
    recording = {path: Series((t_s * NS).astype(np.int64), values[:, axis]) for axis, path in enumerate(PATHS)}
    detector = CollisionDetector(LIMITS)
    events: list[Event] = []
    for first in range(0, len(t_s), 8):
        rows = slice(first, first + 8)
        window = {path: Series(series.t_ns[rows], series.value[rows]) for path, series in recording.items()}
        end_ns = max(int(series.t_ns.max()) for series in window.values())
        events += detector.update(_Slice({**window, **({} if first else others)}, end_ns))
    assert events + detector.finish(0) == []


class _Slice:
    """A window that holds what a source with a bad clock gave."""

    def __init__(self, series: Recording, t_ns: int) -> None:
        self._series = series
        self.t_ns = t_ns

    def paths(self) -> list[str]:
        return list(self._series)

    def new(self, path: str) -> Series:
        return self._series.get(path, Series(np.empty(0, np.int64), np.empty(0)))

    def recent(self, path: str, _: float) -> Series:
        return self.new(path)

    def latest(self, _: str) -> float | None:
        return None
