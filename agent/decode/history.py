"""Recent seconds of every signal, and the windows that detectors look through."""

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.signals import EMPTY_SERIES, Quality, Samples, Series, SignalCatalog

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]

_CAPACITY_MIN: Final = 64
_PIECES_MAX: Final = 256
_EXTENDED_MAX: Final = 64  # batches remembered between two windows
_SINGLY_MAX: Final = 32  # samples in a batch
_LONG_AGO: Final = np.iinfo(np.int64).min
_VALID: Final = int(Quality.VALID)


class Groups:
    """New samples by signal number, times not decreasing; each signal's are cut out when first asked for."""

    __slots__ = ("_cut", "_places", "_t_ns", "_values")

    def __init__(
        self, places: dict[int, tuple[int, int]], t_ns: Times, values: Values, *, cut: dict[int, Series] | None = None
    ) -> None:
        """places: first, and last + 1, of each signal's run within t_ns and values. cut: what is cut out already."""
        self._places = places
        self._t_ns = t_ns
        self._values = values
        self._cut = {} if cut is None else cut

    def numbers(self) -> Collection[int]:
        """Signals that have new samples."""
        return self._places or self._cut

    def get(self, number: int) -> Series:
        """One signal's, empty where it has none."""
        series = self._cut.get(number)
        if series is None:
            place = self._places.get(number)
            if place is None:
                return EMPTY_SERIES
            start, stop = place
            series = self._cut[number] = Series(self._t_ns[start:stop], self._values[start:stop])
        return series


class History:
    """The VALID samples of the last seconds per signal; at most samples_max of each, oldest forgotten first.

    Times of one signal never go back: a sample older than the newest one of its signal is dropped and counted in
    `backwards`. The number of signals is the catalog's, so memory is bounded: 16 to 32 bytes a sample, and for each
    signal its last 256 batches.
    """

    def __init__(self, catalog: SignalCatalog, *, seconds: float = 30.0, samples_max: int = 196_608) -> None:
        self.backwards = 0
        self._catalog = catalog
        self._span_ns = round(seconds * 1e9)
        self._samples_max = samples_max
        self._rings: dict[int, _Ring] = {}
        self._extended: list[tuple[Samples, Groups]] = []

    def extend(self, samples: Samples) -> None:
        """Add a batch: VALID samples only, times within a signal not before the newest known one."""
        groups = self._extend_singly(samples) if len(samples) <= _SINGLY_MAX else self._extend_in_runs(samples)
        if len(self._extended) == _EXTENDED_MAX:
            del self._extended[0]
        self._extended.append((samples, groups))

    def window(self, samples: Samples, t_ns: int) -> "Window":
        """The view of detectors at t_ns, `samples` being what arrived since the last one and has been extended."""
        groups = next((groups for known, groups in self._extended if known is samples), None)
        if groups is None:
            groups = self._group_again(samples)
        self._extended.clear()
        return Window(self._catalog, self._rings, groups, t_ns)

    def _extend_singly(self, samples: Samples) -> Groups:
        """One sample after the other, which is faster where there are few. Gives the new samples by signal."""
        counts: dict[int, int] = {}
        columns = (samples.signal.tolist(), samples.t_ns.tolist(), samples.value.tolist(), samples.quality.tolist())
        for number, t_ns, value, quality in zip(*columns, strict=True):
            if quality != _VALID:
                continue
            ring = self._ring(number)
            if t_ns < ring.newest_ns:
                self.backwards += 1
                continue
            ring.push(t_ns, value)
            counts[number] = counts.get(number, 0) + 1
        cut = {number: self._rings[number].tail(count) for number, count in counts.items()}
        return Groups({}, EMPTY_SERIES.t_ns, EMPTY_SERIES.value, cut=cut)

    def _extend_in_runs(self, samples: Samples) -> Groups:
        """All samples of a signal at once."""
        numbers, t_ns, values = _sort(samples)
        if not len(numbers):
            return Groups({}, t_ns, values)
        starts, stops = _runs(numbers)
        signals = numbers.take(starts).tolist()
        rings = [self._ring(number) for number in signals]
        newest = np.array([ring.newest_ns for ring in rings], np.int64)
        back = t_ns[1:] < t_ns[:-1]
        back[stops[:-1] - 1] = False
        if back.any() or (t_ns.take(starts) < newest).any():
            keep = _forward(t_ns, starts, stops, newest)
            self.backwards += len(keep) - int(np.count_nonzero(keep))
            numbers, t_ns, values = numbers[keep], t_ns[keep], values[keep]
            starts, stops = _runs(numbers)
            signals = numbers.take(starts).tolist()
            rings = [self._rings[number] for number in signals]
        last = stops - 1
        places = dict(zip(signals, zip(starts.tolist(), stops.tolist(), strict=True), strict=True))
        columns = zip(rings, places.values(), t_ns.take(last).tolist(), values.take(last).tolist(), strict=True)
        for ring, place, newest_ns, value in columns:
            ring.add(t_ns, values, place, newest_ns, value)
        return Groups(places, t_ns, values)

    def _ring(self, number: int) -> "_Ring":
        ring = self._rings.get(number)
        if ring is None:
            ring = self._rings[number] = _Ring(self._span_ns, self._samples_max)
        return ring

    def _group_again(self, samples: Samples) -> Groups:
        """The new samples of a batch that was extended in other pieces: only times within it can be checked."""
        numbers, t_ns, values = _sort(samples)
        starts, stops = _runs(numbers)
        keep = _forward(t_ns, starts, stops, np.full(len(starts), _LONG_AGO))
        numbers, t_ns, values = numbers[keep], t_ns[keep], values[keep]
        starts, stops = _runs(numbers)
        places = zip(starts.tolist(), stops.tolist(), strict=True)
        return Groups(dict(zip(numbers.take(starts).tolist(), places, strict=True)), t_ns, values)


