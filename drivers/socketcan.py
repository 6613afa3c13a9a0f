"""CAN frames from the Linux kernel: CAN_RAW drained in windows by plain recvmsg.

Layouts and constants are those of linux/can.h, linux/can/raw.h and linux/can/error.h. The socket is never written to.
"""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

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

FRAME_BYTES: Final = 16  # struct can_frame
FD_FRAME_BYTES: Final = 72  # struct canfd_frame
_FRAME: Final = np.dtype(
    [("id", "=u4"), ("length", "u1"), ("flags", "u1"), ("rest", "u1", 2), ("data", "u1", DATA_SIZE)]
)

_EXTENDED_BIT: Final = 0x8000_0000
_REMOTE_BIT: Final = 0x4000_0000
_ERROR_BIT: Final = 0x2000_0000
_EXTENDED_MASK: Final = 0x1FFF_FFFF
_STANDARD_MASK: Final = 0x7FF

_SOL_CAN_RAW: Final = 101
_CAN_RAW_ERR_FILTER: Final = 2
_CAN_RAW_FD_FRAMES: Final = 5
_SO_TIMESTAMPNS: Final = 35
_SO_RXQ_OVFL: Final = 40
_TIMESPEC: Final = struct.Struct("@ll")
_DROPS: Final = struct.Struct("=I")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_DROPS.size)
_RECEIVE_BUFFER_BYTES: Final = 4 << 20  # the kernel grants up to net.core.rmem_max
_LATE_MAX_NS: Final = 2_000_000_000  # an older stamp means that the wall clock was set in between


class Received(NamedTuple):
    """What one recvmsg gave: the frame, the kernel's wall-clock stamp (0 if none), and whether this box sent it."""

    frame: bytes
    wall_ns: int
    own: bool


class SocketCanSource:
    """A FrameSource over CAN_RAW. index is the bus number that its frames bear; connect is replaced in tests."""

    def __init__(
        self, bus: Bus, clock: Clock, *, index: int = 0, connect: Callable[[Bus], socket.socket] | None = None
    ) -> None:
        self.name = f"{bus.interface}:{bus.channel}"
        self._config = bus
        self._clock = clock
        self._index = index
        self._connect = connect or open_socket
        self._socket: socket.socket | None = None
        self._failure: OSError | None = None
        self._behind = False
        self._latest_ns = 0
        self._kernel_drops = 0
        self._counts = {"frames": 0, "error_frames": 0, "malformed": 0, "dropped": 0}

    async def open(self) -> None:
        """Bind to the interface. Raises SourceLost where there is none, or no CAN in this kernel."""
        await self.close()
        try:
            self._socket = self._connect(self._config)
        except OSError as exc:
            raise SourceLost(f"{self.name} cannot be opened: {_explain(exc)}") from exc
        self._socket.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._latest_ns = self._clock.monotonic_ns()
        self._kernel_drops = 0
        self._failure = None

    async def close(self) -> None:
        """Let go of the socket; safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def read_batch(self) -> FrameBatch:
        """Frames of the next window that has any, at most batch_max. Raises SourceLost."""
        while True:
            if self._behind:
                await asyncio.sleep(0)
            else:
                await self._clock.sleep(self._config.window_ms / 1000)
            received = self._drain()
            self._behind = len(received) >= self._config.batch_max
            if received:
                batch = self._make_batch(received)
                if len(batch):
                    return batch

    def counters(self) -> Mapping[str, int]:
        """frames, error_frames, malformed datagrams, and dropped: what the kernel had no room for."""
        return dict(self._counts)

    def _drain(self) -> list[Received]:
        if self._socket is None:
            raise SourceLost(f"{self.name} is not open")
        received: list[Received] = []
        receive = self._socket.recvmsg
        try:
            while self._failure is None and len(received) < self._config.batch_max:
                frame, ancillary, flags, _ = receive(FD_FRAME_BYTES, _ANCILLARY_BYTES)
                wall_ns, drops = parse_ancillary(ancillary)
                if drops is not None:
                    self._count_drops(drops)
                received.append(Received(frame, wall_ns, bool(flags & socket.MSG_DONTROUTE)))
        except BlockingIOError:
            return received
        except OSError as exc:
            self._failure = exc  # the kernel says it once, so it waits here until what came before is handed out
        if self._failure is not None and not received:
            raise SourceLost(f"{self.name}: {_explain(self._failure)}") from self._failure
        return received

    def _count_drops(self, total: int) -> None:
        """The kernel counts up from the socket's birth, modulo 2^32."""
        self._counts["dropped"] += (total - self._kernel_drops) % (1 << 32)
        self._kernel_drops = total

    def _make_batch(self, received: Sequence[Received]) -> FrameBatch:
        now_ns = self._clock.monotonic_ns()
        offset_ns = now_ns - self._clock.wall_ns()
        batch = parse_frames(received, now_ns=now_ns, latest_ns=self._latest_ns, offset_ns=offset_ns, bus=self._index)
        self._counts["malformed"] += len(received) - len(batch)
        if len(batch):
            self._latest_ns = int(batch.t_ns[-1])
            self._counts["frames"] += len(batch)
            self._counts["error_frames"] += int(np.count_nonzero(batch.flags & ERROR_FRAME))
        return batch


