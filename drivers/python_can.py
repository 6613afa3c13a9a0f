"""CAN frames from any python-can interface, drained in windows. It only listens: there is no way to send here.

How a bus is read is decided by whether it has a file descriptor. With one (slcan, udp_multicast, robotell, ...), and
for `virtual`, recv(0) returns at once and the drain happens in the loop. The others (pcan, kvaser, ixxat, vector, ...)
may block inside a vendor's library, as may `serial`, which ignores the timeout: a thread of their own waits in recv,
and the drain takes what it has gathered.

When a frame came: interfaces stamp with the wall clock, with a counter of their own, or not at all. So the last frame
of a drain is taken to have come at the drain, at most one window late, and those before it by the interface's own
differences if these rise and fit between two drains; otherwise all get the time of the drain. `virtual` stamps with the
wall clock of whoever sends, which says nothing about simulated time, so its differences are not used. A stamp that lies
on the injected clock already (within two windows of now) is kept: a simulated bus opened with preserve_timestamps=True
gives such, and the same run gives the same times.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import can
import numpy as np
import numpy.typing as npt

from agent.core.config import Bus
from agent.core.errors import SourceLost
from agent.core.frames import (
    BIT_RATE_SWITCH,
    DATA_SIZE,
    ERROR_FRAME,
    ERROR_STATE,
    EXTENDED,
    FD,
    OWN,
    REMOTE,
    FrameBatch,
)
from agent.core.ports import Clock

_BLOCKING: Final = frozenset({"serial"})  # has a file descriptor, and reads a frame byte by byte all the same
_WAIT_S: Final = 0.1  # how long the thread stays in recv, and so how long close may take
_QUEUE_MAX: Final = 65_536

# What python-can lets through besides its own errors when an interface is missing, half installed or misconfigured
# (NameError: kvaser without its library).
_OPEN_ERRORS: Final = (
    can.CanError,
    OSError,
    ImportError,
    NameError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
)


class PythonCanSource:
    """A FrameSource over python-can. index is the bus number that its frames bear."""

    def __init__(self, bus: Bus, clock: Clock, *, index: int = 0) -> None:
        self.name = f"{bus.interface}:{bus.channel}"
        self._config = bus
        self._clock = clock
        self._index = index
        self._window_ns = bus.window_ms * 1_000_000
        self._bus: can.BusABC | None = None
        self._reader: _Reader | None = None
        self._behind = False
        self._latest_ns = 0
        self._counts = {"frames": 0, "error_frames": 0, "dropped": 0}

    async def open(self) -> None:
        """Connect, in a thread as drivers may take their time. Raises SourceLost."""
        await self.close()
        with self._clock.hold():
            self._bus = await asyncio.to_thread(_open_bus, self._config)
        self._latest_ns = self._clock.monotonic_ns()
        if not _can_poll(self._bus, self._config.interface):
            self._reader = _Reader(self._bus)

    async def close(self) -> None:
        """Disconnect; safe to call twice."""
        bus, self._bus = self._bus, None
        reader, self._reader = self._reader, None
        if reader is not None:
            self._counts["dropped"] += reader.dropped
            with self._clock.hold():
                await asyncio.to_thread(reader.stop)
        if bus is not None:
            try:
                bus.shutdown()
            except (can.CanError, OSError):
                return  # it is gone already, which is what was wanted

    async def read_batch(self) -> FrameBatch:
        """Frames of the next window that has any, at most batch_max. Raises SourceLost."""
        while True:
            if self._behind:
                await asyncio.sleep(0)
            else:
                await self._clock.sleep(self._config.window_ms / 1000)
            messages = self._drain()
            self._behind = len(messages) >= self._config.batch_max
            if messages:
                return self._make_batch(messages)

    def counters(self) -> Mapping[str, int]:
        """frames, error_frames, and dropped: frames that came while the queue of a blocking interface was full."""
        waiting = self._reader.dropped if self._reader is not None else 0
        return {**self._counts, "dropped": self._counts["dropped"] + waiting}

    def _drain(self) -> list[can.Message]:
        if self._bus is None:
            raise SourceLost(f"{self.name} is not open")
        try:
            if self._reader is not None:
                return self._reader.take(self._config.batch_max)
            messages: list[can.Message] = []
            while len(messages) < self._config.batch_max and (message := self._bus.recv(0)) is not None:
                messages.append(message)
        except (can.CanError, OSError, ValueError) as exc:  # ValueError: a closed descriptor, bytes that are no frame
            raise SourceLost(f"{self.name}: {exc}") from exc
        return messages

    def _make_batch(self, messages: Sequence[can.Message]) -> FrameBatch:
        seconds = np.fromiter((message.timestamp for message in messages), np.float64, len(messages))
        believe = self._config.interface != "virtual"
        now_ns = self._clock.monotonic_ns()
        t_ns = stamp(seconds, now_ns, self._latest_ns, window_ns=self._window_ns, use_differences=believe)
        self._latest_ns = int(t_ns[-1])
        batch = batch_from_messages(messages, t_ns, bus=self._index)
        self._counts["frames"] += len(batch)
        self._counts["error_frames"] += int(np.count_nonzero(batch.flags & ERROR_FRAME))
        return batch


def stamp(
    seconds: npt.NDArray[np.float64], now_ns: int, latest_ns: int, *, window_ns: int, use_differences: bool = True
) -> npt.NDArray[np.int64]:
    """Monotonic times of reception: interface stamps float64[n] in s -> int64[n] in latest_ns..now_ns, not decreasing.

    now_ns is the time of the drain, latest_ns that of the newest frame before it.
    """
    own_ns = seconds * 1e9
    behind_ns = now_ns - own_ns
    span_ns = float(own_ns[-1] - own_ns[0])
    if bool(np.all((behind_ns > -1000) & (behind_ns <= 2 * window_ns))):
        spread = np.rint(own_ns).astype(np.int64)
    elif use_differences and bool(np.all(np.diff(own_ns) >= 0)) and span_ns <= min(now_ns - latest_ns, 2 * window_ns):
        spread = now_ns - np.rint((seconds[-1] - seconds) * 1e9).astype(np.int64)
    else:
        spread = np.full(len(seconds), now_ns, np.int64)
    return np.clip(np.maximum.accumulate(spread), latest_ns, max(now_ns, latest_ns))


def batch_from_messages(messages: Sequence[can.Message], t_ns: npt.NDArray[np.int64], *, bus: int = 0) -> FrameBatch:
    """Columns from python-can's messages with the times given."""
    count = len(messages)
    data = [b"" if message.is_remote_frame else bytes(message.data[:DATA_SIZE]) for message in messages]
    padded = b"".join(payload.ljust(DATA_SIZE, b"\0") for payload in data)
    return FrameBatch(
        t_ns,
        np.full(count, bus, np.uint8),
        np.fromiter((message.arbitration_id for message in messages), np.uint32, count),
        np.fromiter(map(_flags, messages), np.uint8, count),
        np.fromiter(map(len, data), np.uint8, count),
        np.frombuffer(padded, np.uint8).reshape(count, DATA_SIZE),
    )


