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
from dataclasses import dataclass
from typing import Any, Final

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

_HEADER: Final = np.dtype(
    {
        "names": ["vectors", "vector_count", "control", "control_size", "flags", "size"],
        "formats": ["=u8", "=u8", "=u8", "=u8", "=u4", "=u4"],
        "offsets": [16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
# One control message a datagram, as 64-bit words: its size; level and type; seconds; nanoseconds.
_CONTROL_WORDS: Final = 4
_CONTROL_SIZE: Final = _CONTROL_WORDS * 8
_HEADER_BYTES: Final = _HEADER.itemsize
_TIMESPEC: Final = struct.Struct("=qq")
_REFUSED: Final = (errno.ENOSYS, errno.EPERM)  # an old kernel, a seccomp filter


@dataclass(slots=True)
class Received:
    """What the last receive has filled: the first `count` rows of each column. The next one writes over them.

    frames FRAME[], and its columns id uint32[], length uint8[], word uint64[]; size uint32[] bytes; flags uint32[]
    MSG_ flags; seconds and nanoseconds int64[] since 1970, the kernel's stamp, both 0 if none. plain: all are of the
    size of a classic frame, and none has a flag. full: the limit was reached, there may be more. error: what the
    socket reported once, in between.
    """

    frames: npt.NDArray[np.void]
    id: npt.NDArray[np.uint32]
    length: npt.NDArray[np.uint8]
    word: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint32]
    seconds: npt.NDArray[np.int64]
    nanoseconds: npt.NDArray[np.int64]
    count: int = 0
    plain: bool = False
    full: bool = False
    error: OSError | None = None


class Receiver:
    """Empties a socket into rows allocated once. refused says why recvmmsg cannot be used, "" while it can."""

    def __init__(self, sock: socket.socket, count_max: int) -> None:
        self.refused = ""
        self._socket = sock
        self._count_max = count_max
        frames = np.zeros(count_max, FRAME)
        self._frame_bytes = frames.view(np.uint8).data
        self._control = np.zeros((count_max, _CONTROL_WORDS), np.int64)
        self._vectors = np.zeros((count_max, 2), np.uint64)
        self._vectors[:, 0] = _addresses(frames)
        self._vectors[:, 1] = FD_FRAME_BYTES
        headers = np.zeros(count_max, _HEADER)
        headers["vectors"] = _addresses(self._vectors)
        headers["vector_count"] = 1
        headers["control"] = _addresses(self._control)
        headers["control_size"] = _CONTROL_SIZE
        headers["size"] = FRAME_BYTES
        self._plain = headers.tobytes()  # what the kernel leaves of them if every datagram is plain and stamped
        self._header_bytes = headers.view(np.uint8).data
        self._address = ctypes.c_void_p(headers.ctypes.data)
        self._control_size = headers["control_size"]
        self._received = Received(
            frames,
            frames["id"],
            frames["length"],
            frames["word"],
            headers["size"],
            headers["flags"],
            self._control[:, 2],
            self._control[:, 3],
        )

    def receive(self) -> Received:
        """Take what is there without waiting, at most count_max. Raises nothing: see Received.error."""
        received = self._received
        received.error = None
        if self.refused:
            count = self._receive_singly()
        else:
            try:
                count = recvmmsg(self._socket.fileno(), self._address, self._count_max)
            except OSError as exc:
                count = self._receive_after(exc)
        received.count = count
        received.full = count == self._count_max  # it stops where the queue ends: what came since can wait
        received.plain = self._plain.startswith(self._header_bytes[: count * _HEADER_BYTES])
        if not received.plain:
            control_size = self._control_size[:count]
            self._control[:count][control_size < _CONTROL_SIZE] = 0  # no stamp
            control_size.fill(_CONTROL_SIZE)  # the kernel left in it what it used
        return received

    def _receive_after(self, error: OSError) -> int:
        """An error is told once: what was queued behind it can still be read."""
        if error.errno in _REFUSED:
            self.refused = os.strerror(error.errno)
            return self._receive_singly()
        self._received.error = error
        try:
            return recvmmsg(self._socket.fileno(), self._address, self._count_max)
        except OSError:
            return 0

    def _receive_singly(self) -> int:
        """By recvmsg."""
        row = 0
        while row < self._count_max:
            try:
                self._fill(row)
            except BlockingIOError:
                break
            except OSError as exc:
                if self._received.error is not None:
                    break
                self._received.error = exc
            else:
                row += 1
        return row

    def _fill(self, row: int) -> None:
        place = self._frame_bytes[row * FD_FRAME_BYTES : (row + 1) * FD_FRAME_BYTES]
        size, ancillary, flags, _ = self._socket.recvmsg_into([place], _CONTROL_SIZE, socket.MSG_DONTWAIT)
        received = self._received
        received.size[row] = size
        received.flags[row] = flags
        received.seconds[row], received.nanoseconds[row] = parse_ancillary(ancillary)


def recvmmsg(descriptor: int, headers: ctypes.c_void_p, count: int) -> int:
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


def parse_ancillary(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int]:
    """(Seconds, nanoseconds) since 1970 of the stamp among recvmsg's control messages, (0, 0) if there is none."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            return _TIMESPEC.unpack_from(data)
    return 0, 0


def _addresses(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return np.uint64(rows.ctypes.data) + np.arange(len(rows), dtype=np.uint64) * np.uint64(rows.strides[0])


def _load_recvmmsg() -> Callable[..., int] | None:
    """The C library's function; None off Linux and where pointers are not the 64 bits of the layouts above."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "recvmmsg", None)
    if function is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    function.restype = ctypes.c_int  # without argtypes, whose conversions cost: each argument is of its type already
    return function  # type: ignore[no-any-return]  # ctypes types no foreign function


_RECVMMSG: Final = _load_recvmmsg()
