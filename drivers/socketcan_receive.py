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
        "formats": ["=u8", "=u8", "=u8", "=u8", "=u4", "=u4"],
        "offsets": [16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
# Two control messages a datagram, as 64-bit words: the time stamp (size; level and type; seconds; nanoseconds) and,
# once there are any, the drops (size; level and type; count). Without stamps the drops come first.
CONTROL_WORDS: Final = 8
_LAST: Final = struct.Struct("=8xQI20xQI12x")  # level and type, count; level and type, count
_STAMP: Final = np.array([socket.SOL_SOCKET, SO_TIMESTAMPNS], np.int32).view(np.uint64).item()
_OVERFLOW: Final = np.array([socket.SOL_SOCKET, SO_RXQ_OVFL], np.int32).view(np.uint64).item()
_STAMP_SIZE: Final = 32  # CMSG_SPACE of a timespec
_NS_PER_S: Final = np.array(1_000_000_000, np.int64)  # a Python int would be converted for every call
_TIMESPEC: Final = struct.Struct("=qq")
_DROPS: Final = struct.Struct("=I")
_CONTROL_SIZE: Final = CONTROL_WORDS * 8
_REFUSED: Final = (errno.ENOSYS, errno.EPERM)  # an old kernel, a seccomp filter


class Received(NamedTuple):
    """n datagrams in order. The columns are views: the next receive writes over them.

    frames FRAME[n], and its columns id uint32[n], length uint8[n], word uint64[n]; size uint32[n] bytes; flags
    uint32[n] MSG_ flags; wall_ns int64[n] the kernel's stamp in ns since 1970, 0 if none; drops: what the socket has
    dropped since it was made modulo 2^32, None if not told; full: the limit was reached, there may be more; error:
    what the socket reported once, in between.
    """

    frames: npt.NDArray[np.void]
    id: npt.NDArray[np.uint32]
    length: npt.NDArray[np.uint8]
    word: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint32]
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
        self._single_wall_ns = np.zeros(count_max, np.int64)
        self._frames = np.zeros(count_max, FRAME)
        self._id, self._length, self._word = (self._frames[name] for name in ("id", "length", "word"))
        self._bytes = self._frames.view(np.uint8).data
        self._control = np.zeros((count_max, CONTROL_WORDS), np.int64)
        self._vectors = np.zeros((count_max, 2), np.uint64)
        self._vectors[:, 0] = _addresses(self._frames)
        self._vectors[:, 1] = FD_FRAME_BYTES
        headers = np.zeros(count_max, _HEADER)
        headers["vectors"] = _addresses(self._vectors)
        headers["vector_count"] = 1
        headers["control"] = _addresses(self._control)
        headers["control_size"] = _CONTROL_SIZE
        self._address = headers.ctypes.data
        self._size, self._flags, self._control_size = headers["size"], headers["flags"], headers["control_size"]

    def receive(self) -> Received:
        """Take what is there without waiting, at most count_max. Raises nothing: see Received.error."""
        count, error = 0, None
        self._drops = None
        while count < self._count_max:
            try:
                filled = self._fill(count)
            except OSError as exc:
                if error is not None:
                    break
                error = exc  # told once: what was queued behind it can still be read
                continue
            count += filled
            if not self.refused or not filled:  # recvmmsg stops where the queue ends: what came since can wait
                break
        wall_ns = self._single_wall_ns[:count]
        if count and not self.refused:
            control_size = self._control_size[:count]
            wall_ns, self._drops = parse_control(self._control[:count], control_size.item(-1))
            control_size.fill(_CONTROL_SIZE)  # the kernel left in it what it used
        return Received(
            self._frames[:count],
            self._id[:count],
            self._length[:count],
            self._word[:count],
            self._size[:count],
            self._flags[:count],
            wall_ns,
            self._drops,
            count == self._count_max,
            error,
        )

    def _fill(self, start: int) -> int:
        """Fill rows from start on; returns how many, 0 if there is nothing to read. Raises OSError."""
        if not self.refused:
            try:
                return recvmmsg(self._socket.fileno(), self._address, self._count_max)
            except OSError as exc:
                if exc.errno not in _REFUSED:
                    raise
                self.refused = os.strerror(exc.errno)
        try:
            self._fill_one(start)
        except BlockingIOError:
            return 0
        return 1

    def _fill_one(self, row: int) -> None:
        place = self._bytes[row * FD_FRAME_BYTES : (row + 1) * FD_FRAME_BYTES]
        size, ancillary, flags, _ = self._socket.recvmsg_into([place], _CONTROL_SIZE, socket.MSG_DONTWAIT)
        self._size[row] = size
        self._flags[row] = flags
        self._single_wall_ns[row], drops = parse_ancillary(ancillary)
        self._drops = self._drops if drops is None else drops


def recvmmsg(descriptor: int, headers: int, count: int) -> int:
    """Fill up to count struct mmsghdr at an address without waiting; returns how many. Raises OSError."""
    if _RECVMMSG is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    received: int = _RECVMMSG(descriptor, headers, count, socket.MSG_DONTWAIT, None)
    if received < 0:
        code = ctypes.get_errno()
        if code == errno.EAGAIN:
            return 0
        raise OSError(code, os.strerror(code))
    return received


def parse_control(control: npt.NDArray[np.int64], last_size: int) -> tuple[npt.NDArray[np.int64], int | None]:
    """(stamps in ns since 1970, 0 if none; newest count of drops, None if not told) from int64[n, CONTROL_WORDS].

    n > 0; last_size: bytes the kernel wrote to the last row. A socket stamps all its datagrams or none, and its drops
    only grow, so the last row speaks for all. parse_ancillary for whole columns.
    """
    kind, drops, kind_2, drops_2 = _LAST.unpack(control[-1])
    if last_size >= _STAMP_SIZE and kind == _STAMP:
        wall_ns = control[:, 2] * _NS_PER_S
        wall_ns += control[:, 3]
        return wall_ns, drops_2 if last_size > _STAMP_SIZE and kind_2 == _OVERFLOW else None
    return np.zeros(len(control), np.int64), drops if last_size and kind == _OVERFLOW else None


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