def _flags(message: can.Message) -> int:
    if message.is_error_frame:
        return ERROR_FRAME
    return (
        (EXTENDED if message.is_extended_id else 0)
        | (REMOTE if message.is_remote_frame else 0)
        | (FD if message.is_fd else 0)
        | (BIT_RATE_SWITCH if message.bitrate_switch else 0)
        | (ERROR_STATE if message.error_state_indicator else 0)
        | (0 if message.is_rx else OWN)
    )


def _open_bus(config: Bus) -> can.BusABC:
    options: dict[str, Any] = {}
    if config.bitrate is not None:
        options["bitrate"] = config.bitrate
    if config.fd:
        options["fd"] = True
    try:
        return can.Bus(channel=config.channel, interface=config.interface, ignore_config=True, **options)
    except _OPEN_ERRORS as exc:
        raise SourceLost(f"{config.interface}:{config.channel} cannot be opened: {exc or type(exc).__name__}") from exc


def _can_poll(bus: can.BusABC, interface: str) -> bool:
    if interface == "virtual":
        return True
    if interface in _BLOCKING:
        return False
    try:
        return bus.fileno() >= 0
    except (NotImplementedError, can.CanError):
        return False


class _Reader:
    """Waits in recv on a thread of its own, for interfaces whose recv may block."""

    def __init__(self, bus: can.BusABC) -> None:
        self.dropped = 0
        self._bus = bus
        self._messages: deque[can.Message] = deque(maxlen=_QUEUE_MAX)
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="can-reader", daemon=True)
        self._thread.start()

    def take(self, count_max: int) -> list[can.Message]:
        """Take up to count_max of what has come; once that is all, raise what ended the reading."""
        messages: list[can.Message] = []
        while self._messages and len(messages) < count_max:
            messages.append(self._messages.popleft())
        if not messages and self._failure is not None:
            raise self._failure
        return messages

    def stop(self) -> None:
        """Wait until the thread has left recv."""
        self._stopping.set()
        self._thread.join(timeout=10 * _WAIT_S)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                message = self._bus.recv(_WAIT_S)
                if message is None:
                    continue
                self.dropped += len(self._messages) == _QUEUE_MAX
                self._messages.append(message)
        except (can.CanError, OSError, ValueError) as exc:
            self._failure = exc
