"""What an ELM327 adapter's lines mean: data with and without headers, and the words it has for trouble."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.ecus import is_obd_reply
from agent.proto.isotp import Reassembler

_ERRORS: Final = re.compile(
    r"STOPPED|NO ?DATA|UNABLE TO CONNECT|BUFFER FULL|(CAN|BUS|FB|DATA|RX) ERROR|BUS BUSY|BUS INIT: ?[. ]*ERROR"
    r"|LV RESET|ACT ALERT|LP ALERT|ERR\d\d"
)
_PROGRESS: Final = re.compile(r"SEARCHING[. ]*|BUS INIT: ?[. ]*(?:OK)?(?!ERROR)")
_GREETING: Final = re.compile(r"(ELM|OBDLINK|STN) ?\d|OBD ?II|^LV RESET|^ERR94")  # all settings lost
_CAN: Final = re.compile(r"([0-9A-F]{3}|[0-9A-F]{8})((?:[0-9A-F]{2}){1,8})")  # told apart by odd and even
_LEGACY: Final = re.compile(r"(?:4[18]|8[0-9A-F])(?:6B|F1)([0-9A-F]{2})((?:[0-9A-F]{2}){1,11})[0-9A-F]{2}")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+")
_LENGTH: Final = re.compile(r"[0-9A-F]{3}")
_SEGMENT: Final = re.compile(r"([0-9A-F]):((?:[0-9A-F]{2}){1,7})")
_FRAME_SIZE: Final = 8  # of CAN
_FIRST_SIZE: Final = 6  # data bytes in the first frame of several
_SEGMENT_SIZE: Final = 7
_SCORE_MAX: Final = 3


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


@dataclass(slots=True)
class Filling:
    """Which ECUs fill their frames up to 8 bytes, learnt from what they send: the other length is a damaged line then.

    A line can be damaged to look like the other kind, so it takes a majority, and a mistake wears off.
    """

    scores: dict[int, int] = field(default_factory=dict)  # by sender: above 0 fills up, below does not

    def admits(self, sender: int, size: int, needed: int, full: int) -> bool:
        """Whether a sender's frame of this size is sound, where its data needs `needed` bytes of `full`."""
        if size not in {needed, full}:
            return False
        if needed == full:
            return True
        score = self.scores.get(sender, 0)
        vote = 1 if size == full else -1
        self.scores[sender] = max(-_SCORE_MAX, min(_SCORE_MAX, score + vote))
        return score * vote >= 0


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


def is_greeting(line: str) -> bool:
    """Whether an adapter says this when it starts anew: its name, or that its supply was low."""
    return _GREETING.search(line) is not None


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


def parse_with_headers(
    lines: Sequence[str], filling: Filling | None = None, *, can_only: bool = False, reply: int | None = None
) -> Parsed:
    """Lines after AT H1: CAN with 11 or 29 bits (ISO-TP inside), or three header bytes, data and checksum.

    The line to the adapter has no checksum of its own, so whatever a frame tells about itself is held against it: the
    length of a CAN frame (as long as its message needs, or 8 bytes: see Filling), the checksum of an older bus, which
    shows in the line. A block holds whole messages: what has no end in it is bad. On CAN only identifiers that ECUs
    answer OBD with are read, and `reply`: any other one is a damaged line.
    """
    frames: dict[int, list[bytes]] = {}
    found: list[EcuMessage] = []
    bad = 0
    for line in lines:
        packed = line.replace(" ", "")
        can = _CAN.fullmatch(packed)
        if can and (is_obd_reply(sender := int(can[1], 16)) or sender == reply):
            frames.setdefault(sender, []).append(bytes.fromhex(can[2]))
        elif not can_only and (legacy := _LEGACY.fullmatch(packed)) and _is_sound(bytes.fromhex(packed)):
            found.append(EcuMessage(int(legacy[1], 16), bytes.fromhex(legacy[2])))
        else:
            bad += 1
    is_can = False
    for sender, parts in frames.items():
        messages, spoilt = _assemble(sender, parts, filling or Filling())
        bad += spoilt
        is_can = is_can or bool(messages)
        found += (EcuMessage(sender, message) for message in messages)
    return Parsed(tuple(found), bad, is_can)


