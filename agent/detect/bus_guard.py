"""The way of the bus watch into the car: learns what is normal on each bus, keeps it, and tells what is not. Pure.

Every decision falls at the end of a second of traffic (by t_ns), so that batches may be cut anywhere. A second without
frames does not count: a car that sleeps teaches nothing.
"""

from collections import Counter
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.bus_events import BusHabits
from agent.core.errors import ConfigError
from agent.core.events import Event
from agent.core.frames import REFUSED, FrameBatch
from agent.core.limits import BusLimits
from agent.core.ports import StateStore
from agent.detect.bus import BusWatch, Finding
from agent.detect.bus_habits import HabitLearner
from agent.detect.bus_signs import BusSigns
from agent.detect.streams import NS

Flags = npt.NDArray[np.bool_]

BUSES_MAX: Final = 8
_PAUSE_NS: Final = 10 * NS  # in learning, from a frame that failed its check: who forges one forges others
_SAVE_EACH_S: Final = 120  # of learning
_LOOK_EACH_S: Final = 60  # whether the car still speaks as it was learnt
_CHANGED: Final = 0.2  # of the usual identifiers are gone, and as many new ones came
_NEW_MIN: Final = 8  # frames within a look, for a new identifier to count
_BEFORE: Final = -(1 << 62)


class _SavedBus(msgspec.Struct, frozen=True):
    """seconds of traffic learnt from, out of span_s."""

    seconds: int
    span_s: int
    habits: bytes


class BusGuard:
    """All buses of the box. pinned: habits made elsewhere, which are neither learnt nor changed here.

    Raises ConfigError where pinned is nothing this software can read.
    """

    def __init__(self, limits: BusLimits, *, store: StateStore | None = None, pinned: bytes = b"") -> None:
        self._learn_s = limits.learn_s
        self._store = None if pinned else store
        self._pinned = bool(pinned)
        saved = load_habits(pinned or (store.load() if store is not None else b""))
        self._buses = {
            number: OneBus(number, limits.learn_s, bus, pinned=self._pinned) for number, bus in saved.items()
        }
        if pinned and not (saved and all(bus.watching for bus in self._buses.values())):
            raise ConfigError("the profile's habits: damaged, not learnt to the end, or of another version")

    def update(self, batch: FrameBatch, failed: Flags | None = None) -> list[Event]:
        """Frames in the order of reception; failed bool[n]: their counter or checksum is wrong, None: of none."""
        events: list[Event] = []
        numbers = np.unique(batch.bus).tolist() if len(batch) else []
        for number in numbers:
            rows = slice(None) if len(numbers) == 1 else batch.bus == number
            bus = self._bus(number)
            if bus is not None:
                events += bus.update(batch[rows], None if failed is None else failed[rows])
        if any(bus.unsaved >= _SAVE_EACH_S or bus.changed for bus in self._buses.values()):
            self._save()
        return events

    def finish(self) -> list[Event]:
        """Tell what waits, and keep what was learnt."""
        events = [event for bus in self._buses.values() for event in bus.finish()]
        if any(bus.unsaved or bus.changed for bus in self._buses.values()):
            self._save()
        return events

    def dump(self) -> bytes:
        """What is known of all buses, as a store or a profile may keep it."""
        return msgspec.msgpack.encode({number: bus.dump() for number, bus in self._buses.items()})

    def _bus(self, number: int) -> "OneBus | None":
        """None for a bus beyond the limit, or that pinned habits do not know."""
        if number not in self._buses and not self._pinned and len(self._buses) < BUSES_MAX:
            self._buses[number] = OneBus(number, self._learn_s)
        return self._buses.get(number)

    def _save(self) -> None:
        for bus in self._buses.values():
            bus.unsaved, bus.changed = 0, False
        if self._store is not None:
            self._store.save(self.dump())


