"""How the box lies in the car, learnt from driving: gravity tells down, braking, accelerating and turning tell forward.

One regression gives both. Each second of driving is a row: the chip's mean specific force f (three axes) is explained
by [1, dv/dt, v * yaw rate]; the three coefficient vectors are gravity (with the chip's bias), forward and left, all in
the chip's axes. The level is gravity's alone; the heading is the mean of what forward and left say across it, weighted
by how sure each is. The sums behind it are small: they are what outlives a boot. A second regression that forgets
within two minutes re-checks the first. Without any speed there is a level only. The method is common knowledge in the
field; the limits are ours.
"""

from collections import deque
from math import acos, degrees
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.ports import Rows, StateStore
from agent.core.signals import SignalWindow
from agent.detect.alignment import (
    GRAVITY_MAX,
    GRAVITY_MIN,
    KNOWN_DEG,
    Matrix,
    Orientation,
    Regression,
    angle_deg,
    level_rotation,
    towards,
)
from agent.detect.streams import NS, BucketMeans

_STANDING_KMH: Final = 0.5
_MOVING_KMH: Final = 10.0  # below, the car may be reversing, and Vehicle.Speed has no sign
_STANDING_S: Final = 20  # of each stop: a car that is parked on a slope must not outweigh the drive
_SPEED_GAP_NS: Final = 2_500_000_000
_SPEED_WAIT_S: Final = 4  # a second waits so long for the speed at its end
_KEPT_S: Final = 3600.0  # of driving: what is older counts less and less
_RECENT_S: Final = 60.0
_MOVED_DEG: Final = 15.0  # beyond any road's slope
_TURNED_DEG: Final = 30.0
_DOUBTED_S, _GIVEN_UP_S = 10, 45
_TURN_DPS: Final = 2.0  # axes that jump look like a crash; turning so slowly, gravity stays within the resting level
_SAVE_NS: Final = 60 * NS

Times = npt.NDArray[np.int64]


class _State(msgspec.Struct, frozen=True):
    """What outlives a boot. regressors, forces (regressor, axis) and squares 3x3, and the gyroscope's bias in rad."""

    rows: float
    regressors: list[list[float]]
    forces: list[list[float]]
    squares: list[list[float]]
    still_s: float
    still: list[float]