class Window:
    """A SignalWindow over a History; good until the next extend."""

    __slots__ = ("_catalog", "_groups", "_rings", "_t_ns")

    def __init__(self, catalog: SignalCatalog, rings: "Mapping[int, _Ring]", groups: Groups, t_ns: int) -> None:
        self._catalog = catalog
        self._rings = rings
        self._groups = groups
        self._t_ns = t_ns

    @property
    def t_ns(self) -> int:
        """Monotonic time at the end of the window."""
        return self._t_ns

    def paths(self) -> list[str]:
        """Paths of the signals that have new samples."""
        return [self._catalog.specs[number].path for number in self._groups.numbers()]

    def new(self, path: str) -> Series:
        """Samples that arrived in this window."""
        number = self._catalog.index(path)
        return EMPTY_SERIES if number is None else self._groups.get(number)

    def recent(self, path: str, seconds: float) -> Series:
        """Samples of the last seconds before t_ns, as far as the history reaches; views, not to be written to."""
        ring = self._ring(path)
        return EMPTY_SERIES if ring is None else ring.since(self._t_ns - round(seconds * 1e9))

    def latest(self, path: str) -> float | None:
        """Newest value; None where there is none, or it is older than the signal's stale_after_s."""
        number = self._catalog.index(path)
        ring = None if number is None else self._rings.get(number)
        if number is None or ring is None:
            return None
        age_ns = self._t_ns - ring.newest_ns
        return ring.newest if age_ns <= self._catalog.specs[number].stale_after_s * 1e9 else None

    def _ring(self, path: str) -> "_Ring | None":
        number = self._catalog.index(path)
        return None if number is None else self._rings.get(number)


