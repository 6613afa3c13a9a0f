"""UDS (ISO 14229-1), the reading half only: DTCs by status (19) and data by identifier (22). No I/O in here.

Requests out, answers in; a refusal and "wait, it comes" are values the caller acts on. Replies are whole messages, as
ISO-TP hands them over. Source: the widely published service tables (the standard's text was not read: no conformity is
claimed).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag, auto
from typing import Final

from agent.core.errors import ProtocolError
from agent.proto.obd import RequestRefused, parse_dtc

READ_DTCS: Final = 0x19
READ_DATA: Final = 0x22
_NEGATIVE: Final = 0x7F

DIDS_PER_REQUEST: Final = 16
MESSAGE_MAX: Final = 4095

COUNT_BY_STATUS: Final = 0x01
DTCS_BY_STATUS: Final = 0x02
SNAPSHOT_IDS: Final = 0x03
SNAPSHOT_BY_DTC: Final = 0x04
EXTENDED_BY_DTC: Final = 0x06
SUPPORTED_DTCS: Final = 0x0A
PERMANENT_DTCS: Final = 0x15

# Compiled in, never configurable: sub-functions of 19 that read, and how many bytes follow each. Those with bit 7 set
# ("do not answer") and those that read by memory address or vendor scheme are not here.
_DTC_PARAMETERS: Final[Mapping[int, int]] = {
    COUNT_BY_STATUS: 1, DTCS_BY_STATUS: 1, SNAPSHOT_IDS: 0, SNAPSHOT_BY_DTC: 4, EXTENDED_BY_DTC: 4, 0x07: 2, 0x08: 2,
    0x09: 3, SUPPORTED_DTCS: 0, 0x0B: 0, 0x0C: 0, 0x0D: 0, 0x0E: 0, 0x14: 0, PERMANENT_DTCS: 0,
}  # fmt: skip
_LISTS: Final = frozenset({DTCS_BY_STATUS, SUPPORTED_DTCS, 0x0B, 0x0C, 0x0D, 0x0E, PERMANENT_DTCS})


class DtcStatus(IntFlag):
    """The status byte of a DTC (ISO 14229-1, annex D)."""

    TEST_FAILED = 0x01
    TEST_FAILED_THIS_CYCLE = 0x02
    PENDING = 0x04
    CONFIRMED = 0x08
    NOT_TESTED_SINCE_CLEAR = 0x10
    FAILED_SINCE_CLEAR = 0x20
    NOT_TESTED_THIS_CYCLE = 0x40
    WARNING_INDICATOR = 0x80


@dataclass(frozen=True, slots=True)
class Dtc:
    """One trouble code: 24 bits, of which the last 8 are the failure type."""

    code: int
    status: DtcStatus

    @property
    def text(self) -> str:
        """As people write it: D12800 -> U1128-00, 561487 -> C1614-87."""
        return format_dtc(self.code)


class Advice(Enum):
    """What a refusal asks of the caller."""

    WAIT = auto()  # 78: the real answer follows, keep listening
    REPEAT = auto()  # 21: busy, ask again later
    LATER = auto()  # not in this state of the car: engine, speed, session
    NEVER = auto()  # it does not know the question, or does not let us ask


@dataclass(frozen=True, slots=True)
class Negative:
    """The ECU said no (7F service code)."""

    service: int
    code: int

    @property
    def advice(self) -> Advice:
        """What to do about it."""
        if self.code == 0x78:
            return Advice.WAIT
        if self.code == 0x21:
            return Advice.REPEAT
        return Advice.LATER if self.code in {0x22, 0x7E, 0x7F} or 0x81 <= self.code <= 0x93 else Advice.NEVER

    @property
    def text(self) -> str:
        """The code's name where it is well known, else its number."""
        return _REFUSALS.get(self.code, f"code {self.code:02X}")


@dataclass(frozen=True, slots=True)
class Positive:
    """The ECU's answer: what comes after the service byte."""

    service: int
    body: bytes


def check_request(request: bytes) -> bytes:
    """Return the request if it is a read the allow-list knows, in shape too. Raises RequestRefused."""
    service, parameters = request[:1], request[1:]
    if service == bytes([READ_DATA]):
        if parameters and len(parameters) % 2 == 0 and len(parameters) // 2 <= DIDS_PER_REQUEST:
            return request
    elif service == bytes([READ_DTCS]):
        if parameters and _DTC_PARAMETERS.get(parameters[0]) == len(parameters) - 1:
            return request
    else:
        raise RequestRefused(f"request {request.hex(' ') or '(empty)'}: only services that read are sent")
    raise RequestRefused(f"request {request.hex(' ')}: service {request[0]:02X} does not look like this")


def encode_read_dids(dids: Sequence[int]) -> bytes:
    """Ask for data identifiers, several at once where the ECU can. Raises RequestRefused, ValueError on doubles."""
    if len(set(dids)) != len(dids):
        raise ValueError("a data identifier is asked for twice")
    return check_request(bytes([READ_DATA]) + b"".join(did.to_bytes(2, "big") for did in dids))


def encode_read_dtcs(status_mask: int, *, kind: int = DTCS_BY_STATUS) -> bytes:
    """Ask for the DTCs (kind DTCS_BY_STATUS) or their number (COUNT_BY_STATUS) by status. Raises RequestRefused."""
    return check_request(bytes([READ_DTCS, kind, status_mask]))


def encode_read_dtc_record(kind: int, code: int, record: int = 0xFF) -> bytes:
    """Ask for what was stored with a DTC: SNAPSHOT_BY_DTC or EXTENDED_BY_DTC. Raises RequestRefused."""
    return check_request(bytes([READ_DTCS, kind]) + code.to_bytes(3, "big") + bytes([record]))