class SelfMount:
    """A Mount that learns. Before it knows forward it is level, and says that its heading error is 180.

    accelerations and rotations want the chip's axes and give ISO 8855's; observe wants windows with speed. Rows that
    are not finite become NaN and are not learnt from. The axes turn by 2 degrees a second at most, except at
    the first sample. The state is saved once a minute.
    """

    def __init__(self, store: StateStore | None = None) -> None:
        self._store = store
        self._kept, self._recent = Regression(_KEPT_S), Regression(_RECENT_S)
        self._blind = Regression(_RECENT_S)  # seconds without speed: they tell the level, no more
        self._still_s, self._still = 0.0, np.zeros(3)
        self._forces, self._turns = BucketMeans(NS), BucketMeans(NS)
        self._turn_of: dict[int, Matrix] = {}
        self._waiting: deque[tuple[int, Matrix]] = deque(maxlen=2 * _SPEED_WAIT_S)
        self._speeds: deque[tuple[int, float]] = deque(maxlen=4096)
        self._own_speed_ns = -(1 << 62)
        self._stood_s = self._doubted_s = 0
        self._saved_ns: int | None = None
        self.orientation: Orientation | None = None
        self._rotation: Matrix | None = None
        self._applied_ns = 0
        self._restore(store.load() if store else b"")

    @property
    def heading_error_deg(self) -> float:
        """How far forward may be off, the turning still to be done included; 180 where it is not known or doubted."""
        if self.orientation is None or self._rotation is None or self._doubted_s >= _DOUBTED_S:
            return 180.0
        behind = angle_deg(self._rotation, self.orientation.rotation)
        return min(self.orientation.heading_error_deg + behind, 180.0)

    def accelerations(self, t_ns: Times, rows: Rows) -> Rows:
        """Turn specific force, float64[n, 3] in m/s^2, and learn from it."""
        finite = _finite(rows)
        times, forces = t_ns[finite], rows[finite]
        if len(times):
            if self._rotation is None:
                self._begin(forces, int(times[0]))
            buckets = self._forces.feed(times, forces)
            if buckets is not None:
                self._waiting.extend(zip(buckets.number.tolist(), buckets.mean, strict=True))
            self._learn(int(times[-1]))
        return _turn(rows, finite, None if self._rotation is None else self._turned(self._rotation, int(t_ns[-1])))

    def rotations(self, t_ns: Times, rows: Rows) -> Rows:
        """Turn turning rates, float64[n, 3] in degrees/s, and learn from them."""
        finite = _finite(rows)
        buckets = self._turns.feed(t_ns[finite], rows[finite])
        if buckets is not None:
            self._turn_of |= zip(buckets.number.tolist(), np.deg2rad(buckets.mean), strict=True)
            while len(self._turn_of) > 4 * _SPEED_WAIT_S:
                del self._turn_of[next(iter(self._turn_of))]
        return _turn(rows, finite, self._rotation)

    def observe(self, window: SignalWindow) -> None:
        """Take new speeds: the car's, or the receiver's where the car tells none."""
        own = window.new(vss.SPEED)
        if len(own):
            self._own_speed_ns = int(own.t_ns[-1])
        elif window.t_ns - self._own_speed_ns > 2 * _SPEED_GAP_NS:
            own = window.new(vss.GNSS_SPEED)
        newest_ns = self._speeds[-1][0] if self._speeds else -(1 << 62)
        pairs = zip(own.t_ns.tolist(), own.value.tolist(), strict=True)
        self._speeds.extend((t_ns, kmh) for t_ns, kmh in pairs if t_ns > newest_ns)

    def _begin(self, forces: Rows, t_ns: int) -> None:
        """The first axes: what was learnt before, else level by the first samples, so that no later jump is needed."""
        if self.orientation is not None:
            self._rotation = self.orientation.rotation
        else:
            mean = forces.mean(axis=0)
            size = float(np.linalg.norm(mean))
            level = GRAVITY_MIN <= size <= GRAVITY_MAX
            self._rotation = level_rotation(mean / size) if level else np.eye(3)
        self._applied_ns = self._saved_ns = t_ns

    def _learn(self, now_ns: int) -> None:
        """Work through the seconds whose speed is known by now, or will not be."""
        while self._waiting:
            number, force = self._waiting[0]
            ends_ns = (number + 1) * NS
            if (not self._speeds or self._speeds[-1][0] < ends_ns) and now_ns < ends_ns + _SPEED_WAIT_S * NS:
                break
            self._waiting.popleft()
            self._take(number, force)
        if self._store and self._saved_ns is not None and now_ns - self._saved_ns >= _SAVE_NS:
            self._saved_ns = now_ns
            self._store.save(self._dump())

    def _take(self, number: int, force: Matrix) -> None:
        """One second of driving or standing."""
        turn = self._turn_of.pop(number, None)
        speeds = self._speeds_at(number)
        size = float(np.linalg.norm(force))
        if not GRAVITY_MIN <= size <= GRAVITY_MAX:
            return
        if speeds is None:
            self._take_blind(number, force)
            return
        before, after = speeds
        standing = max(before, after) < _STANDING_KMH
        self._stood_s = self._stood_s + 1 if standing else 0
        if standing:
            if self._stood_s > _STANDING_S:
                return
            if turn is not None and self._stood_s > 1:  # the first second still rocks
                self._still_s, self._still = self._still_s * 0.99 + 1, self._still * 0.99 + turn
        elif min(before, after) < _MOVING_KMH:
            return
        along = (after - before) / 3.6
        across = self._yaw(turn, force / size) * (before + after) / 7.2
        for regression in (self._kept, self._recent):
            regression.add(number, along, across, force)
        self.orientation = self._kept.solve() or self.orientation
        self._check()

    def _take_blind(self, number: int, force: Matrix) -> None:
        """A second without speed: the level is better than none, until a drive tells more."""
        self._blind.add(number, 0.0, 0.0, force)
        if self._kept.solve() is None and (level := self._blind.solve()) is not None:
            self.orientation = level

    def _yaw(self, turn: Matrix | None, up: Matrix) -> float:
        """Turning to the left in rad/s; up may be this second's force, which is near enough."""
        if turn is None:
            return 0.0
        bias = self._still / self._still_s if self._still_s else np.zeros(3)
        if self.orientation is not None:
            up = self.orientation.rotation[2]
        return float((turn - bias) @ up)

    def _speeds_at(self, number: int) -> tuple[float, float] | None:
        """Speed in km/h at the second's beginning and end; None where too little is told around it."""
        begin_ns, end_ns = number * NS, (number + 1) * NS
        while len(self._speeds) > 1 and self._speeds[1][0] <= begin_ns:
            self._speeds.popleft()
        inside = [pair for pair in self._speeds if pair[0] <= end_ns + _SPEED_GAP_NS]
        if not inside or inside[0][0] > begin_ns or inside[-1][0] < end_ns:
            return None
        times, kmh = np.array([t for t, _ in inside], np.int64), np.array([v for _, v in inside])
        if int(np.diff(times).max(initial=0)) > _SPEED_GAP_NS or not np.isfinite(kmh).all():
            return None
        found = np.interp([0.0, 1.0], (times - begin_ns) / NS, kmh)
        return float(found[0]), float(found[1])

    def _check(self) -> None:
        """Compare the last minute with all before it; a box that was moved is learnt anew."""
        recent, kept = self._recent.solve(), self.orientation
        if recent is None or kept is None:
            return
        up, up_before = recent.rotation[2], kept.rotation[2]
        tilted = degrees(acos(float(np.clip(up @ up_before, -1, 1)))) > _MOVED_DEG
        sure = max(recent.heading_error_deg, kept.heading_error_deg) <= KNOWN_DEG
        turned = sure and angle_deg(recent.rotation, kept.rotation) > _TURNED_DEG
        self._doubted_s = self._doubted_s + 1 if tilted or turned else 0
        if self._doubted_s >= _GIVEN_UP_S:
            self._kept = Regression(_KEPT_S)
            self._recent = Regression(_RECENT_S)
            self._still_s, self._still = 0.0, np.zeros(3)
            self.orientation = Orientation(level_rotation(up), recent.level_error_deg, 180.0)
            self._doubted_s = 0

    def _turned(self, rotation: Matrix, t_ns: int) -> Matrix:
        """The axes to use now: from rotation towards the orientation, slowly; float64[3, 3]."""
        step_deg = _TURN_DPS * min(max(t_ns - self._applied_ns, 0) / NS, 1.0)
        self._applied_ns = max(t_ns, self._applied_ns)
        if self.orientation is not None and step_deg > 0:
            rotation = towards(rotation, self.orientation.rotation, step_deg)
        self._rotation = rotation
        return rotation

    def _dump(self) -> bytes:
        kept = self._kept
        regressors, forces, squares = (sums.tolist() for sums in (kept.regressors, kept.forces, kept.squares))
        return msgspec.json.encode(_State(kept.rows, regressors, forces, squares, self._still_s, self._still.tolist()))

    def _restore(self, state: bytes) -> None:
        """Take up what an earlier boot knew; what makes no sense counts as nothing."""
        try:
            told = msgspec.json.decode(state, type=_State)
            sums = np.array([told.regressors, told.forces, told.squares], np.float64)
            still = np.array(told.still, np.float64)
        except (msgspec.MsgspecError, ValueError):
            return
        if sums.shape != (3, 3, 3) or still.shape != (3,) or not (np.isfinite(sums).all() and np.isfinite(still).all()):
            return
        kept = Regression(_KEPT_S)
        kept.rows, (kept.regressors, kept.forces, kept.squares) = told.rows, sums
        if not 0 <= kept.rows <= _KEPT_S + 1 or np.linalg.eigvalsh(sums[0])[0] < -1e-6:
            return
        self._kept, self.orientation = kept, kept.solve()
        self._still_s, self._still = told.still_s, still


def _finite(rows: Rows) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(rows).all(axis=1))


def _turn(rows: Rows, finite: npt.NDArray[np.bool_], rotation: Matrix | None) -> Rows:
    """Finite rows turned, the others NaN."""
    if not finite.all():
        rows = np.where(finite[:, None], rows, np.nan)
    return rows if rotation is None else np.asarray(rows @ rotation.T)
