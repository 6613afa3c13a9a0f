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
_WORD_MASK: Final = np.frombuffer(b"".join((b"\xff" * n).ljust(8, b"\0") for n in range(9)), np.uint64)
_FD_FLAGS: Final = np.array([FD, FD | BIT_RATE_SWITCH, FD | ERROR_STATE, FD | BIT_RATE_SWITCH | ERROR_STATE], "u1")
_OWN_FLAGS: Final = socket.MSG_DONTROUTE | socket.MSG_CONFIRM  # another socket of this box; this very socket
_SLACK_NS: Final = 2_000_000  # two clocks cannot be read at once

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


def parse_frames(received: Received, t_ns: npt.NDArray[np.int64], *, bus: int = 0) -> FrameBatch:
    """Columns of the frames (struct can_frame, struct canfd_frame), each with its t_ns; other sizes are left out.

    An error frame's can_id is its error class.
    """
    size = received.size
    good = ((size == FRAME_BYTES) | (size == FD_FRAME_BYTES)) & (received.flags & socket.MSG_TRUNC == 0)
    rows = slice(None) if good.all() else good
    raw, is_fd = received.frames[rows], size[rows] == FD_FRAME_BYTES
    raw_id = raw["id"]
    kind = raw_id >> np.uint32(29)
    flags = _FLAGS[kind]
    length = np.minimum(raw["length"], np.uint8(8))
    length[flags & REMOTE != 0] = 0
    words = np.zeros((len(raw), DATA_SIZE // 8), np.uint64)
    words[:, 0] = raw["word"] & _WORD_MASK[length]
    data = words.view(np.uint8)
    if is_fd.any():
        _parse_fd(raw, np.flatnonzero(is_fd), flags, length, data)
    flags[received.flags[rows] & _OWN_FLAGS != 0] |= OWN
    return FrameBatch(t_ns[rows], np.full(len(raw), bus, np.uint8), raw_id & _ID_MASK[kind], flags, length, data)


def stamp(
    wall_ns: npt.NDArray[np.int64], *, now_ns: int, since_ns: int, latest_ns: int, offsets_ns: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Kernel stamps int64[n] (wall clock, ns since 1970) -> monotonic times in latest_ns..now_ns, not decreasing.

    since_ns: when the queue was last seen empty; latest_ns: time of the frame before. offsets_ns: monotonic minus wall
    time, now and at the last reading; they differ if the wall clock was set in between. Of the times these allow the
    latest that lies within since_ns..now_ns is taken, or else now_ns: so a step of the wall clock moves a frame at most
    to the moment of its reading.
    """
    t_ns = np.full(len(wall_ns), now_ns, np.int64)
    for offset_ns in sorted(set(offsets_ns)):
        guess_ns = wall_ns + offset_ns
        possible = (guess_ns >= since_ns - _SLACK_NS) & (guess_ns <= now_ns + _SLACK_NS)
        np.copyto(t_ns, guess_ns, where=possible)
    return np.clip(np.maximum.accumulate(t_ns), latest_ns, max(now_ns, latest_ns)) if len(t_ns) else t_ns


def count_errors(batch: FrameBatch) -> Mapping[str, int]:
    """How many error frames name each class (one may name several), and how often the controller itself overflowed."""
    rows = batch.flags & ERROR_FRAME != 0
    if not rows.any():
        return {}
    classes = batch.can_id[rows]
    counts = {name: int(np.count_nonzero(classes & bit)) for name, bit in _ERROR_CLASSES.items()}
    overflowed = (classes & _CONTROLLER != 0) & (batch.data[rows, 1] & _OVERFLOW != 0)
    return {"error_frames": len(classes), **counts, "controller_overflows": int(np.count_nonzero(overflowed))}


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
