"""Frames that do not belong on a bus: unknown identifiers, floods, injected and forged payloads. Pure, in columns.

What is normal is learnt from clean traffic, without gradients: which identifiers there are, how close two frames of one
may follow each other, and how often each bit turns from one frame to the next. A forged payload turns bits that hardly
ever turn, all at once (compare READ, Marchetti and Stabili, IEEE TIFS 2019); an old honest one held in its sender's
place rests longer than one with a counter in it ever does.
"""

from collections.abc import Mapping, Sequence
from enum import IntFlag
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.frames import REFUSED, FrameBatch
from agent.detect.bus_habits import LONG_AGO_NS, Bytes, Floats, Habit, Rows, add_up, count_rests, never_turned

Ints = npt.NDArray[np.int64]

_SETTLED: Final = 4  # so many frames in a row that go on from each other are a new state of the car, not a forgery

_FOR_EVER: Final = 1 << 62


class Finding(IntFlag):
    """Why a frame is not believed."""

    UNKNOWN = 1  # an identifier that the car does not use
    EARLY = 2  # follows the last honest frame of its identifier more closely than the car ever sends it
    PAYLOAD = 4  # turns bits that do not turn
    HELD = 8  # says the same for longer than it ever did


class BusWatch:
    """Judges the traffic of one bus by habits, batch by batch; remembers each identifier's last believed frame."""

    def __init__(self, habits: Mapping[int, Habit]) -> None:
        known = sorted(habits)
        self._keys = np.array(known, np.uint32)
        self._habits = [habits[key] for key in known]
        width = max((len(habit.cost) // 8 for habit in self._habits), default=1)
        self._width = width
        self._cost = np.zeros((len(known), 8 * width))
        for place, habit in enumerate(self._habits):
            self._cost[place, : len(habit.cost)] = habit.cost
        self._never = never_turned(self._cost)
        self._gap_ns = np.array([habit.gap_ns for habit in self._habits], np.int64)
        self._limit = np.array([habit.limit for habit in self._habits])
        self._rest_most = np.array([habit.rest_most or _FOR_EVER for habit in self._habits], np.int64)
        self._resting = np.zeros(len(known), np.int64)
        self._last = np.zeros((len(known), width), np.uint8)  # believed or not
        self._at_ns = np.full(len(known), LONG_AGO_NS, np.int64)
        self._data = np.zeros((len(known), width), np.uint8)
        self._seen = np.zeros(len(known), np.bool_)
        self._suspects: dict[int, list[tuple[int, Bytes]]] = {}  # by place: the last frames in a row not believed

    def judge(self, batch: FrameBatch) -> Bytes:
        """Findings of every frame, uint8[n] (see Finding); 0: honest as far as can be seen."""
        found = np.zeros(len(batch), np.uint8)
        judged = np.flatnonzero((batch.flags & REFUSED) == 0)
        if not len(judged) or not len(self._keys):
            found[judged] = Finding.UNKNOWN
            return found
        keys = batch.keys()[judged]
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[place] == keys
        found[judged[~known]] = Finding.UNKNOWN
        rows, place = judged[known], place[known]
        self._seen[place] = True
        order = np.argsort(place, kind="stable")
        if len(order):
            found[rows[order]] = self._judge_known(batch, rows[order], place[order])
        return found

    def take_seen(self) -> set[int]:
        """Known identifiers that came since this was last asked."""
        seen = set(self._keys[self._seen].tolist())
        self._seen[:] = False
        return seen

    def _judge_known(self, batch: FrameBatch, rows: Rows, place: Rows) -> Bytes:
        """Frames of known identifiers, by identifier and then by time: most go on from the one before."""
        t_ns, data = batch.t_ns[rows], batch.data[rows, : self._width]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        before_ns, before = np.roll(t_ns, 1), np.roll(data, 1, axis=0)
        owners = place[first]
        new = self._at_ns[owners] == LONG_AGO_NS
        before_ns[first] = self._at_ns[owners]
        before[first] = np.where(new[:, None], data[first], self._data[owners])
        strange = (t_ns - np.maximum(before_ns, t_ns - (1 << 60)) < self._gap_ns[place]) | (
            self._surprise(place, before, data) > self._limit[place]
        )
        last = np.append(first[1:], len(rows)) - 1
        self._at_ns[owners], believed = t_ns[last], self._data[owners]
        self._data[owners] = data[last]
        found = np.zeros(len(rows), np.uint8)
        doubtful = np.logical_or.reduceat(strange, first)
        if self._suspects:
            for owner in owners[~doubtful].tolist():
                self._suspects.pop(owner, None)
        for number in np.flatnonzero(doubtful).tolist():
            piece = slice(int(first[number]), int(last[number]) + 1)
            start = int(before_ns[piece.start]), data[piece.start] if new[number] else believed[number]
            found[piece] = self._follow(int(owners[number]), start, t_ns[piece], data[piece], strange[piece])
        found[self._rests(place, data, first, new) > self._rest_most[place]] |= np.uint8(Finding.HELD)
        return found

    def _rests(self, place: Rows, data: Bytes, first: Rows, new: npt.NDArray[np.bool_]) -> Ints:
        """How many frames in a row, believed or not, have said what the one before them said."""
        owners = place[first]
        before = np.roll(data, 1, axis=0)
        before[first] = self._last[owners]
        same = (before == data).all(axis=1)
        same[first[new]] = False
        rests = count_rests(same, first, self._resting[owners])
        last = np.append(first[1:], len(data)) - 1
        self._last[owners], self._resting[owners] = data[last], rests[last]
        return rests

    def _follow(
        self, place: int, believed: tuple[int, Bytes], t_ns: Ints, data: Bytes, strange: npt.NDArray[np.bool_]
    ) -> Bytes:
        """Go through the frames of one identifier among which are strange ones, each against the last believed."""
        found = np.zeros(len(t_ns), np.uint8)
        suspects = self._suspects.pop(place, [])
        for row in range(len(t_ns)):
            follows = row > 0 and found[row - 1] == 0  # then what it is compared with is the frame before
            finding = 0 if follows and not strange[row] else self._compare(place, believed, int(t_ns[row]), data[row])
            if finding:
                found[row] = finding
                suspects = [*suspects[1 - _SETTLED :], (int(t_ns[row]), data[row])]
            if not finding or self._settled(place, suspects):
                believed, suspects = (int(t_ns[row]), data[row]), []
        if suspects:
            self._suspects[place] = [(at_ns, row.copy()) for at_ns, row in suspects]
        self._at_ns[place], self._data[place] = believed
        return found

    def _compare(self, place: int, believed: tuple[int, Bytes], t_ns: int, data: Bytes) -> int:
        early = Finding.EARLY if t_ns - believed[0] < self._gap_ns[place] else 0
        surprise = self._surprise(np.array([place]), believed[1][None], data[None])[0]
        return early | (Finding.PAYLOAD if surprise > self._limit[place] else 0)

    def _settled(self, place: int, suspects: Sequence[tuple[int, Bytes]]) -> bool:
        """Whether the last suspects, none believed among them, come in the car's rhythm and go on from each other."""
        if len(suspects) < _SETTLED:
            return False
        t_ns, data = np.array([at_ns for at_ns, _ in suspects]), np.array([row for _, row in suspects])
        steps = self._surprise(np.full(_SETTLED - 1, place), data[:-1], data[1:])
        return bool((np.diff(t_ns) >= self._gap_ns[place]).all() and (steps <= self._limit[place]).all())

    def _surprise(self, place: Rows, before: Bytes, after: Bytes) -> Floats:
        return add_up(self._cost[place], self._never[place], np.unpackbits(before ^ after, axis=1))