class _Ring:
    """Samples of one signal, newest last, in arrays with room to append.

    Runs of a batch wait as they came, and are joined once somebody looks or many wait: most signals nobody looks back
    at. What has been appended is never overwritten: when the room is used up the living part moves to new arrays, so
    the views handed out stay true.
    """

    __slots__ = ("_pieces", "_samples_max", "_span_ns", "_start", "_stop", "_t_ns", "_values", "newest", "newest_ns")

    def __init__(self, span_ns: int, samples_max: int) -> None:
        self._span_ns = span_ns
        self._samples_max = samples_max
        self._t_ns = np.empty(_CAPACITY_MIN, np.int64)
        self._values = np.empty(_CAPACITY_MIN, np.float64)
        self._start = self._stop = 0
        self._pieces: list[tuple[Times, Values, tuple[int, int]]] = []
        self.newest_ns = int(_LONG_AGO)
        self.newest = 0.0

    def push(self, t_ns: int, value: float) -> None:
        """Add one sample that is not older than the newest."""
        if self._pieces:
            self._join()
        self.newest_ns, self.newest = t_ns, value
        if self._stop == len(self._t_ns):
            self._move(1)
        self._t_ns[self._stop] = t_ns
        self._values[self._stop] = value
        self._stop += 1
        self._start = max(self._start, self._stop - self._samples_max)

    def add(self, t_ns: Times, values: Values, place: tuple[int, int], newest_ns: int, newest: float) -> None:
        """Add the samples at place (first, last + 1) of a batch, not older than the newest; their last is given."""
        self._pieces.append((t_ns, values, place))
        self.newest_ns, self.newest = newest_ns, newest
        if len(self._pieces) == _PIECES_MAX:
            self._join()

    def tail(self, count: int) -> Series:
        """The last count samples, all of them pushed."""
        start = max(self._start, self._stop - count)
        return Series(self._t_ns[start : self._stop], self._values[start : self._stop])

    def since(self, t_ns: int) -> Series:
        """Samples from t_ns on, of those within the span."""
        if self._pieces:
            self._join()
        return self._living(max(t_ns, self.newest_ns - self._span_ns))

    def _living(self, t_ns: int) -> Series:
        start = self._start + int(self._t_ns[self._start : self._stop].searchsorted(t_ns))
        return Series(self._t_ns[start : self._stop], self._values[start : self._stop])

    def _join(self) -> None:
        """Append what waits."""
        pieces, self._pieces = self._pieces, []
        t_ns = np.concatenate([t[first:end] for t, _, (first, end) in pieces])[-self._samples_max :]
        values = np.concatenate([v[first:end] for _, v, (first, end) in pieces])[-self._samples_max :]
        count = len(t_ns)
        if self._stop + count > len(self._t_ns):
            self._move(count)
        self._t_ns[self._stop : self._stop + count] = t_ns
        self._values[self._stop : self._stop + count] = values
        self._stop += count
        self._start = max(self._start, self._stop - self._samples_max)

    def _move(self, count: int) -> None:
        living = self._living(self.newest_ns - self._span_ns)
        kept = min(len(living), max(0, self._samples_max - count))
        capacity = max(_CAPACITY_MIN, 2 * (kept + count))
        self._t_ns, self._values = np.empty(capacity, np.int64), np.empty(capacity, np.float64)
        self._t_ns[:kept] = living.t_ns[len(living) - kept :]
        self._values[:kept] = living.value[len(living) - kept :]
        self._start, self._stop = 0, kept


def _sort(samples: Samples) -> tuple[Numbers, Times, Values]:
    """Number, time and value of the VALID samples, by signal, in their order within each."""
    numbers, t_ns, values = samples.signal, samples.t_ns, samples.value
    if samples.quality.any():
        valid = samples.quality == Quality.VALID
        numbers, t_ns, values = numbers[valid], t_ns[valid], values[valid]
    # 16 bits sort by radix, in linear time.
    order = numbers.astype(np.uint16).argsort(kind="stable") if _small(numbers) else numbers.argsort(kind="stable")
    return numbers.take(order), t_ns.take(order), values.take(order)


def _small(numbers: Numbers) -> bool:
    return not len(numbers) or int(numbers.max()) < 1 << 16


def _runs(numbers: Numbers) -> tuple[Places, Places]:
    """First place, and last place + 1, of each run of equal numbers."""
    if not len(numbers):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    cuts = (numbers[1:] != numbers[:-1]).nonzero()[0] + 1
    return np.concatenate([[0], cuts]), np.concatenate([cuts, [len(numbers)]])


def _forward(t_ns: Times, starts: Places, stops: Places, newest: Times) -> npt.NDArray[np.bool_]:
    """Which samples are not older than one before them."""
    keep = np.ones(len(t_ns), np.bool_)
    for start, stop, known in zip(starts.tolist(), stops.tolist(), newest.tolist(), strict=True):
        run = t_ns[start:stop]
        keep[start:stop] = run >= np.maximum.accumulate(np.maximum(run, known))
    return keep
