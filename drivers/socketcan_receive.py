"""Datagrams of a socket into NumPy rows: many a call by recvmmsg, one a call by recvmsg where that is refused.

Python has no recvmmsg, so it is called through ctypes. Layouts are those of 64-bit Linux: struct mmsghdr, iovec,
cmsghdr and timespec (bits/socket.h, linux/socket.h), and struct canfd_frame (linux/can.h), which can_frame begins.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

FRAME_BYTES: Final = 16  # struct can_frame
FD_FRAME_BYTES: Final = 72  # struct canfd_frame
FRAME: Final = np.dtype(
    {
        "names": ["id", "length", "flags", "word", "data"],  # word: the whole payload of a classic frame
        "formats": ["=u4", "u1", "u1", "=u8", ("u1", 64)],
        "offsets": [0, 4, 5, 8, 8],
        "itemsize": FD_FRAME_BYTES,
    }
)
SO_TIMESTAMPNS: Final = 35
SO_RXQ_OVFL: Final = 40

_HEADER: Final = np.dtype(
    {
        "names": ["vectors", "vector_count", "control", "control_size", "flags", "size"],
        "formats": ["=u8", "=u8", "=u8", "=u8", "=i4", "=u4"],
        "offsets": [16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
# The kernel writes the time stamp first and adds the drops once there are any; without stamps the drops come first.
CONTROL: Final = np.dtype(
    {
        "names": ["level", "kind", "seconds", "nanoseconds", "drops_only", "kind_2", "drops"],
        "formats": ["=i4", "=i4", "=i8", "=i8", "=u4", "=i4", "=u4"],
        "offsets": [8, 12, 16, 24, 16, 44, 48],
        "itemsize": 64,
    }
)
_TIMESPEC: Final = struct.Struct("=qq")
_DROPS: Final = struct.Struct("=I")
_STAMP_SIZE: Final = 32  # CMSG_SPACE of a timespec
_DROPS_SIZE: Final = 20  # CMSG_LEN of a u32
_REFUSED: Final = (errno.ENOSYS, errno.EPERM)  # an old kernel, a seccomp filter


class Received(NamedTuple):
    """n datagrams in order. The columns are views: the next receive writes over them.

    frames FRAME[n]; size uint32[n] bytes; flags int32[n] MSG_ flags; wall_ns int64[n] the kernel's stamp in ns since
    1970, 0 if none; drops: what the socket has dropped since it was made modulo 2^32, None if not told; full: the limit
    was reached, there may be more; error: what the socket reported once, in between.
    """

    frames: npt.NDArray[np.void]
    size: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.int32]
    wall_ns: npt.NDArray[np.int64]
    drops: int | None = None
    full: bool = False
    error: OSError | None = None


class Receiver:
    """Empties a socket into rows allocated once. refused says why recvmmsg cannot be used, "" while it can."""

    def __init__(self, sock: socket.socket, count_max: int) -> None:
        self.refused = ""
        self._socket = sock
        self._count_max = count_max
        self._drops: int | None = None
        self._wall_ns = np.zeros(count_max, np.int64)
        self._frames = np.zeros(count_max, FRAME)
        self._bytes = self._frames.view(np.uint8).data
        self._control = np.zeros(count_max, CONTROL)
        self._vectors = np.zeros((count_max, 2), np.uint64)
        self._vectors[:, 0] = _addresses(self._frames)
        self._vectors[:, 1] = FD_FRAME_BYTES
        self._headers = np.zeros(count_max, _HEADER)
        self._headers["vectors"] = _addresses(self._vectors)
        self._headers["vector_count"] = 1
        self._headers["control"] = _addresses(self._control)

    def receive(self) -> Received:
        """Take what is there without waiting, at most count_max. Raises nothing: see Received.error."""
        count, error = 0, None
        self._drops = None
        while count < self._count_max:
            try:
                count += self._fill(count)
            except BlockingIOError:
                break
            except OSError as exc:
                if error is not None:
                    break
                error = exc  # told once: what was queued behind it can still be read
        headers = self._headers[:count]
        return Received(
            self._frames[:count],
            headers["size"],
            headers["flags"],
            self._wall_ns[:count],
            self._drops,
            count == self._count_max,
            error,
        )

    def _fill(self, start: int) -> int:
        if not self.refused:
            try:
                return self._fill_many(start)
            except OSError as exc:
                if exc.errno not in _REFUSED:
                    raise
                self.refused = os.strerror(exc.errno)
        self._fill_one(start)
        return 1

    def _fill_many(self, start: int) -> int:
        headers = self._headers[start:]
        headers["control_size"] = CONTROL.itemsize
        count = recvmmsg(self._socket.fileno(), headers.ctypes.data, len(headers))
        rows = slice(start, start + count)
        self._wall_ns[rows], drops = parse_control(self._control[rows], headers["control_size"][:count])
        self._drops = self._drops if drops is None else drops
        return count

    def _fill_one(self, row: int) -> None:
        place = self._bytes[row * FD_FRAME_BYTES : (row + 1) * FD_FRAME_BYTES]
        size, ancillary, flags, _ = self._socket.recvmsg_into([place], CONTROL.itemsize, socket.MSG_DONTWAIT)
        self._headers["size"][row] = size
        self._headers["flags"][row] = flags
        self._wall_ns[row], drops = parse_ancillary(ancillary)
        self._drops = self._drops if drops is None else drops


def recvmmsg(descriptor: int, headers: int, count: int) -> int:
    """Fill up to count struct mmsghdr at an address without waiting. Raises OSError."""
    if _RECVMMSG is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    received: int = _RECVMMSG(descriptor, headers, count, socket.MSG_DONTWAIT, None)
    if received < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return received


def parse_control(
    control: npt.NDArray[np.void], size: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], int | None]:
    """(stamps in ns since 1970, 0 if none; newest count of drops, None if not told) from n control buffers.

    size uint64[n]: bytes the kernel wrote to each. parse_ancillary for whole columns.
    """
    ours = control["level"] == socket.SOL_SOCKET
    stamped = ours & (control["kind"] == SO_TIMESTAMPNS) & (size >= _STAMP_SIZE)
    wall_ns = np.where(stamped, control["seconds"] * 1_000_000_000 + control["nanoseconds"], 0)
    drops = None
    if len(control):  # the count only grows, so the last one says it all
        last, last_size = control[-1], int(size[-1])
        if stamped[-1] and last_size >= _STAMP_SIZE + _DROPS_SIZE and last["kind_2"] == SO_RXQ_OVFL:
            drops = int(last["drops"])
        elif ours[-1] and last_size >= _DROPS_SIZE and last["kind"] == SO_RXQ_OVFL:
            drops = int(last["drops_only"])
    return wall_ns, drops


def parse_ancillary(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int | None]:
    """(stamp in ns since 1970, 0 if none; drops so far, None if not told) from recvmsg's control messages."""
    wall_ns, drops = 0, None
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            wall_ns = seconds * 1_000_000_000 + nanoseconds
        elif kind == SO_RXQ_OVFL and len(data) >= _DROPS.size:
            (drops,) = _DROPS.unpack_from(data)
    return wall_ns, drops


def _addresses(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return np.uint64(rows.ctypes.data) + np.arange(len(rows), dtype=np.uint64) * np.uint64(rows.strides[0])


def _load_recvmmsg() -> Callable[..., int] | None:
    """The C library's function; None off Linux and where pointers are not the 64 bits of the layouts above."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "recvmmsg", None)
    if function is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]  # ctypes types no foreign function


_RECVMMSG: Final = _load_recvmmsg()
