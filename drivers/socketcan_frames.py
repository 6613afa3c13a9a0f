"""Kernel frames -> columns, and kernel stamps -> monotonic time. Pure.

Layouts and constants are those of linux/can.h and linux/can/error.h.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

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
from drivers.socketcan_receive import FD_FRAME_BYTES, FRAME_BYTES, Received

EXTENDED_MASK: Final = 0x1FFF_FFFF
STANDARD_MASK: Final = 0x7FF

# The three top bits of the kernel's identifier, as an index: 1 error, 2 remote, 4 extended.
_FLAGS: Final = np.array(
    [0, ERROR_FRAME, REMOTE, ERROR_FRAME, EXTENDED, ERROR_FRAME, EXTENDED | REMOTE, ERROR_FRAME], "u1"
)
_ID_MASK: Final = np.where(_FLAGS & (EXTENDED | ERROR_FRAME), EXTENDED_MASK, STANDARD_MASK).astype(np.uint32)
_LENGTH_MAX: Final = np.where(_FLAGS & REMOTE, 0, 8).astype(np.uint8)
_KIND_SHIFT: Final = np.uint32(29)
_CLASSIC_SIZE: Final = np.uint8(8)
_WORD_MASK: Final = np.frombuffer(b"".join((b"\xff" * n).ljust(8, b"\0") for n in range(9)), np.uint64)
_FD_FLAGS: Final = np.array([FD, FD | BIT_RATE_SWITCH, FD | ERROR_STATE, FD | BIT_RATE_SWITCH | ERROR_STATE], "u1")
_OWN_FLAGS: Final = socket.MSG_DONTROUTE | socket.MSG_CONFIRM  # another socket of this box; this very socket
_SLACK_NS: Final = 2_000_000  # two clocks cannot be read at once

# Few and the same NumPy functions, and no arithmetic with NumPy's scalars: between two looks the caches go to others,
# and then it is the first call of each that costs.
_or: Final = np.bitwise_or.reduce
_and: Final = np.bitwise_and.reduce

_ERROR_CLASSES: Final = {
    "error_tx_timeout": 0x001,
    "error_lost_arbitration": 0x002,
    "error_controller": 0x004,
    "error_protocol": 0x008,
    "error_transceiver": 0x010,
    "error_no_ack": 0x020,
    "bus_off": 0x040,
    "error_bus": 0x080,
    "restarted": 0x100,
}
_CONTROLLER: Final = 0x004
_OVERFLOW: Final = 0x01  # in data[1] of a controller error: the chip had no room for a received frame


def parse_frames(
    received: Received, t_ns: npt.NDArray[np.int64], bus: npt.NDArray[np.uint8]
) -> tuple[FrameBatch, Mapping[str, int]]:
    """Columns of the frames (struct can_frame, struct canfd_frame), each with its t_ns; other sizes are left out.

    bus uint8[>= n] gives the column of that name. An error frame's can_id is its error class; how many there are of
    each class comes second.
    """
    is_fd = None
    if _or(received.size) != FRAME_BYTES or _and(received.size) != FRAME_BYTES:
        is_fd = received.size == FD_FRAME_BYTES
        good = (is_fd & (received.flags & socket.MSG_TRUNC == 0)) | (received.size == FRAME_BYTES)
        received, t_ns, is_fd = _choose(received, good), t_ns[good], is_fd[good]
    can_id, has_errors = received.id.copy(), False
    count = len(can_id)
    if _or(can_id) <= STANDARD_MASK:
        flags = np.zeros(count, np.uint8)
        length = np.minimum(received.length, _CLASSIC_SIZE)
    else:
        kind = can_id >> _KIND_SHIFT
        flags = _FLAGS.take(kind)
        has_errors = bool(int(_or(flags)) & ERROR_FRAME)
        length = np.minimum(received.length, _LENGTH_MAX.take(kind))
        can_id &= _ID_MASK.take(kind)
    words = np.zeros((count, DATA_SIZE // 8), np.uint64)
    np.bitwise_and(received.word, _WORD_MASK.take(length), out=words[:, 0])
    data = words.view(np.uint8)
    if is_fd is not None:
        _parse_fd(received.frames, np.flatnonzero(is_fd), flags, length, data)
    if int(_or(received.flags)) & _OWN_FLAGS:
        flags[received.flags & _OWN_FLAGS != 0] |= OWN
    batch = FrameBatch(t_ns, bus[:count], can_id, flags, length, data)
    return batch, count_errors(batch) if has_errors else {}


def stamp(
    wall_ns: npt.NDArray[np.int64], *, now_ns: int, since_ns: int, latest_ns: int, offsets_ns: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Kernel stamps int64[n] (wall clock, ns since 1970) -> monotonic times in latest_ns..now_ns, not decreasing.

    since_ns: when the queue was last seen empty; latest_ns: time of the frame before. offsets_ns: monotonic minus wall
    time, now and, if the wall clock was set in between, at the last reading. Of the times these allow the latest that
    lies within since_ns..now_ns is taken, or else now_ns: so a step moves a frame at most to the moment of its reading.
    """
    if not len(wall_ns):
        return np.empty(0, np.int64)
    earliest_ns, last_ns = since_ns - _SLACK_NS, now_ns + _SLACK_NS
    t_ns = wall_ns + offsets_ns[0]
    in_order = np.maximum.accumulate(t_ns)
    if len(offsets_ns) > 1 or t_ns.item(0) < earliest_ns or in_order.item(-1) > last_ns:
        t_ns.fill(now_ns)
        for offset_ns in sorted(offsets_ns):
            guess_ns = wall_ns + offset_ns
            np.copyto(t_ns, guess_ns, where=(guess_ns >= earliest_ns) & (guess_ns <= last_ns))
        in_order = np.maximum.accumulate(t_ns)
    if in_order.item(0) < latest_ns or in_order.item(-1) > now_ns:
        np.clip(in_order, latest_ns, max(now_ns, latest_ns), out=in_order)
    return in_order


def count_errors(batch: FrameBatch) -> Mapping[str, int]:
    """How many error frames name each class, where any does, and how often the controller itself had no room."""
    rows = batch.flags & ERROR_FRAME != 0
    classes = batch.can_id[rows]
    counts = {name: int(np.count_nonzero(classes & bit)) for name, bit in _ERROR_CLASSES.items()}
    overflowed = (classes & _CONTROLLER != 0) & (batch.data[rows, 1] & _OVERFLOW != 0)
    counts |= {"error_frames": len(classes), "controller_overflows": int(np.count_nonzero(overflowed))}
    return {name: count for name, count in counts.items() if count}


def _choose(received: Received, rows: npt.NDArray[np.bool_]) -> Received:
    names = ("frames", "id", "length", "word", "size", "flags", "wall_ns")
    return received._replace(**{name: getattr(received, name)[rows] for name in names})


def _parse_fd(
    raw: npt.NDArray[np.void],
    rows: npt.NDArray[np.intp],
    flags: npt.NDArray[np.uint8],
    length: npt.NDArray[np.uint8],
    data: npt.NDArray[np.uint8],
) -> None:
    """Fill in what an FD frame has more: up to 64 bytes and two flags. There are no remote FD frames."""
    fd = raw[rows]
    flags[rows] = (flags[rows] & np.uint8(0xFF ^ REMOTE)) | _FD_FLAGS[fd["flags"] & 3]
    length[rows] = np.minimum(fd["length"], np.uint8(DATA_SIZE))
    data[rows] = np.where(np.arange(DATA_SIZE) < length[rows, None], fd["data"], np.uint8(0))
