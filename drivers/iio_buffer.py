"""Reads the scans of one IIO device from its character device: time, values, clipping, and what was lost."""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import SourceLost
from drivers.iio_setup import Setup

_SCANS_MAX: Final = 2048  # a look takes no more; what is left waits for its turn in the loop
_BELIEVED_NS: Final = 60_000_000_000  # a stamp further off is of another clock
_GAP: Final = 1.5  # periods
_WANDER: Final = 0.2  # how far a sensor's own clock is believed to be from the rate it tells

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scans:
    """t_ns int64[n] not decreasing; values float64[n, channels] in the ABI's units; clipped bool[n, channels]."""

    t_ns: npt.NDArray[np.int64]
    values: Floats
    clipped: npt.NDArray[np.bool_]


class Buffer:
    """One open character device. Counts scans, lost (by gaps in the stamps), mistimed and torn ones."""

    def __init__(self, node: Path, setup: Setup) -> None:
        self.scans = self.lost = self.mistimed = 0
        self._node = node
        self._setup = setup
        self._scale = np.array([channel.scale for channel in setup.channels])
        self._offset = np.array([channel.offset for channel in setup.channels])
        self._low = np.array([channel.low for channel in setup.channels])
        self._high = np.array([channel.high for channel in setup.channels])
        self._rest = b""
        self._newest_ns: int | None = None
        self._period_ns = 1e9 / setup.rate_hz
        try:
            self._fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise SourceLost(f"{node}: cannot be opened: {exc.strerror}") from exc

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def watch(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        """Call wake while there is something to read, its end included."""
        loop.add_reader(self._fd, wake)

    def unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call it no more."""
        if self._fd >= 0:
            loop.remove_reader(self._fd)

    def read(self, now_ns: int) -> Scans | None:
        """Scans that are there now, None if there are none. Raises SourceLost where the device is gone."""
        size = self._setup.layout.scan_bytes
        try:
            data = os.read(self._fd, size * _SCANS_MAX)
        except BlockingIOError:
            return None
        except OSError as exc:
            gone = "the device was removed" if exc.errno == errno.ENODEV else exc.strerror
            raise SourceLost(f"{self._node}: {gone}") from exc
        if not data:
            raise SourceLost(f"{self._node}: closed by the other end")
        data = self._rest + data
        whole = len(data) // size * size
        self._rest = data[whole:]
        return self._parse(data[:whole], now_ns) if whole else None

    def _parse(self, data: bytes, now_ns: int) -> Scans | None:
        layout = self._setup.layout
        scans = layout.view(data)
        t_ns = layout.words(scans, "timestamp")
        believed = np.abs(t_ns - now_ns) < _BELIEVED_NS
        if not believed.all():
            self.mistimed += int((~believed).sum())
            scans, t_ns = scans[believed], t_ns[believed]
        if not len(t_ns):
            return None
        self.scans += len(t_ns)
        t_ns = self._account(t_ns)
        words = np.empty((len(t_ns), len(self._setup.channels)))
        for column, channel in enumerate(self._setup.channels):
            words[:, column] = layout.words(scans, channel.name)
        clipped = (words <= self._low) | (words >= self._high)
        return Scans(t_ns, (words + self._offset) * self._scale, clipped)

    def _account(self, t_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count what the gaps say is missing; no stamp goes back behind the one before."""
        first = self._newest_ns is None
        line = np.empty(len(t_ns) + 1, np.int64)
        line[0] = t_ns[0] if self._newest_ns is None else self._newest_ns
        line[1:] = t_ns
        steps = line[1:] - line[:-1]
        if steps.min() < 0:
            ahead = np.maximum.accumulate(line)
            self.mistimed += int((ahead > line).sum())
            line, steps = ahead, ahead[1:] - ahead[:-1]
        if steps.max() > _GAP * self._period_ns:
            self._count_lost(steps[1:] if first else steps)
        self._newest_ns = int(line[-1])
        return line[1:]

    def _count_lost(self, steps: npt.NDArray[np.int64]) -> None:
        """Judge gaps by the pace that the sensor's own clock keeps: it wanders."""
        nominal_ns = 1e9 / self._setup.rate_hz
        if len(steps) >= 5:
            middle = float(np.median(steps))
            if abs(middle - nominal_ns) <= _WANDER * nominal_ns:
                self._period_ns = middle
        gaps = steps[steps > _GAP * self._period_ns]
        self.lost += int((np.rint(gaps / self._period_ns) - 1).sum())
