"""The signal table as columns: what decode_batch gathers from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.decode.small import SmallDecoder

INTEGER, HALF, SINGLE, DOUBLE = range(4)  # Rows.kind

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """One row per (virtual message, value): raw = (word >> shift) & mask, then sign, scale, offset.

    A value that touches nine bytes is `wide`: its word lacks the bits of byte 8 of the window. low and high are the
    plausible range, or for a gate's row what it asks for (outside of it where negated); bit is the gate's place in the
    frame's mask of failed gates, gates the mask that a value must not meet.
    """

    number: npt.NDArray[np.int32]
    shift: Words
    mask: Words
    sign: Ints
    scale: Floats
    offset: Floats
    need: Bytes
    kind: Bytes
    unsigned64: Flags
    wide: Flags
    window: Bytes
    big_endian: Flags
    length: Bytes
    low: Floats
    high: Floats
    gates: Words
    bit: Words
    negated: Flags
    sentinels: Ints  # [rows, most of a row]
    sentinel_count: Bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Which rows each node gives: first and count, how many per segment [nodes, segments], the most bytes needed."""

    first: Ints
    count: Ints
    per_segment: Ints
    need: Bytes


@dataclass(frozen=True, slots=True)
class Selectors:
    """Per node: where its selector lies (mask 0: none), and where to go. A case's key is node << 32 | value."""

    window: Ints
    big_endian: Flags
    shift: Words
    mask: Words
    need: Bytes
    default: Ints
    case_key: Ints
    case_node: Ints


@dataclass(frozen=True, slots=True)
class SignalTable:
    """What decode_batch works on; immutable. segments are (byte offset, big endian) of 8-byte windows."""

    small: SmallDecoder
    small_below: int  # frames in a batch below which the small path is faster
    rows: Rows
    values: Block
    conditions: Block
    selectors: Selectors
    segments: tuple[tuple[int, bool], ...]
    standard: Ints  # [2049] root node of each 11-bit identifier; the last for everything else
    extended_key: npt.NDArray[np.uint32]  # ascending, with an impossible key at its end
    extended_root: Ints  # root nodes of these keys, 0 at the end
    has_selectors: bool
    has_sign: bool
    has_float: bool
    has_unsigned64: bool
    has_wide: bool
    has_range: bool
    has_gates: bool
    has_sentinels: bool

    def identifiers(self) -> list[int]:
        """Every frame that gives signals, as FrameBatch.keys() tells them: 11 bits, or 29 with bit 31 set."""
        unknown = self.standard[-1]
        return [*np.flatnonzero(self.standard[:-1] != unknown).tolist(), *self.extended_key[:-1].tolist()]
