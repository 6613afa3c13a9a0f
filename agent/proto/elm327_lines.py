"""What an ELM327 adapter's lines mean: data with and without headers, and the words it has for trouble."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.isotp import Reassembler

_ERRORS: Final = re.compile(
    r"STOPPED|NO ?DATA|UNABLE TO CONNECT|BUFFER FULL|(CAN|BUS|FB|DATA|RX) ERROR|BUS BUSY|BUS INIT: ?[. ]*ERROR"
    r"|LV RESET|ACT ALERT|LP ALERT|ERR\d\d"
)
_PROGRESS: Final = re.compile(r"SEARCHING[. ]*|BUS INIT: ?[. ]*(?:OK)?(?!ERROR)")
_CAN: Final = re.compile(r"(7E[89A-F]|18DAF1[0-9A-F]{2})((?:[0-9A-F]{2}){1,8})")
_LEGACY: Final = re.compile(r"(?:4[18]|8[0-9A-F])(?:6B|F1)([0-9A-F]{2})((?:[0-9A-F]{2}){1,11})[0-9A-F]{2}")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+")
_LENGTH: Final = re.compile(r"[0-9A-F]{3}")
_SEGMENT: Final = re.compile(r"([0-9A-F]):((?:[0-9A-F]{2})+)")


class Status(Enum):
    """How a command ended."""

    OK = auto()  # the adapter did it, or at least one ECU answered
    NO_DATA = auto()  # no ECU answered
    REFUSED = auto()  # "?": the adapter does not know the command
    STOPPED = auto()  # interrupted: ask again
    UNABLE_TO_CONNECT = auto()  # no bus: ignition off, or nothing plugged in
    FAILED = auto()  # buffer full, bus error, spoilt lines, silence


@dataclass(frozen=True, slots=True)
class EcuMessage:
    """One whole message of one ECU.

    The sender is the identifier on CAN, the source address on older buses, 0 where the adapter shows no headers.
    """

    sender: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """What data lines held. bad: lines and frames that could not be read."""

    messages: tuple[EcuMessage, ...]
    bad: int
    is_can: bool = False


def split_lines(block: bytes) -> list[str]:
    """The lines of a block, upper case, without blanks around them; empty ones are left out."""
    text = block.decode("ascii", "replace").upper()
    return [line for line in (part.strip() for part in re.split(r"[\r\n]+", text)) if line]


def strip_progress(line: str) -> str:
    """The line without `SEARCHING...` and `BUS INIT: ...OK`, which some adapters put before the data."""
    return line if is_error(line) else _PROGRESS.sub("", line).strip()


def is_searching(block: bytes) -> bool:
    """Whether the adapter has said that it is looking for the bus."""
    return _PROGRESS.search(block.decode("ascii", "replace").upper()) is not None


def is_data(line: str) -> bool:
    """Whether a line is made of hex digits (with blanks, or a segment number before them)."""
    return re.fullmatch(r"(?:[0-9A-F]:)?[0-9A-F ]{2,}", line) is not None


def is_error(line: str) -> bool:
    """Whether a line tells of trouble on the bus."""
    return _ERRORS.search(line) is not None


def parse_status(notes: Sequence[str]) -> Status:
    """How a request ended that brought no message."""
    text = " ".join(notes)
    if "UNABLE" in text:
        return Status.UNABLE_TO_CONNECT
    if "STOPPED" in text:
        return Status.STOPPED
    if "NO DATA" in text or "NODATA" in text:
        return Status.NO_DATA
    return Status.REFUSED if "?" in notes else Status.FAILED


def parse_with_headers(lines: Sequence[str]) -> Parsed:
    """Lines after AT H1: CAN with 11 or 29 bits (ISO-TP inside), or three header bytes, data and checksum.

    The adapter has checked the checksum of the older buses already. A block holds whole messages: what has no end in
    it is bad.
    """
    reassembler = Reassembler()
    found: list[EcuMessage] = []
    bad, is_can = 0, False
    for line in lines:
        packed = line.replace(" ", "")
        if can := _CAN.fullmatch(packed):
            sender = int(can[1], 16)
            try:
                message = reassembler.feed(sender, bytes.fromhex(can[2]), 0).message
            except ProtocolError:
                bad += 1
                continue
            if message is not None:
                found.append(EcuMessage(sender, message))
                is_can = True
        elif legacy := _LEGACY.fullmatch(packed):
            found.append(EcuMessage(int(legacy[1], 16), bytes.fromhex(legacy[2])))
        else:
            bad += 1
    bad += len(reassembler) + reassembler.ignored + reassembler.aborted
    return Parsed(tuple(found), bad, is_can)


def parse_without_headers(lines: Sequence[str]) -> Parsed:
    """Lines of an adapter that refuses AT H1: one line a message, or a length and numbered segments."""
    found: list[EcuMessage] = []
    size, data, expected, bad = 0, bytearray(), 0, 0
    for line in lines:
        packed = line.replace(" ", "")
        segment = _SEGMENT.fullmatch(packed)
        if _LENGTH.fullmatch(packed):
            bad += size != 0
            size, data, expected = int(packed, 16), bytearray(), 0
        elif segment and size and int(segment[1], 16) == expected:
            data += bytes.fromhex(segment[2])
            expected = (expected + 1) % 16
            if len(data) >= size:
                found.append(EcuMessage(0, bytes(data[:size])))
                size = 0
        elif _HEX.fullmatch(packed):
            found.append(EcuMessage(0, bytes.fromhex(packed)))
        else:
            bad += 1
    return Parsed(tuple(found), bad + (size != 0))
