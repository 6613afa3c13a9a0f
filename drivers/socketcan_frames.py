"""Kernel frames -> columns.

Layouts and constants are those of linux/can.h and linux/can/error.h.
"""

import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
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
_CARRIED: Final = np.where(_FLAGS & REMOTE, 0, 0xFF).astype(np.uint8)  # a remote frame has a length, but no bytes
_KIND_SHIFT: Final = np.uint32(29)
_CLASSIC_SIZE: Final = np.uint8(8)
_WORD_MASK: Final = np.frombuffer(b"".join((b"\xff" * n).ljust(8, b"\0") for n in range(9)), np.uint64)
_FD_FLAGS: Final = np.array([FD, FD | BIT_RATE_SWITCH, FD | ERROR_STATE, FD | BIT_RATE_SWITCH | ERROR_STATE], "u1")
_SHEET_ROWS: Final = 1024
SENT_HERE: Final = socket.MSG_CONFIRM  # by this very socket
SENT_BY_OTHERS: Final = socket.MSG_DONTROUTE  # by another socket of this box

# Few and the same NumPy functions: between two looks the caches go to others, and then it is the first call of each
# that costs. So the greatest identifier is the last of the running maxima, a function that the time stamps need anyway.
_running_max: Final = np.maximum.accumulate

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


class FrameParser:
    """Columns of datagrams (struct can_frame, struct canfd_frame). index is the bus number that its frames bear.

    own_flags: the MSG_ flags of a frame that this box has sent. errors: error frames by class, and all of them.
    """

    def __init__(self, index: int, count_max: int, *, own_flags: int = SENT_HERE | SENT_BY_OTHERS) -> None:
        self.own_flags = own_flags
        self.errors: Counter[str] = Counter()
        self._bus = np.full(count_max, index, np.uint8)
        self._no_flags = np.zeros(count_max, np.uint8)
        for shared in (self._bus, self._no_flags):  # every batch shows a piece of them
            shared.setflags(write=False)
        self._cut = 0
        self._take_sheet(_SHEET_ROWS)

    def parse(self, received: Received, t_ns: npt.NDArray[np.int64]) -> FrameBatch:
        """Batch of those that are frames, each with its t_ns, int64[count]; datagrams of other sizes are left out.

        An error frame's can_id is its error class.
        """
        if not received.plain:
            return self._parse_mixed(received, t_ns)
        count = received.count
        can_id, length = received.id[:count].copy(), received.length[:count].copy()
        carried, flags, has_errors = length, self._no_flags[:count], False
        if count and _running_max(can_id).item(-1) > STANDARD_MASK:
            kind = can_id >> _KIND_SHIFT
            flags = _FLAGS.take(kind)
            has_errors = bool((flags & ERROR_FRAME).any())
            can_id &= _ID_MASK.take(kind)
            np.minimum(length, _CLASSIC_SIZE, out=length)
            carried = length & _CARRIED.take(kind)
        try:
            mask = _WORD_MASK.take(carried)
        except IndexError:  # longer than 8, which the kernel lets none pass that claims to be
            np.minimum(length, _CLASSIC_SIZE, out=length)
            mask = _WORD_MASK.take(length)
        start, end = self._cut, self._cut + count
        if end > len(self._data):
            self._take_sheet(max(count, _SHEET_ROWS))
            start, end = 0, count
        self._cut = end
        np.bitwise_and(received.word[:count], mask, self._words[start:end])
        batch = FrameBatch(t_ns, self._bus[:count], can_id, flags, length, self._data[start:end])
        if has_errors:
            self.errors.update(count_errors(batch))
        return batch

    def _parse_mixed(self, received: Received, t_ns: npt.NDArray[np.int64]) -> FrameBatch:
        count = received.count
        size, msg_flags = received.size[:count], received.flags[:count]
        is_fd = size == FD_FRAME_BYTES
        good = (is_fd & (msg_flags & socket.MSG_TRUNC == 0)) | (size == FRAME_BYTES)
        rows, msg_flags, is_fd, t_ns = received.frames[:count][good], msg_flags[good], is_fd[good], t_ns[good]
        length = np.minimum(rows["length"], _CLASSIC_SIZE)
        columns = {"id": rows["id"], "length": length, "word": rows["word"]}
        batch = self.parse(replace(received, **columns, count=len(rows), plain=True), t_ns)
        flags = batch.flags.copy()
        _parse_fd(rows, np.flatnonzero(is_fd), flags, batch.length, batch.data)
        flags[msg_flags & self.own_flags != 0] |= OWN
        return replace(batch, flags=flags)

    def _take_sheet(self, rows: int) -> None:
        """Zeros for the payloads of many batches: to make them costs more than to fill them."""
        sheet = np.zeros((rows, DATA_SIZE // 8), np.uint64)
        self._words, self._data = sheet[:, 0], sheet.view(np.uint8)
        self._cut = 0


def count_errors(batch: FrameBatch) -> Mapping[str, int]:
    """How many error frames name each class, where any does, and how often the controller itself had no room."""
    rows = batch.flags & ERROR_FRAME != 0
    classes = batch.can_id[rows]
    counts = {name: int(np.count_nonzero(classes & bit)) for name, bit in _ERROR_CLASSES.items()}
    overflowed = (classes & _CONTROLLER != 0) & (batch.data[rows, 1] & _OVERFLOW != 0)
    counts |= {"error_frames": len(classes), "controller_overflows": int(np.count_nonzero(overflowed))}
    return {name: count for name, count in counts.items() if count}


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