def is_answer(message: bytes, request: bytes) -> bool:
    """Whether a message can answer this request: the service fits, and what it tells first was asked for."""
    if len(message) >= 3 and message[0] == _NEGATIVE:
        return message[1] == request[0]
    if not message or message[0] != request[0] + 0x40:
        return False
    if request[0] == READ_DTCS:
        return message[1:2] == request[1:2]
    return message[1:3] in {request[i : i + 2] for i in range(1, len(request), 2)}


def parse_answer(message: bytes, request: bytes) -> Positive | Negative:
    """Tell what a message says to a request. Raises ProtocolError where it does not answer it at all."""
    service = request[0]
    if len(message) > MESSAGE_MAX:
        raise ProtocolError(f"service {service:02X}: answer of {len(message)} bytes")
    if len(message) == 3 and message[0] == _NEGATIVE and message[1] == service:
        return Negative(service, message[2])
    if not message or message[0] != service + 0x40:
        raise ProtocolError(f"no answer to service {service:02X}: {message[:8].hex(' ') or '(empty)'}")
    if service == READ_DTCS and message[1:2] != request[1:2]:
        raise ProtocolError(f"service 19: answer to another question than {request[1:2].hex()}: {message[:8].hex(' ')}")
    return Positive(service, message[1:])


def parse_dids(answer: Positive, asked: Sequence[int], lengths: Mapping[int, int]) -> dict[int, bytes]:
    """Data per identifier from the answer to 22. Raises ProtocolError.

    An identifier asked for alone may have any length. Of several, each one's length must be known (learnt from asking
    alone): the answer itself does not say where one ends. The ECU leaves out those it does not support.
    """
    body, left, found = answer.body, list(asked), dict[int, bytes]()
    if answer.service != READ_DATA:
        raise ProtocolError(f"service {answer.service:02X} gives no data identifiers")
    while body:
        did = int.from_bytes(body[:2], "big")
        if len(body) < 2 or did not in left:
            raise ProtocolError(f"service 22: {body[:2].hex().upper()} was not asked for, or the one before is longer")
        left.remove(did)
        length = lengths.get(did, len(body) - 2 if len(asked) == 1 else 0)
        if length < 1 or 2 + length > len(body):
            raise ProtocolError(f"service 22: {did:04X} should have {length} bytes, {len(body) - 2} are left")
        found[did], body = body[2 : 2 + length], body[2 + length :]
    if not found:
        raise ProtocolError("service 22: an answer without data")
    return found


def parse_dtcs(answer: Positive) -> list[Dtc]:
    """DTCs from the answer to 19 02 (also 0A to 0E, 15). Raises ProtocolError."""
    body = _dtc_body(answer, _LISTS)
    if not body or (len(body) - 1) % 4:  # the first byte: which status bits this ECU supports
        raise ProtocolError(f"service 19: {len(body)} bytes are no list of DTCs")
    return [_dtc(body[i : i + 4]) for i in range(1, len(body), 4)]


def encode_dtcs(dtcs: Collection[Dtc], *, kind: int = DTCS_BY_STATUS, available: int = 0xFF) -> bytes:
    """The answer that lists these DTCs: the inverse of parse_dtcs, for simulators."""
    listed = b"".join(dtc.code.to_bytes(3, "big") + bytes([dtc.status]) for dtc in dtcs)
    return bytes([READ_DTCS + 0x40, kind, available]) + listed


def parse_dtc_count(answer: Positive) -> int:
    """How many DTCs match, from the answer to 19 01 (also 07). Raises ProtocolError."""
    body = _dtc_body(answer, {COUNT_BY_STATUS, 0x07})
    if len(body) != 4:
        raise ProtocolError(f"service 19: a count of {len(body)} bytes")
    return int.from_bytes(body[2:], "big")


def parse_dtc_record(answer: Positive) -> tuple[Dtc, bytes]:
    """A DTC and the raw records stored with it, from the answer to 19 04 or 06. Raises ProtocolError.

    What the records hold is the manufacturer's own, so they stay bytes: record number first.
    """
    body = _dtc_body(answer, {SNAPSHOT_BY_DTC, EXTENDED_BY_DTC})
    if len(body) < 4:
        raise ProtocolError(f"service 19: a record of {len(body)} bytes")
    return _dtc(body[:4]), body[4:]


def format_dtc(code: int) -> str:
    """24 bits as text: the code as SAE J2012 writes it, a dash, the failure type in hex."""
    return f"{parse_dtc((code >> 8).to_bytes(2, 'big'))}-{code & 0xFF:02X}"


def _dtc(data: bytes) -> Dtc:
    return Dtc(int.from_bytes(data[:3], "big"), DtcStatus(data[3]))


def _dtc_body(answer: Positive, kinds: Collection[int]) -> bytes:
    if answer.service != READ_DTCS or not answer.body or answer.body[0] not in kinds:
        raise ProtocolError(f"service {answer.service:02X}: not what was expected: {answer.body[:8].hex(' ')}")
    return answer.body[1:]


_REFUSALS: Final = {
    0x10: "general reject",
    0x11: "service not supported",
    0x12: "sub-function not supported",
    0x13: "wrong length or format",
    0x14: "response too long",
    0x21: "busy, repeat the request",
    0x22: "conditions not correct",
    0x31: "request out of range",
    0x33: "security access denied",
    0x78: "response pending",
    0x7E: "sub-function not supported in this session",
    0x7F: "service not supported in this session",
}
