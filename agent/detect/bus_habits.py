"""How a car's control units speak: gaps and bit flips of each CAN identifier, learnt as frames pass. Pure, bounded.

What is kept are counts, so that learning goes on over several short drives: per identifier the steps from one frame to
the next, how many of them turned each bit, the least gap, the most steps in a row that turned none, and how surprising
honest frames of the second half of the learning were by the counts of its first half.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.frames import DATA_SIZE, REFUSED, FrameBatch

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

KEYS_MAX: Final = 1024
"""Identifiers learnt; a bus has some dozens, and what an attacker makes up must not fill the memory."""

LONG_AGO_NS: Final = -(1 << 62)

_VERSION: Final = 2
_CLASSIC: Final = 8  # bytes; CAN FD has up to 64
_SEEN_MIN: Final = 8  # frames from which an identifier counts as one of the car's, and has a rhythm
_GAP_SHARE: Final = 0.7  # of the smallest gap seen
_GAP_NONE: Final = 1 << 62
_MARGIN_BITS: Final = 10.0  # beyond the most surprising honest frame
_FORGED_LEAST: Final = 0.5  # of what a payload of random bits surprises by: cars do new things every day
_FORGED_MOST: Final = 0.8  # of the same: else one odd frame while learning blinds for good
_RESTLESS_STEPS: Final = 500  # from so many on it is known that a payload never rests for long
_RESTLESS_MOST: Final = 8  # steps in a row without a change, for one that counts as such: a counter, a noisy sensor
_RESTS_MORE: Final = (2, 3)  # so many times the longest rest, and some, before it is one that the car does not take
_PATTERNS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)


@dataclass(frozen=True, slots=True)
class Habit:
    """One identifier as the car sends it, as far as it is believed.

    gap_ns: the least time between two frames. cost float64[8 * width]: surprise of each bit's turning, in bits;
    limit: how much of it one step may add up to. frames: seen while learning. rest_most: how many steps in a row may
    change nothing; 0: any number.
    """

    gap_ns: int
    cost: Floats
    limit: float
    frames: int
    rest_most: int = 0


class _Saved(msgspec.Struct, frozen=True):
    """What outlives a boot: columns as little-endian bytes."""

    version: int
    width: int
    measuring: bool
    keys: bytes
    lengths: bytes
    steps: bytes
    turned: bytes
    gaps: bytes
    honest: bytes
    cost: bytes
    rests: bytes


class HabitLearner:
    """Counts what the frames of one bus do, in batches cut anywhere. Two halves: counting, then measuring as well."""

    def __init__(self) -> None:
        self._width = _CLASSIC
        self._measuring = False
        self._keys = np.zeros(0, np.uint32)
        self._lengths = np.zeros(0, np.uint8)
        self._steps = np.zeros(0, np.int64)
        self._turned = np.zeros((0, 8 * _CLASSIC), np.uint32)
        self._gaps = np.zeros(0, np.int64)
        self._rests = np.zeros(0, np.int64)
        self._resting = np.zeros(0, np.int64)
        self._honest = np.zeros(0)
        self._cost = np.zeros((0, 8 * _CLASSIC), np.float32)
        self._at_ns = np.zeros(0, np.int64)
        self._data = np.zeros((0, _CLASSIC), np.uint8)

    def __len__(self) -> int:
        """Identifiers seen."""
        return len(self._keys)

    @property
    def measuring(self) -> bool:
        """Whether the second half has begun."""
        return self._measuring

    def measure(self) -> None:
        """Begin the second half: from here on frames are also measured by what has been counted so far."""
        self._measuring = True
        self._cost = _costs(self._turned, self._steps).astype(np.float32)
        self._honest = np.zeros(len(self._keys))

    def pause(self) -> None:
        """Frames are left out here: no step goes across."""
        self._at_ns[:] = LONG_AGO_NS

    def feed(self, batch: FrameBatch) -> None:
        """Take frames in the order of time."""
        batch = batch[(batch.flags & REFUSED) == 0]
        if not len(batch):
            return
        if self._width < DATA_SIZE and int(batch.length.max()) > self._width:
            self._widen()
        keys = batch.keys()
        self._add_keys(keys)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = np.flatnonzero(self._keys[place] == keys)  # all but those beyond KEYS_MAX
        rows = known[np.argsort(place[known], kind="stable")]
        if len(rows):
            self._count(batch, rows, place[rows])

    def habits(self) -> Mapping[int, Habit]:
        """By frame key; identifiers seen too rarely are left out."""
        cost = _costs(self._turned, self._steps)
        return {
            int(self._keys[row]): self._habit(row, cost[row, : 8 * max(1, int(self._lengths[row]))])
            for row in np.flatnonzero(self._steps + 1 >= _SEEN_MIN).tolist()
        }

    def dump(self) -> bytes:
        """Everything but the last frames, to be kept across boots."""
        saved = _Saved(
            version=_VERSION,
            width=self._width,
            measuring=self._measuring,
            keys=self._keys.tobytes(),
            lengths=self._lengths.tobytes(),
            steps=self._steps.tobytes(),
            turned=self._turned.tobytes(),
            gaps=self._gaps.tobytes(),
            honest=self._honest.tobytes(),
            cost=self._cost.tobytes(),
            rests=self._rests.tobytes(),
        )
        return msgspec.msgpack.encode(saved)

    @classmethod
    def load(cls, state: bytes) -> "HabitLearner | None":
        """From what `dump` gave; None where it is nothing, damaged or of other software: it can be learnt again."""
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
            new = cls()
            new._keys = np.frombuffer(saved.keys, np.uint32)
            count, width = len(new._keys), saved.width
            new._width, new._measuring = width, saved.measuring
            new._lengths = np.frombuffer(saved.lengths, np.uint8).reshape(count).copy()
            new._steps = np.frombuffer(saved.steps, np.int64).reshape(count).copy()
            new._turned = np.frombuffer(saved.turned, np.uint32).reshape(count, 8 * width).copy()
            new._gaps = np.frombuffer(saved.gaps, np.int64).reshape(count).copy()
            new._rests = np.frombuffer(saved.rests, np.int64).reshape(count).copy()
            new._resting = np.zeros(count, np.int64)
            new._honest = np.frombuffer(saved.honest, np.float64).reshape(count).copy()
            new._cost = np.frombuffer(saved.cost, np.float32).reshape(count, 8 * width).copy()
            new._at_ns, new._data = np.full(count, LONG_AGO_NS, np.int64), np.zeros((count, width), np.uint8)
        except (msgspec.MsgspecError, OverflowError, ValueError):
            return None
        sound = saved.version == _VERSION and count <= KEYS_MAX and width in {_CLASSIC, DATA_SIZE}
        sound = sound and bool((np.diff(new._keys.astype(np.int64)) > 0).all() and (new._lengths <= width).all())
        sound = sound and bool((new._turned <= new._steps[:, None]).all() and (new._gaps >= 0).all())
        sound = sound and bool((new._rests >= 0).all())
        return new if sound and not bool(np.isnan(new._honest).any()) else None

    def _habit(self, row: int, cost: Floats) -> Habit:
        random = float(add_up(cost, never_turned(cost), np.tile(_PATTERNS, len(cost) // 8)).mean())
        limit = min(max(float(self._honest[row]) + _MARGIN_BITS, _FORGED_LEAST * random), _FORGED_MOST * random)
        rest, steps = int(self._rests[row]), int(self._steps[row])
        restless = steps >= _RESTLESS_STEPS and rest <= _RESTLESS_MOST
        return Habit(
            gap_ns=round(_GAP_SHARE * int(self._gaps[row])),
            cost=cost,
            limit=limit,
            frames=steps + 1,
            rest_most=_RESTS_MORE[0] * rest + _RESTS_MORE[1] if restless else 0,
        )

    def _count(self, batch: FrameBatch, rows: Rows, place: Rows) -> None:
        """Frames by identifier and then by time: most go on from the one before."""
        t_ns, data = batch.t_ns[rows], batch.data[rows, : self._width]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        last, owners = np.append(first[1:], len(rows)) - 1, place[first]
        before_ns, before = np.roll(t_ns, 1), np.roll(data, 1, axis=0)
        before_ns[first], before[first] = self._at_ns[owners], self._data[owners]
        new = before_ns == LONG_AGO_NS
        before[new] = data[new]
        turned = np.unpackbits(before ^ data, axis=1)
        self._turned[owners] += np.add.reduceat(turned, first, axis=0, dtype=np.uint32)
        self._steps[owners] += np.add.reduceat(~new, first, dtype=np.int64)
        gaps = np.where(new, _GAP_NONE, np.maximum(t_ns - np.where(new, t_ns, before_ns), 0))
        self._gaps[owners] = np.minimum(self._gaps[owners], np.minimum.reduceat(gaps, first))
        rests = count_rests(~turned.any(axis=1) & ~new, first, self._resting[owners])
        self._rests[owners] = np.maximum(self._rests[owners], np.maximum.reduceat(rests, first))
        self._resting[owners] = rests[last]
        self._lengths[owners] = np.maximum(self._lengths[owners], np.maximum.reduceat(batch.length[rows], first))
        if self._measuring:
            cost = self._cost[place].astype(np.float64)
            surprise = add_up(cost, never_turned(cost), turned)
            self._honest[owners] = np.maximum(self._honest[owners], np.maximum.reduceat(surprise, first))
        self._at_ns[owners], self._data[owners] = t_ns[last], data[last]

    def _add_keys(self, keys: npt.NDArray[np.uint32]) -> None:
        fresh = np.setdiff1d(keys, self._keys)
        if len(fresh):
            seen_at = {key: row for row, key in reversed(list(enumerate(keys.tolist())))}
            fresh = np.array(sorted(fresh.tolist(), key=seen_at.__getitem__)[: KEYS_MAX - len(self)], np.uint32)
        if not len(fresh):
            return
        both = np.concatenate([self._keys, fresh])
        order = np.argsort(both)
        self._keys, count, bits = both[order], len(fresh), 8 * self._width

        def grown(column: npt.NDArray[Any], value: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.concatenate([column, value])[order]

        self._lengths = grown(self._lengths, np.zeros(count, np.uint8))
        self._steps = grown(self._steps, np.zeros(count, np.int64))
        self._turned = grown(self._turned, np.zeros((count, bits), np.uint32))
        self._rests = grown(self._rests, np.zeros(count, np.int64))
        self._resting = grown(self._resting, np.zeros(count, np.int64))
        self._gaps = grown(self._gaps, np.full(count, _GAP_NONE, np.int64))
        # What the first half had none of is measured by nothing: as much as may be is allowed.
        self._honest = grown(self._honest, np.full(count, np.inf if self._measuring else 0.0))
        self._cost = grown(self._cost, np.zeros((count, bits), np.float32))
        self._at_ns = grown(self._at_ns, np.full(count, LONG_AGO_NS, np.int64))
        self._data = grown(self._data, np.zeros((count, self._width), np.uint8))

    def _widen(self) -> None:
        more = DATA_SIZE - self._width
        self._width = DATA_SIZE
        self._turned = np.pad(self._turned, ((0, 0), (0, 8 * more)))
        self._cost = np.pad(self._cost, ((0, 0), (0, 8 * more)))
        self._data = np.pad(self._data, ((0, 0), (0, more)))


def learn(clean: FrameBatch) -> Mapping[int, Habit]:
    """Habits by frame key, from clean traffic of minutes at least: its first half counted, its second measured too."""
    learner = HabitLearner()
    middle = len(clean) // 2
    learner.feed(clean[:middle])
    learner.measure()
    learner.feed(clean[middle:])
    return learner.habits()


def count_rests(same: Flags, first: Rows, before: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many steps in a row, up to each frame, changed nothing: int64[n].

    same bool[n]: the frame's step changes nothing; first: where each identifier's frames begin; before: how many it had
    had in a row.
    """
    rows = np.arange(len(same))
    begun = np.repeat(first, np.diff(np.append(first, len(same))))
    broken = np.maximum.accumulate(np.where(same, -1, rows))
    return np.asarray(
        np.where(broken >= begun, rows - broken, rows - begun + 1 + before[np.searchsorted(first, begun)]), np.int64
    )


def never_turned(cost: Floats) -> Flags:
    """Which bits have turned as rarely as any, bool like cost: those that never did, but where all did."""
    return np.asarray(cost >= cost.max(axis=-1, initial=1.0, keepdims=True), np.bool_)


def add_up(cost: Floats, never: Flags, turned: Bytes) -> Floats:
    """Surprise in bits, float64[n], of which bits turned, uint8[n, 8 * width].

    Of a byte the most surprising bit counts: where a number passes from 0x00FF to 0x0100 bits turn together. Bits that
    have never turned count each: no number was there.
    """
    told = turned * cost
    numbers = np.where(never, 0.0, told).reshape(len(told), -1, 8).max(axis=2).sum(axis=1)
    added: Floats = (told * never).sum(axis=1) + numbers
    return added


def _costs(turned: npt.NDArray[np.uint32], steps: npt.NDArray[np.int64]) -> Floats:
    """Surprise of each bit's turning, float64[m, 8 * width]: -log2 of its share of the steps; none is wholly fixed."""
    shares = (turned + 0.5) / (steps[:, None] + 1.0)
    costs: Floats = -np.log2(np.minimum(shares, 1.0))
    return costs
