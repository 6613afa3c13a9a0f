"""The collision detector beside a plain loop over samples of the same rule: CPU time of both on the same samples.

Six minutes of a car's IMU at 1,600 Hz with gyroscope, in the car's windows of 20 ms: it stands, drives, brakes, hits
a pothole a minute, and is hit twice. The peer takes the same windows and does what a careful writer does without
arrays: running sums, a ring for the span, no square roots; any mounting, the resting level, both limits, T0, the end,
delta-v, clipping; no features, no verdict on the shape. It must find the same collisions, with T0 and delta-v that
agree. Both are timed in turns.
durable_p99_ms: see tests/bench/collision_durable.py.
"""

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.events import Collision
from agent.core.signals import EMPTY_SERIES, Series
from agent.detect.collision import CollisionDetector
from tests.bench.collision_durable import durable

Floats = npt.NDArray[np.float64]
Row = tuple[int, float, float, float]
T = TypeVar("T")

RATE_HZ: Final = 1600
_MINUTES: Final = 6
_REPEATS: Final = 3
_G: Final = 9.80665
_LIMITS: Final = Detect(collision=CollisionLimits(sensor_range_mps2=200 * _G))
_PATHS: Final = (
    vss.ACCELERATION_LONGITUDINAL,
    vss.ACCELERATION_LATERAL,
    vss.ACCELERATION_VERTICAL,
    vss.ROLL_RATE,
    vss.PITCH_RATE,
    vss.YAW_RATE,
)


@dataclass(frozen=True, slots=True)
class _Window:
    """New samples only, found as quickly as in the agent's own windows; what is recent is looked for in the whole."""

    series: Mapping[str, Series]
    whole: Mapping[str, Series]
    t_ns: int

    def paths(self) -> list[str]:
        return list(self.series)

    def new(self, path: str) -> Series:
        return self.series.get(path, EMPTY_SERIES)

    def recent(self, path: str, seconds: float) -> Series:
        series = self.whole.get(path, EMPTY_SERIES)
        first, stop = np.searchsorted(series.t_ns, [self.t_ns - round(seconds * 1e9), self.t_ns + 1])
        return Series(series.t_ns[first:stop], series.value[first:stop])

    def latest(self, path: str) -> float | None:
        series = self.recent(path, 2.0)
        return float(series.value[-1]) if len(series) else None


def run() -> dict[str, object]:
    """The bars: ratio 10, core_pct_1600hz 2, durable_p99_ms 50."""
    recording, blows_s = drive(_MINUTES * 60)
    windows = {ms: cut(recording, ms / 1000) for ms in (20, 10)}
    ours, core_pct, ratios = _detect(windows[20])[0], [], []
    _same(ours, _plain(windows[20])[0], blows_s)
    for _ in range(_REPEATS):
        _, plain_s = _plain(windows[20])
        _, own_s = _detect(windows[20])
        ratios.append(plain_s / own_s)
        core_pct.append(own_s / (_MINUTES * 60) * 100)
    quiet = cut(drive(60, still=True)[0], 0.02)
    return {
        "name": "collision",
        "ratio": round(statistics.median(ratios), 2),
        "core_pct_1600hz": round(statistics.median(core_pct), 3),
        "core_pct_1600hz_parked": round(_detect(quiet)[1] / 60 * 100, 3),
        "core_pct_1600hz_10ms": round(_detect(windows[10])[1] / (_MINUTES * 60) * 100, 3),
        "us_per_window": round(statistics.median(core_pct) / 100 * 20_000, 1),
        "collisions": len(ours),
        "minutes": _MINUTES,
        **durable(),
    }


