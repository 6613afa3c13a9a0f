"""Named signals: VSS 6.0 paths, VSS units and a quality on every value."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt


class Quality(IntEnum):
    """What a value is worth. Detectors see only VALID; the rest is counted and shown."""

    VALID = 0
    STALE = 1
    SENTINEL = 2  # the sender says "no value": 0xFF.., 8191 mV, a validity flag of 0
    IMPLAUSIBLE = 3  # outside the physical range


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One signal: its VSS path, VSS unit, the range outside which it is implausible, and when it goes stale."""

    path: str
    unit: str = ""
    minimum: float = -np.inf
    maximum: float = np.inf
    stale_after_s: float = 2.0


class SignalCatalog:
    """The signals of one run; a signal's number is its place here. Adding a path twice gives the first number."""

    def __init__(self, specs: Iterable[SignalSpec] = ()) -> None:
        self.specs: list[SignalSpec] = []
        self._index: dict[str, int] = {}
        for spec in specs:
            self.add(spec)

    def add(self, spec: SignalSpec) -> int:
        """Return the signal's number, the existing one where the path is known."""
        if spec.path not in self._index:
            self._index[spec.path] = len(self.specs)
            self.specs.append(spec)
        return self._index[spec.path]

    def index(self, path: str) -> int | None:
        """Return the signal's number, None where this run has no such signal."""
        return self._index.get(path)

    def __len__(self) -> int:
        return len(self.specs)


@dataclass(frozen=True, slots=True)
class Samples:
    """m decoded values as columns, times not decreasing per signal.

    t_ns int64[m] monotonic; signal int32[m] number in the catalog; value float64[m] in the VSS unit; quality uint8[m].
    """

    t_ns: npt.NDArray[np.int64]
    signal: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t_ns)


@dataclass(frozen=True, slots=True)
class Series:
    """Valid samples of one signal: t_ns int64[k] not decreasing, value float64[k]."""

    t_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t_ns)


EMPTY_SERIES: Final = Series(np.empty(0, np.int64), np.empty(0, np.float64))


class SignalWindow(Protocol):
    """What detectors see: the valid samples that came since the last window, and recent seconds before them.

    Any split of a recording into windows must give the same events.
    """

    @property
    def t_ns(self) -> int:
        """Monotonic time at the end of the window."""
        ...

    def paths(self) -> Collection[str]:
        """Paths of the signals that have new samples."""
        ...

    def new(self, path: str) -> Series:
        """Samples that arrived in this window; empty if none, or if no such signal exists."""
        ...

    def recent(self, path: str, seconds: float) -> Series:
        """Samples of the last seconds before t_ns, those of this window included."""
        ...

    def latest(self, path: str) -> float | None:
        """Newest value, None where there is none or it is stale."""
        ...


def interleave(t_ns: npt.NDArray[np.int64], values: npt.NDArray[np.float64], *, first: int = 0) -> Samples:
    """Valid samples, sorted by time, from rows of k signals at once, numbered from `first`.

    t_ns int64[n], values float64[n, k].
    """
    count, width = values.shape
    signal = np.empty((count, width), np.int32)
    signal[:] = np.arange(first, first + width)
    return Samples(t_ns.repeat(width), signal.reshape(-1), values.reshape(-1), np.zeros(count * width, np.uint8))


def samples_from(catalog: SignalCatalog, t_ns: int, values: Mapping[str, float]) -> Samples:
    """Valid samples of one instant by path, for edges that get values singly. Unknown paths are added."""
    count = len(values)
    return Samples(
        np.full(count, t_ns, np.int64),
        np.fromiter((catalog.add(SignalSpec(path)) for path in values), np.int32, count),
        np.fromiter(values.values(), np.float64, count),
        np.zeros(count, np.uint8),
    )