class OneBus:
    """One bus: learns first, then watches. unsaved: seconds learnt since they were kept; changed: so has the state."""

    def __init__(self, number: int, learn_s: int, saved: _SavedBus | None = None, *, pinned: bool = False) -> None:
        self.unsaved = 0
        self.changed = False
        self._number = number
        self._pinned = pinned
        learner = None if saved is None else HabitLearner.load(saved.habits)
        self._learner = learner or HabitLearner()
        self._seconds = 0 if saved is None or learner is None else saved.seconds
        self._span_s = learn_s if saved is None or learner is None else saved.span_s
        self._second = _BEFORE
        self._newest_ns = _BEFORE
        self._failed_ns = _BEFORE
        self._learnt_in_second = False
        self._watch: BusWatch | None = None
        self._usual: set[int] = set()
        self._signs = BusSigns(number)
        self._strangers: Counter[int] = Counter()
        self._looked_s = 0
        self._begin_watching()

    @property
    def watching(self) -> bool:
        """Whether its habits are known."""
        return self._watch is not None

    def update(self, batch: FrameBatch, failed: Flags | None) -> list[Event]:
        """Frames of this bus."""
        wanted = ((batch.flags & REFUSED) == 0) & ~_diagnostic(batch.keys())
        if not wanted.all():
            batch, failed = batch[wanted], None if failed is None else failed[wanted]
        if not len(batch):
            return []
        events: list[Event] = []
        seconds = np.maximum.accumulate(np.maximum(batch.t_ns // NS, self._second))
        edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(batch)]
        for start, end in pairwise(edges):
            second = int(seconds[start])
            if second > self._second:
                events += self._close()
                self._second = second
            piece = slice(start, end)
            self._take(batch[piece], None if failed is None else failed[piece])
        return events

    def finish(self) -> list[Event]:
        """Close the last second."""
        return [*self._close(), *self._signs.finish()]

    def dump(self) -> _SavedBus:
        """What should outlive the boot."""
        return _SavedBus(self._seconds, self._span_s, self._learner.dump())

    def _take(self, batch: FrameBatch, failed: Flags | None) -> None:
        """Frames of one second."""
        self._newest_ns = max(self._newest_ns, int(batch.t_ns[-1]))
        if self._watch is None:
            self._learn(batch, failed)
            return
        found = self._watch.judge(batch)
        rows = np.flatnonzero(found)
        if len(rows):
            self._signs.add(batch.keys()[rows], found[rows], batch.t_ns[rows])
            self._strangers.update(batch.keys()[rows][found[rows] == Finding.UNKNOWN].tolist())

    def _learn(self, batch: FrameBatch, failed: Flags | None) -> None:
        """What passes within seconds of a frame that failed its check teaches nothing."""
        if (failed is not None and failed.any()) or batch.t_ns[0] - self._failed_ns < _PAUSE_NS:
            wrong = np.zeros(len(batch), np.bool_) if failed is None else failed
            last_ns = np.maximum.accumulate(np.where(wrong, batch.t_ns, self._failed_ns))
            self._failed_ns = int(last_ns[-1])
            good = batch.t_ns - last_ns >= _PAUSE_NS
            if not good[0]:
                self._learner.pause()
            for start, end in _stretches(good):
                self._feed(batch[start:end])
                if end < len(batch):
                    self._learner.pause()
            return
        self._feed(batch)

    def _feed(self, batch: FrameBatch) -> None:
        self._learner.feed(batch)
        self._learnt_in_second = True

    def _close(self) -> list[Event]:
        """Judge the second that is over, if there was one."""
        if self._second == _BEFORE:
            return []
        if self._watch is None:
            return self._close_learning()
        events = self._signs.close(self._second)
        self._looked_s += 1
        if self._looked_s >= _LOOK_EACH_S:
            events += self._look(self._watch)
        return events

    def _close_learning(self) -> list[Event]:
        if not self._learnt_in_second:
            return []
        self._learnt_in_second = False
        self._seconds += 1
        self.unsaved += 1
        if not self._learner.measuring and 2 * self._seconds >= self._span_s:
            self._learner.measure()
        if not self._begin_watching():
            return []
        self.changed = True
        known = len(self._learner.habits())
        return [BusHabits(t_ns=self._newest_ns, bus=self._number, state="learnt", identifiers=known)]

    def _begin_watching(self) -> bool:
        """Whether enough has been learnt: a bus on which nothing has a rhythm yet is learnt on."""
        if self._seconds < self._span_s or not self._learner.measuring:
            return False
        habits = self._learner.habits()
        if not habits:
            return False
        self._watch = BusWatch(habits)
        self._usual = {key for key, habit in habits.items() if 2 * habit.frames >= self._span_s}
        return True

    def _look(self, watch: BusWatch) -> list[Event]:
        """Learn anew where the car speaks otherwise. More identifiers alone may be an attacker's."""
        gone = len(self._usual - watch.take_seen())
        fresh = sum(count >= _NEW_MIN for count in self._strangers.values())
        self._strangers.clear()
        self._looked_s = 0
        if self._pinned or min(gone, fresh) < max(1, _CHANGED * len(self._usual)):
            return []
        self._watch, self._learner, self._seconds = None, HabitLearner(), 0
        self.changed = True
        events = self._signs.finish()
        self._signs = BusSigns(self._number)
        return [*events, BusHabits(t_ns=self._newest_ns, bus=self._number, state="relearning", identifiers=fresh)]


def load_habits(state: bytes) -> dict[int, _SavedBus]:
    """What BusGuard.dump gave, by bus; empty where it is nothing, damaged or of other software."""
    try:
        saved = msgspec.msgpack.decode(state, type=dict[int, _SavedBus])
    except msgspec.MsgspecError:
        return {}
    sound = all(
        0 <= number <= 255 and bus.span_s > 0 and HabitLearner.load(bus.habits) for number, bus in saved.items()
    )
    return saved if sound and len(saved) <= BUSES_MAX else {}


def _diagnostic(keys: npt.NDArray[np.uint32]) -> Flags:
    """Whether ISO 15765-4 has it for diagnosis (7DF-7EF, 18DAxxxx, 18DBxxxx): a tester may be plugged in any time."""
    diagnostic: Flags = ((keys >= 0x7DF) & (keys <= 0x7EF)) | (keys >> 17 == 0x98DA >> 1)
    return diagnostic


def _stretches(good: Flags) -> list[tuple[int, int]]:
    """Runs of True, as pairs of start and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