def drive(seconds: int, *, still: bool = False) -> tuple[dict[str, Series], list[float]]:
    """A recording, and when in it the car is hit; still: a parked car that nobody hits."""
    rng = np.random.default_rng(1600)
    t_s = np.arange(seconds * RATE_HZ) / RATE_HZ
    force = rng.normal(0, 0.15, (len(t_s), 3)) + np.array([0.2, -0.1, _G])
    blows_s: list[float] = []
    moving = np.zeros(len(t_s))
    if not still:
        moving = ((t_s % 60 > 8) & (t_s % 60 < 55)).astype(np.float64)
        road = np.cumsum(rng.normal(0, 1, (len(t_s), 3)), axis=0)
        road -= _smooth(road, RATE_HZ // 8)
        force += road / road.std(axis=0) * (0.5, 0.6, 1.4) * moving[:, None]
        force[:, 0] -= 4.0 * ((t_s % 30 > 20) & (t_s % 30 < 22))
        for start_s in np.arange(15, seconds, 60):
            force[:, 2] += _haversine(t_s, float(start_s), 0.03) * 1.0
        blows_s = [float(start_s) for start_s in np.arange(28.5, seconds, 170.0)]
        for k, hit_s in enumerate(blows_s):
            angle, size = 0.7 * k, (12.0 + 5 * k) / 3.6
            force[:, :2] -= np.outer(
                _haversine(t_s, hit_s, 0.08 + 0.006 * k), [size * np.cos(angle), size * np.sin(angle)]
            )
    t_ns = np.rint(t_s * 1e9).astype(np.int64)
    rates = rng.normal(0, 0.5, (len(t_s), 3)) * (1 + 3 * moving[:, None])
    columns = np.column_stack([force, rates])
    recording = {path: Series(t_ns, columns[:, place].copy()) for place, path in enumerate(_PATHS)}
    recording[vss.SPEED] = Series(t_ns[:: RATE_HZ // 20], 50.0 * moving[:: RATE_HZ // 20])
    return recording, blows_s


def cut(recording: Mapping[str, Series], window_s: float) -> list[_Window]:
    """Windows of the IMU, each with what else came in it."""
    ends_ns = np.arange(1, round(recording[vss.SPEED].t_ns[-1] / 1e9 / window_s) + 1) * round(window_s * 1e9)
    places = {path: np.searchsorted(series.t_ns, ends_ns, side="right") for path, series in recording.items()}
    windows = []
    for k, end_ns in enumerate(ends_ns.tolist()):
        new = {}
        for path, series in recording.items():
            rows = slice(int(places[path][k - 1]) if k else 0, int(places[path][k]))
            if rows.stop > rows.start:
                new[path] = Series(series.t_ns[rows], series.value[rows])
        windows.append(_Window(new, recording, end_ns))
    return windows


class PlainLoop:
    """The same rule a sample at a time: any mounting, the resting level, both limits, T0, the end."""

    def __init__(self, limits: Detect) -> None:
        self.found: list[tuple[int, float]] = []
        collision = limits.collision
        self._span_ns = collision.span_ms * 1_000_000
        self._limits2 = [(0.95 * kmh / 3.6) ** 2 for kmh in (collision.delta_v_kmh, collision.stationary_delta_v_kmh)]
        self._end = 0.99 * collision.sensor_range_mps2
        self._bump = limits.road.peak_mps2
        self._rest = _PlainRest()
        self._ring: deque[Row] = deque()
        self._kmh = 0.0
        self._before: Row = (0, 0.0, 0.0, 0.0)
        self._velocity = [0.0, 0.0, 0.0]
        self._start: Row | None = None
        self._most2 = 0.0
        self._armed_ns = 0
        self.bumps = self.clipped = 0
        self.rolling = 0.0

    def update(self, window: _Window) -> None:
        """Judge the window's samples, one after another."""
        speed = window.new(vss.SPEED)
        if len(speed):
            self._kmh = float(speed.value[-1])
        columns = [window.new(path) for path in _PATHS[:4]]
        for row in zip(columns[0].t_ns.tolist(), *(column.value.tolist() for column in columns), strict=True):
            self._sample(*row)

    def _sample(self, t_ns: int, x: float, y: float, z: float, roll_dps: float) -> None:
        rest, end = self._rest, self._end
        rest.feed(t_ns, x, y, z)
        if abs(x) >= end or abs(y) >= end or abs(z) >= end:
            self.clipped += 1
        if abs(roll_dps) >= 30.0:
            self.rolling += roll_dps / RATE_HZ
        level_x, level_y, level_z = rest.level
        x, y, z = x - level_x, y - level_y, z - level_z
        before_ns, before_x, before_y, before_z = self._before
        self._before = (t_ns, x, y, z)
        velocity, half_s = self._velocity, (t_ns - before_ns) * 0.5e-9
        velocity[0] += (x + before_x) * half_s
        velocity[1] += (y + before_y) * half_s
        velocity[2] += (z + before_z) * half_s
        now = (t_ns, velocity[0], velocity[1], velocity[2])
        ring = self._ring
        ring.append(now)
        since_ns = t_ns - self._span_ns
        while ring[1][0] <= since_ns if len(ring) > 1 else False:
            ring.popleft()
        down_x, down_y, down_z = rest.down
        if abs(x * down_x + y * down_y + z * down_z) >= self._bump:
            self.bumps += 1
        if self._start is None:
            # The span is whole: a share of the step in which it begins.
            first, second = ring[0], ring[1] if len(ring) > 1 else now
            share = (
                (since_ns - first[0]) / (second[0] - first[0])
                if second[0] > first[0] > 0 and since_ns > first[0]
                else 0.0
            )
            dx = now[1] - first[1] - share * (second[1] - first[1])
            dy = now[2] - first[2] - share * (second[2] - first[2])
            dz = now[3] - first[3] - share * (second[3] - first[3])
            along = dx * down_x + dy * down_y + dz * down_z
            standing = self._kmh == 0.0 and rest.calm
            if dx * dx + dy * dy + dz * dz - along * along >= self._limits2[standing] and t_ns >= self._armed_ns:
                self._start, self._most2 = _plain_t0(ring, rest.down), 0.0
            return
        self._follow(now)

    def _follow(self, now: Row) -> None:
        """Delta-v of a pulse that is open, until what was gained within 20 ms is little or 300 ms are over."""
        start = self._start
        assert start is not None
        self._most2 = max(self._most2, _across2(now, start, self._rest.down))
        calm = next(point for point in self._ring if point[0] >= now[0] - 20_000_000)
        if _across2(now, calm, self._rest.down) <= (0.8 / 3.6) ** 2 or now[0] - start[0] > 300_000_000:
            self.found.append((start[0], 3.6 * self._most2**0.5))
            self._start, self._armed_ns = None, now[0] + self._span_ns


class _PlainRest:
    """The resting level as plain code keeps it: means of 50 ms, their median each second, the median of ten."""

    def __init__(self) -> None:
        self.level = self.down = (0.0, 0.0, 0.0)
        self.calm = False
        self._bucket = self._second = -1
        self._x = self._y = self._z = 0.0
        self._count = 0
        self._means: list[tuple[float, ...]] = []
        self._medians: deque[tuple[float, ...]] = deque(maxlen=10)

    def feed(self, t_ns: int, x: float, y: float, z: float) -> None:
        bucket = t_ns // 50_000_000
        if bucket != self._bucket:
            self._finish(bucket)
        self._x += x
        self._y += y
        self._z += z
        self._count += 1

    def _finish(self, bucket: int) -> None:
        if self._count:
            self._means.append((self._x / self._count, self._y / self._count, self._z / self._count))
        self._bucket, self._count, self._x, self._y, self._z = bucket, 0, 0.0, 0.0, 0.0
        if bucket // 20 != self._second and self._means:
            columns = list(zip(*self._means, strict=True))
            self._medians.append(tuple(statistics.median(column) for column in columns))
            x, y, z = (statistics.median(m[axis] for m in self._medians) for axis in range(3))
            size = (x * x + y * y + z * z) ** 0.5
            self.level, self.down = (x, y, z), (x / size, y / size, z / size)
            self.calm = max(max(column) - min(column) for column in columns) < 0.6
            self._means = []
        self._second = bucket // 20


def _across2(one: Row, other: Row, down: tuple[float, float, float]) -> float:
    """Squared change of velocity across gravity between two points."""
    dx, dy, dz = one[1] - other[1], one[2] - other[2], one[3] - other[3]
    along = dx * down[0] + dy * down[1] + dz * down[2]
    return dx * dx + dy * dy + dz * dz - along * along


def _plain_t0(ring: Sequence[Row], down: tuple[float, float, float]) -> Row:
    """Where 0.8 km/h within 20 ms along or 5 ms across began first; else the resultant within 20 ms, else the span."""
    points, limit2, begun = list(ring), (0.8 / 3.6) ** 2, []
    for axis, span_ns in ((1, 20_000_000), (2, 5_000_000)):
        last = 0
        for point in points:
            while points[last][0] < point[0] - span_ns:
                last += 1
            if (point[axis] - points[last][axis]) ** 2 > limit2:
                begun.append(points[last])
                break
    last = 0
    for point in points if not begun else ():
        while points[last][0] < point[0] - 20_000_000:
            last += 1
        if _across2(point, points[last], down) > limit2:
            return points[last]
    return min(begun, default=points[0])


def _plain(windows: Sequence[_Window]) -> tuple[list[tuple[int, float]], float]:
    loop = PlainLoop(_LIMITS)

    def work() -> None:
        for window in windows:
            loop.update(window)

    return loop.found, _timed(work)[1]


def _detect(windows: Sequence[_Window]) -> tuple[list[Collision], float]:
    detector = CollisionDetector(_LIMITS)
    events, seconds = _timed(lambda: [event for window in windows for event in detector.update(window)])
    return [event for event in events if isinstance(event, Collision)], seconds


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """Its result, and the CPU seconds it took."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _same(ours: Sequence[Collision], theirs: Sequence[tuple[int, float]], blows_s: Sequence[float]) -> None:
    """Raise ValueError unless both found the same collisions, every one that is there."""
    if not len(ours) == len(theirs) == len(blows_s):
        raise ValueError(f"bench collision: {len(ours)} found, the plain loop {len(theirs)}, of {len(blows_s)}")
    for event, (t0_ns, delta_v_kmh) in zip(ours, theirs, strict=True):
        if abs(event.t_ns - t0_ns) > 15_000_000 or abs(event.delta_v_kmh / delta_v_kmh - 1) > 0.05:
            raise ValueError(f"bench collision: {event.t_ns}, {event.delta_v_kmh} is not {t0_ns}, {delta_v_kmh}")


def _haversine(t_s: Floats, start_s: float, length_s: float) -> Floats:
    """A pulse of area 1."""
    return np.asarray((1 - np.cos(2 * np.pi * np.clip((t_s - start_s) / length_s, 0, 1))) / length_s)


def _smooth(values: Floats, width: int) -> Floats:
    """Means over so many samples."""
    sums = np.cumsum(np.vstack([np.zeros((1, 3)), values]), axis=0)
    means = (sums[width:] - sums[:-width]) / width
    return np.asarray(np.vstack([means, np.repeat(means[-1:], width - 1, axis=0)]))
