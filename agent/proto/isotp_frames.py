"""The frames of ISO-TP (ISO 15765-2) as bytes: addressing, cutting, padding, flow control, separation time."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

CLASSIC_SIZE: Final = 8
FRAME_SIZES: Final = (8, 12, 16, 20, 24, 32, 48, 64)  # payloads CAN FD knows beyond 8 bytes
SIZE_MAX: Final = 4095  # of a message with a 12-bit length; a first frame with the escape length can tell of more
SINGLE, FIRST, CONSECUTIVE, FLOW_CONTROL = range(4)


class FlowStatus(IntEnum):
    """What the receiver of a long message says to its sender."""

    CONTINUE = 0
    WAIT = 1
    OVERFLOW = 2


@dataclass(frozen=True, slots=True)
class Address:
    """The byte in front of every frame under extended and mixed addressing (normal addressing has none).

    Extended: the target's address, so the two directions differ. Mixed: the address extension, the same both ways.
    """

    received: int
    sent: int

    @classmethod
    def extended(cls, *, ours: int, theirs: int) -> "Address":
        """Address by target: what comes to us bears our address, what we send bears theirs."""
        return cls(ours, theirs)

    @classmethod
    def mixed(cls, extension: int) -> "Address":
        """One extension for both directions."""
        return cls(extension, extension)


def encode_flow_control(
    *,
    block_size: int = 0,
    st_min_ms: float = 0,
    status: FlowStatus = FlowStatus.CONTINUE,
    address: Address | None = None,
) -> bytes:
    """What the receiver allows, padded to a full frame, since some ECUs ignore short ones.

    st_min_ms: whole milliseconds up to 127, or 0.1 to 0.9. Raises ValueError for anything else.
    """
    frame = prefix(address) + bytes([0x30 | status, block_size, encode_st_min(st_min_ms)])
    return frame.ljust(CLASSIC_SIZE, b"\0")


def encode_st_min(ms: float) -> int:
    """The separation time's code. Raises ValueError where there is none."""
    if ms == int(ms) and 0 <= ms <= 127:
        return int(ms)
    tenths = round(ms * 10)
    if 1 <= tenths <= 9 and abs(ms * 10 - tenths) < 1e-6:
        return 0xF0 + tenths
    raise ValueError(f"a separation time of {ms} ms cannot be told")


def parse_st_min(code: int) -> int:
    """Separation time in ns: 0-127 ms, F1-F9 100-900 us; reserved codes mean the longest (ISO 15765-2, 9.6.5.4)."""
    if code <= 0x7F:
        return code * 1_000_000
    if 0xF1 <= code <= 0xF9:
        return (code - 0xF0) * 100_000
    return 127_000_000


def encode_frames(
    message: bytes, *, padding: int | None = 0, frame_size: int = CLASSIC_SIZE, address: Address | None = None
) -> list[bytes]:
    """All frames of a message, for a peer that never objects (an ELM327 sends the flow control itself)."""
    return [pad(frame, padding) for frame in cut(message, frame_size=frame_size, address=address)]


def cut(message: bytes, *, frame_size: int = CLASSIC_SIZE, address: Address | None = None) -> Iterator[bytes]:
    """The message's frames, unpadded. frame_size above 8 is CAN FD."""
    start, size = prefix(address), len(message)
    if len(start) + 1 + size <= CLASSIC_SIZE:
        yield start + bytes([size]) + message
        return
    if len(start) + 2 + size <= frame_size and frame_size > CLASSIC_SIZE:
        yield start + bytes([0, size]) + message
        return
    header = bytes([0x10 | size >> 8, size & 0xFF]) if size <= SIZE_MAX else b"\x10\0" + size.to_bytes(4, "big")
    done = frame_size - len(start) - len(header)
    yield start + header + message[:done]
    step = frame_size - len(start) - 1
    for index, at in enumerate(range(done, size, step), 1):
        yield start + bytes([0x20 | index & 0x0F]) + message[at : at + step]


def pad(frame: bytes, padding: int | None) -> bytes:
    """Fill a frame up to 8 bytes (None: leave it short), or to the next length CAN FD knows, which is no choice."""
    size = next(size for size in FRAME_SIZES if len(frame) <= size)
    if size == CLASSIC_SIZE:
        return frame if padding is None else frame.ljust(size, bytes([padding]))
    return frame.ljust(size, bytes([padding or 0]))


def prefix(address: Address | None) -> bytes:
    """What stands before the protocol's own bytes in a frame we send."""
    return b"" if address is None else bytes([address.sent])