def parse_without_headers(lines: Sequence[str], filling: Filling | None = None) -> Parsed:
    """Lines of an adapter that shows no headers: one line a message, or a length and numbered segments.

    Nothing tells the segments of two ECUs apart. So where one message's segments do not add up, none of the others'
    is believed either.
    """
    found: dict[int, bytes] = {}  # by the line it begins on
    segmented: dict[int, tuple[int, list[tuple[int, bytes]]]] = {}
    begin, bad = -1, 0
    for place, line in enumerate(lines):
        packed = line.replace(" ", "")
        if _LENGTH.fullmatch(packed):
            begin = place
            segmented[begin] = (int(packed, 16), [])
        elif (segment := _SEGMENT.fullmatch(packed)) and begin >= 0:
            segmented[begin][1].append((int(segment[1], 16), bytes.fromhex(segment[2])))
        elif _HEX.fullmatch(packed):
            found[place] = bytes.fromhex(packed)
        else:
            bad += 1
    joined = {place: _join(size, parts, filling or Filling()) for place, (size, parts) in segmented.items()}
    if None in joined.values():
        bad += len(joined)
    else:
        found |= {place: message for place, message in joined.items() if message is not None}
    return Parsed(tuple(EcuMessage(0, found[place]) for place in sorted(found)), bad)


def j1850_crc(data: bytes) -> int:
    """The last byte of a SAE J1850 message (polynomial 1D, all ones at the start, inverted at the end)."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x1D if crc & 0x80 else 0)) & 0xFF
    return crc ^ 0xFF


def _is_sound(line: bytes) -> bool:
    """Whether the checksum at the end of an older bus's line fits, and the length where the format byte has one."""
    if line[1] != 0xF1:  # ISO 9141 adds up, J1850 divides: the header is the same
        return line[-1] in {sum(line[:-1]) & 0xFF, j1850_crc(line[:-1])}
    length = line[0] & 0x3F
    return line[-1] == sum(line[:-1]) & 0xFF and length in {0, len(line) - 4}


def _assemble(sender: int, frames: list[bytes], filling: Filling) -> tuple[list[bytes], int]:
    """Whole messages out of one ECU's frames of one block, and how many frames were spoilt."""
    reassembler = Reassembler()
    found: list[bytes] = []
    bad = 0
    for data in _in_order(frames):
        try:
            message = reassembler.feed(sender, data, 0).message
        except ProtocolError:
            bad += 1
            continue
        if message is None:
            continue
        if filling.admits(sender, len(data), _last_size(len(message)), _FRAME_SIZE):
            found.append(message)
        else:
            bad += 1
    return found, bad + len(reassembler) + reassembler.ignored + reassembler.aborted


def _join(size: int, segments: list[tuple[int, bytes]], filling: Filling) -> bytes | None:
    """One message out of its numbered segments; None where they do not add up to it."""
    if len(segments) <= 16:
        segments = sorted(segments)
    numbers = [number for number, _ in segments]
    parts = [part for _, part in segments]
    if numbers != [n & 0x0F for n in range(len(parts))] or len(parts) < 2:
        return None
    left = size - _FIRST_SIZE - _SEGMENT_SIZE * (len(parts) - 2)
    sizes = [_FIRST_SIZE] + [_SEGMENT_SIZE] * (len(parts) - 2)
    if [len(part) for part in parts[:-1]] != sizes or not 1 <= left <= _SEGMENT_SIZE:
        return None
    return b"".join(parts)[:size] if filling.admits(0, len(parts[-1]), left, _SEGMENT_SIZE) else None


def _last_size(message_size: int) -> int:
    """Bytes of the last frame of a message that is not filled up."""
    return 1 + message_size if message_size < _FRAME_SIZE else 2 + (message_size - 7) % 7


def _in_order(frames: list[bytes]) -> list[bytes]:
    """The frames with the consecutive ones sorted where that is beyond doubt: one message, its numbers all there.

    Radio links mix up lines. The count starts anew after 15, so longer messages must come in order.
    """
    kinds = [frame[0] >> 4 for frame in frames]
    count = kinds.count(2)
    if kinds.count(1) != 1 or not 2 <= count <= 15:
        return frames
    rest = sorted((frame for frame, kind in zip(frames, kinds, strict=True) if kind == 2), key=lambda frame: frame[0])
    if [frame[0] & 0x0F for frame in rest] != list(range(1, count + 1)):
        return frames
    begin = kinds.index(1)
    others = [(place, frame) for place, (frame, kind) in enumerate(zip(frames, kinds, strict=True)) if kind != 2]
    before = [frame for place, frame in others if place <= begin]
    return before + rest + [frame for place, frame in others if place > begin]
