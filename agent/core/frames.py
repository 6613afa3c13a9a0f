"""CAN frames as columns: nothing on the hot path handles one frame at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

EXTENDED: Final = 1  # 29-bit identifier
FD: Final = 2
BIT_RATE_SWITCH: Final = 4
ERROR_STATE: Final = 8
REMOTE: Final = 16
ERROR_FRAME: Final = 32
OWN: Final = 64  # sent by this box, seen on the way out
REFUSED: Final = REMOTE | ERROR_FRAME | OWN  # no data, or none of the car's: never decoded

DATA_SIZE: Final = 64
EXTENDED_KEY: Final = 0x8000_0000  # bit 31 of a frame's key tells 29-bit from 11-bit identifiers


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """n frames in the order of reception.

    t_ns int64[n] monotonic time of reception; bus uint8[n]; can_id uint32[n] (11 or 29 bits, no flag bits);
    flags uint8[n] (the constants above); length uint8[n] payload bytes 0-64 (from some
    drivers, those that a remote frame asks for); data uint8[n, 64], C-contiguous,
    zero beyond length.
    """

    t_ns: npt.NDArray[np.int64]
    bus: npt.NDArray[np.uint8]
    can_id: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    length: npt.NDArray[np.uint8]
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t_ns)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "FrameBatch":
        return FrameBatch(
            self.t_ns[rows], self.bus[rows], self.can_id[rows], self.flags[rows], self.length[rows], self.data[rows]
        )

    def keys(self) -> npt.NDArray[np.uint32]:
        """uint32[n]: the identifier with bit 31 set for 29-bit ones, unique over both kinds."""
        return self.can_id | ((self.flags & EXTENDED).astype(np.uint32) << np.uint32(31))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, for edges that get them singly (dialogues, log readers, tests)."""

    t_ns: int
    can_id: int
    data: bytes
    flags: int = 0
    bus: int = 0


def empty_batch(count: int = 0) -> FrameBatch:
    """Columns of zeros for count frames."""
    return FrameBatch(
        np.zeros(count, np.int64),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint32),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint8),
        np.zeros((count, DATA_SIZE), np.uint8),
    )


def batch_of(frames: Sequence[Frame]) -> FrameBatch:
    """Columns from single frames, in their order. Payloads beyond 64 bytes raise ValueError."""
    count = len(frames)
    length = np.fromiter((len(f.data) for f in frames), np.uint8, count)
    padded = b"".join(f.data.ljust(DATA_SIZE, b"\0") for f in frames)
    return FrameBatch(
        np.fromiter((f.t_ns for f in frames), np.int64, count),
        np.fromiter((f.bus for f in frames), np.uint8, count),
        np.fromiter((f.can_id for f in frames), np.uint32, count),
        np.fromiter((f.flags for f in frames), np.uint8, count),
        length,
        np.frombuffer(padded, np.uint8).reshape(count, DATA_SIZE),
    )


def concatenate(batches: Sequence[FrameBatch]) -> FrameBatch:
    """One batch from several, in order."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return empty_batch()
    return FrameBatch(
        np.concatenate([b.t_ns for b in batches]),
        np.concatenate([b.bus for b in batches]),
        np.concatenate([b.can_id for b in batches]),
        np.concatenate([b.flags for b in batches]),
        np.concatenate([b.length for b in batches]),
        np.concatenate([b.data for b in batches]),
    )