def parse_frames(
    received: Sequence[Received], *, now_ns: int, latest_ns: int, offset_ns: int, bus: int = 0
) -> FrameBatch:
    """Kernel frames (struct can_frame, struct canfd_frame) -> columns; datagrams of any other size are left out.

    t_ns is the kernel's stamp plus offset_ns (monotonic minus wall time, both now), held within latest_ns..now_ns and
    not decreasing. A stamp that is missing, in the future or more than 2 s old gives now_ns: the wall clock was set.
    An error frame's can_id is its error class.
    """
    good = [r for r in received if len(r.frame) == FRAME_BYTES or len(r.frame) == FD_FRAME_BYTES]
    count = len(good)
    raw = np.frombuffer(b"".join([r.frame.ljust(FD_FRAME_BYTES, b"\0") for r in good]), _FRAME)
    is_fd = np.fromiter((len(r.frame) == FD_FRAME_BYTES for r in good), np.bool_, count)
    is_error = raw["id"] & _ERROR_BIT != 0
    is_extended = (raw["id"] & _EXTENDED_BIT != 0) & ~is_error
    is_remote = (raw["id"] & _REMOTE_BIT != 0) & ~is_error & ~is_fd
    length = np.minimum(raw["length"], np.where(is_fd, np.uint8(DATA_SIZE), np.uint8(8)))
    length[is_remote] = 0
    data = np.where(np.arange(DATA_SIZE) < length[:, None], raw["data"], np.uint8(0))
    wide = is_extended | is_error
    own = np.fromiter((r.own for r in good), np.bool_, count)
    flags = (
        np.where(is_extended, EXTENDED, 0)
        | np.where(is_remote, REMOTE, 0)
        | np.where(is_error, ERROR_FRAME, 0)
        | np.where(is_fd, FD, 0)
        | np.where(is_fd & (raw["flags"] & 1 != 0), BIT_RATE_SWITCH, 0)
        | np.where(is_fd & (raw["flags"] & 2 != 0), ERROR_STATE, 0)
        | np.where(own, OWN, 0)
    ).astype(np.uint8)
    return FrameBatch(
        _times([r.wall_ns for r in good], now_ns, latest_ns, offset_ns=offset_ns),
        np.full(count, bus, np.uint8),
        (raw["id"] & np.where(wide, _EXTENDED_MASK, _STANDARD_MASK)).astype(np.uint32),
        flags,
        length,
        data,
    )


def parse_ancillary(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int | None]:
    """(kernel stamp in ns since 1970, 0 if none; drops so far, None if not told) from recvmsg's control messages."""
    wall_ns, drops = 0, None
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            wall_ns = seconds * 1_000_000_000 + nanoseconds
        elif kind == _SO_RXQ_OVFL and len(data) >= _DROPS.size:
            (drops,) = _DROPS.unpack_from(data)
    return wall_ns, drops


def open_socket(bus: Bus) -> socket.socket:
    """A CAN_RAW socket bound to the interface, error frames included. Raises OSError."""
    if not hasattr(socket, "AF_CAN"):
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    sock = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    try:
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_ERR_FILTER, _EXTENDED_MASK)
        if bus.fd:
            sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
        enable_reports(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.bind((bus.channel,))
    except OSError:
        sock.close()
        raise
    return sock


def enable_reports(sock: socket.socket) -> None:
    """Ask the kernel for a time stamp and the count of drops with every frame. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)


def _times(wall_ns: Sequence[int], now_ns: int, latest_ns: int, *, offset_ns: int) -> npt.NDArray[np.int64]:
    t_ns = np.array(wall_ns, np.int64) + offset_ns
    t_ns[(t_ns > now_ns) | (t_ns < now_ns - _LATE_MAX_NS)] = now_ns
    return np.clip(np.maximum.accumulate(t_ns), latest_ns, max(now_ns, latest_ns)) if len(t_ns) else t_ns


def _explain(exc: OSError) -> str:
    reasons = {
        errno.EAFNOSUPPORT: "this kernel has no CAN (module can_raw)",
        errno.EPROTONOSUPPORT: "this kernel has no raw CAN (module can_raw)",
        errno.ENODEV: "no such interface",
        errno.ENXIO: "no such interface",
        errno.ENETDOWN: "the interface is down",
        errno.EPERM: "not permitted",
    }
    return reasons.get(exc.errno or 0, exc.strerror or str(exc))
