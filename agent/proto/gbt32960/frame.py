"""The frame of GB/T 32960.3: start, command, VIN, length, data unit, checksum; and frames out of a stream of bytes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from agent.core.errors import ProtocolError

HEADER_SIZE: Final = 24
DATA_MAX: Final = 65_531
FRAME_MAX: Final = HEADER_SIZE + DATA_MAX + 1
COMMAND: Final = 0xFE  # the response flag of a frame that is no response
PLAIN: Final = 0x01  # not encrypted
_VIN_SIZE: Final = 17


class Edition(IntEnum):
    """The year, which the two start bytes tell apart."""

    V2016 = 2016
    V2025 = 2025


_ENCRYPTIONS: Final = frozenset({1, 2, 3, 4, 5, 0xFE, 0xFF})
_STARTS: Final = {b"##": Edition.V2016, b"$$": Edition.V2025}


class Command(IntEnum):
    """What a frame is about. C0 to FE are the platforms' own."""

    LOGIN = 0x01
    REALTIME = 0x02
    REISSUE = 0x03
    LOGOUT = 0x04
    PLATFORM_LOGIN = 0x05
    PLATFORM_LOGOUT = 0x06
    HEARTBEAT = 0x07
    TIME_SYNC = 0x08
    ACTIVATION = 0x09  # 2025
    ACTIVATION_REPLY = 0x0A  # 2025
    KEY_EXCHANGE = 0x0B  # 2025
    QUERY = 0x80
    SET = 0x81
    CONTROL = 0x82


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. response: COMMAND (FE), or 01 ok, 02 error, ...; data: the data unit as it is on the wire.

    vin: 17 characters, NULs and spaces kept; bytes that are not ASCII are read as Latin-1 so that they survive.
    """

    edition: Edition
    command: int
    vin: str
    data: bytes
    response: int = COMMAND
    encryption: int = PLAIN


def parse_frame(frame: bytes) -> Frame:
    """One whole frame. Raises ProtocolError where start, length or checksum is wrong."""
    edition = _STARTS.get(frame[:2])
    if edition is None:
        raise ProtocolError(f"GB/T 32960: a frame does not start with {frame[:2].hex(' ') or 'nothing'}")
    if len(frame) <= HEADER_SIZE:
        raise ProtocolError(f"GB/T 32960: frame of {len(frame)} bytes")
    size = int.from_bytes(frame[22:24], "big")
    if size > DATA_MAX or len(frame) != HEADER_SIZE + size + 1:
        raise ProtocolError(f"GB/T 32960: {size} bytes of data announced, {len(frame) - HEADER_SIZE - 1} there")
    expected = checksum(frame[2:-1])
    if frame[-1] != expected:
        raise ProtocolError(f"GB/T 32960: checksum {frame[-1]:02X} should be {expected:02X}")
    vin = frame[4 : 4 + _VIN_SIZE].decode("latin-1")
    return Frame(edition, frame[2], vin, frame[HEADER_SIZE:-1], frame[3], frame[21])


def encode_frame(frame: Frame) -> bytes:
    """Inverse of parse_frame. Raises ValueError where the VIN has not 17 characters or the data is too long."""
    vin = frame.vin.encode("latin-1")
    if len(vin) != _VIN_SIZE:
        raise ValueError(f"VIN {frame.vin!r} has not {_VIN_SIZE} characters")
    if len(frame.data) > DATA_MAX:
        raise ValueError(f"{len(frame.data)} bytes of data, at most {DATA_MAX} fit")
    start = b"##" if frame.edition is Edition.V2016 else b"$$"
    head = bytes([frame.command, frame.response]) + vin + bytes([frame.encryption])
    body = head + len(frame.data).to_bytes(2, "big") + frame.data
    return start + body + bytes([checksum(body)])


def checksum(body: bytes) -> int:
    """XOR of all bytes from the command to the end of the data (BCC)."""
    return int(np.bitwise_xor.reduce(np.frombuffer(body, np.uint8)))


class FrameSplitter:
    """Finds frames in a stream split anyhow. Holds at most one frame (FRAME_MAX bytes); `skipped` counts lost bytes.

    Bytes that make no frame with a good checksum are skipped up to the next two that can begin one. What looks like a
    start but has an unknown encryption does not: its length would make us wait for bytes that are another frame's.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.bad = 0  # frames with a wrong checksum
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Bytes as they come. Never raises."""
        found: list[Frame] = []
        for at in range(0, len(data), FRAME_MAX):
            self._buffer += data[at : at + FRAME_MAX]
            start = self._split(found)
            del self._buffer[:start]
        return found

    def _split(self, found: list[Frame]) -> int:
        """Append the buffer's frames; return how many of its bytes are done with."""
        buffer = self._buffer
        at = 0
        while (begin := self._find_start(at)) is not None:
            self.skipped += begin - at
            at = begin
            if len(buffer) - at < HEADER_SIZE:
                return at
            size = int.from_bytes(buffer[at + 22 : at + 24], "big")
            end = at + HEADER_SIZE + size + 1
            good_head = size <= DATA_MAX and buffer[at + 21] in _ENCRYPTIONS
            if good_head and end > len(buffer):
                return at
            frame = self._try(at, end) if good_head else None
            if frame is None:
                self.skipped += 1  # not 2: in "###" the frame may begin at the second
                at += 1
            else:
                found.append(frame)
                at = end
        keep = int(bool(buffer[at:]) and buffer[-1] in b"#$")
        self.skipped += len(buffer) - keep - at
        return len(buffer) - keep

    def _try(self, at: int, end: int) -> Frame | None:
        try:
            return parse_frame(bytes(self._buffer[at:end]))
        except ProtocolError:
            self.bad += 1
            return None

    def _find_start(self, at: int) -> int | None:
        places = [place for start in _STARTS if (place := self._buffer.find(start, at)) >= 0]
        return min(places, default=None)
