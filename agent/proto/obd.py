"""SAE J1979 (OBD-II): which PID means which signal, requests out, replies in.

Source: the widely published PID tables of SAE J1979 / ISO 15031-5 (the standard's text was not read: no conformity
is claimed). Bits of a PID are counted MSB-first from the first data byte after the PID.
Replies are whole messages, as ISO-TP or an adapter hands them over: service + 0x40 first.
"""

import math
import re
from collections.abc import Collection, Iterable
from typing import Annotated, Final

from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import AgentError, ProtocolError
from agent.proto.obd_lengths import data_lengths as data_lengths  # noqa: PLC0414  # part of what this module offers
from agent.proto.obd_lengths import has_sure_length as has_sure_length  # noqa: PLC0414  # the same

DATA_BYTES_MAX: Final = 64  # of one PID; the longest published one has 41
PIDS_PER_REQUEST: Final = 6  # on CAN

CURRENT_DATA: Final = 0x01
FREEZE_FRAME: Final = 0x02
STORED_DTCS: Final = 0x03
PENDING_DTCS: Final = 0x07
VEHICLE_INFORMATION: Final = 0x09
PERMANENT_DTCS: Final = 0x0A
VIN: Final = 0x02  # a type of VEHICLE_INFORMATION
CALIBRATION_IDS: Final = 0x04

# Compiled in, never configurable: the agent only asks. Clearing (04), tests (05, 06) and control (08) are not here.
READ_ONLY_SERVICES: Final = frozenset(
    {CURRENT_DATA, FREEZE_FRAME, STORED_DTCS, PENDING_DTCS, VEHICLE_INFORMATION, PERMANENT_DTCS}
)
_DTC_SERVICES: Final = frozenset({STORED_DTCS, PENDING_DTCS, PERMANENT_DTCS})
_NEGATIVE: Final = 0x7F
RESPONSE_PENDING: Final = 0x78  # not an answer: a better one follows

Byte = Annotated[int, Meta(ge=0, le=0xFF)]


class RequestRefused(AgentError):
    """A request that is not a plain read: it is not sent."""


class NegativeResponse(ProtocolError):
    """The ECU said no (7F service code)."""

    def __init__(self, service: int, code: int) -> None:
        super().__init__(f"service {service:02X}: refused by the ECU with code {code:02X}")
        self.service = service
        self.code = code


class PidSpec(Section, frozen=True, kw_only=True):
    """One signal inside the answer to one PID: value = raw * scale + offset, in the VSS unit of its path.

    present_bit: the bit that says whether this car has the signal at all; where it is 0, the value is NaN.
    """

    service: Annotated[int, Meta(ge=1, le=9)] = 1
    pid: Byte
    path: Annotated[str, Meta(pattern=r"^Vehicle(\.[A-Za-z0-9]+)+$")]
    unit: str = ""
    bit_start: Annotated[int, Meta(ge=0, le=DATA_BYTES_MAX * 8 - 1)] = 0
    bit_length: Annotated[int, Meta(ge=1, le=32)] = 8
    present_bit: Annotated[int, Meta(ge=0, le=DATA_BYTES_MAX * 8 - 1)] | None = None
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0
    minimum: float = -math.inf
    maximum: float = math.inf
    name: str = ""

    def __post_init__(self) -> None:
        if self.bit_start + self.bit_length > DATA_BYTES_MAX * 8:
            raise ValueError(f"PID {self.pid:02X}: bits {self.bit_start}+{self.bit_length} lie beyond its data")
        if self.present_bit is not None and self.present_bit >= self.bit_start:
            raise ValueError(f"PID {self.pid:02X}: present_bit {self.present_bit} does not come before its value")
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise ValueError(f"PID {self.pid:02X}: scale {self.scale}, offset {self.offset} cannot be computed with")
        if self.minimum > self.maximum:
            raise ValueError(f"PID {self.pid:02X}: minimum {self.minimum} is above maximum {self.maximum}")

    @property
    def byte_count(self) -> int:
        """Data bytes that must be there to read this signal."""
        return -(-(self.bit_start + self.bit_length) // 8)

    def value(self, data: bytes) -> float:
        """Physical value from the data bytes after the PID; data must have at least byte_count of them."""
        if self.present_bit is not None and not data[self.present_bit // 8] >> (7 - self.present_bit % 8) & 1:
            return math.nan
        count = self.byte_count
        word = int.from_bytes(data[:count], "big") >> (count * 8 - self.bit_start - self.bit_length)
        raw = word & ((1 << self.bit_length) - 1)
        if self.signed and raw >> (self.bit_length - 1):
            raw -= 1 << self.bit_length
        return raw * self.scale + self.offset

    def raw(self, value: float) -> int:
        """Nearest raw bits for a physical value, clamped to what the bits hold: the inverse of `value`."""
        low, high = (
            (-(1 << (self.bit_length - 1)), (1 << (self.bit_length - 1)) - 1)
            if self.signed
            else (0, (1 << self.bit_length) - 1)
        )
        nearest = min(high, max(low, round((value - self.offset) / self.scale)))
        return nearest & ((1 << self.bit_length) - 1)


class PidTable(Section, frozen=True, kw_only=True):
    """The PIDs this agent understands: firmware_config/obd_pids.toml."""

    pids: list[PidSpec]

    def __post_init__(self) -> None:
        paths = [spec.path for spec in self.pids]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"path {path} is given twice")


def check_request(request: bytes) -> bytes:
    """Return the request if it is a read the allow-list knows, in shape too. Raises RequestRefused."""
    service, parameters = request[:1], request[1:]
    if not service or service[0] not in READ_ONLY_SERVICES:
        raise RequestRefused(f"request {request.hex(' ') or '(empty)'}: only services that read are sent")
    shape_is_right = {
        CURRENT_DATA: 1 <= len(parameters) <= PIDS_PER_REQUEST,
        FREEZE_FRAME: len(parameters) in {2, 4, 6},
        VEHICLE_INFORMATION: len(parameters) == 1,
    }.get(service[0], not parameters)
    if not shape_is_right:
        raise RequestRefused(f"request {request.hex(' ')}: service {service[0]:02X} does not look like this")
    return request


def encode_request(service: int, pids: Iterable[int] = ()) -> bytes:
    """A request for one service and its PIDs (up to six for live data on CAN). Raises RequestRefused."""
    return check_request(bytes([service, *pids]))


def is_answer(message: bytes, request: bytes) -> bool:
    """Whether a message can answer this request: the service fits, and the first PID (02: and frame) was asked for."""
    if len(message) >= 3 and message[0] == _NEGATIVE:
        return message[1] == request[0]
    if not message or message[0] != request[0] + 0x40:
        return False
    size = 2 if request[0] == FREEZE_FRAME else 1
    asked = {request[i : i + size] for i in range(1, len(request), size)}
    return request[0] in _DTC_SERVICES or message[1 : 1 + size] in asked


def parse_pids(message: bytes, requested: Collection[int]) -> dict[int, bytes]:
    """Data bytes per PID from a reply to service 01 with one or several PIDs, in whatever order the ECU put them.

    Only PIDs that were asked for can come out. Raises ProtocolError (NegativeResponse where the ECU refused).
    """
    body = _body(message, CURRENT_DATA)
    if len(requested) == 1:
        if not body or body[0] not in requested:
            raise ProtocolError(f"service 01: answer to another PID than {next(iter(requested)):02X}: {body.hex(' ')}")
        return {body[0]: body[1:]}
    found = _split_pids(body, frozenset(requested))
    if found is None:
        raise ProtocolError(f"service 01: the combined answer does not add up: {message.hex(' ')}")
    return found


def parse_freeze_frame(message: bytes, pid: int, frame: int = 0) -> bytes:
    """Data bytes of one PID as stored with a fault, from a reply to service 02. Raises ProtocolError."""
    body = _body(message, FREEZE_FRAME)
    if body[:2] != bytes([pid, frame]):
        raise ProtocolError(f"service 02: not PID {pid:02X} of frame {frame}: {body[:8].hex(' ')}")
    return body[2:]


def parse_supported(base: int, data: bytes) -> frozenset[int]:
    """PIDs base+1..base+32 from a 4-byte bitmap (PID 00, 20, 40, ...). Raises ProtocolError."""
    if len(data) < 4:
        raise ProtocolError(f"PID {base:02X}: bitmap of {len(data)} bytes")
    bits = int.from_bytes(data[:4], "big")
    return frozenset(base + 1 + i for i in range(32) if bits >> (31 - i) & 1)


def encode_supported(base: int, pids: Collection[int]) -> bytes:
    """Inverse of parse_supported."""
    return sum(1 << (31 - i) for i in range(32) if base + 1 + i in pids).to_bytes(4, "big")


def parse_dtcs(message: bytes, service: int = STORED_DTCS) -> list[str]:
    """Codes from a reply to service 03, 07 or 0A; 0000 is filling. Raises ProtocolError.

    CAN puts a count before the codes, older protocols do not: an odd number of bytes tells them apart.
    """
    body = _body(message, service)
    if len(body) % 2:
        count, body = body[0], body[1:]
        if count * 2 > len(body):
            raise ProtocolError(f"service {service:02X}: {count} codes announced, {len(body) // 2} there")
        body = body[: count * 2]
    pairs = (body[i : i + 2] for i in range(0, len(body), 2))
    return [parse_dtc(pair) for pair in pairs if any(pair)]


def parse_dtc(pair: bytes) -> str:
    """Two bytes as a code: 01 33 -> P0133, C1 00 -> U0100."""
    return f"{'PCBU'[pair[0] >> 6]}{pair[0] >> 4 & 3}{pair[0] & 0x0F:X}{pair[1]:02X}"


def encode_dtc(code: str) -> bytes:
    """Inverse of parse_dtc. Raises ValueError."""
    if not re.fullmatch(r"[PCBU][0-3][0-9A-F]{3}", code):
        raise ValueError(f"{code!r} is no DTC")
    first = "PCBU".index(code[0]) << 2 | int(code[1])
    return bytes.fromhex(f"{first:X}{code[2:]}")


def parse_vin(message: bytes) -> str:
    """VIN from a reply to 09 02. Raises ProtocolError where it is not 17 letters and digits.

    I, O and Q, which ISO 3779 leaves out, are let through: bench ECUs carry them, and it is still the car's own name.
    """
    text = _information(message, VIN).lstrip(b"\0").rstrip(b"\0 ").decode("ascii", "replace")
    if not re.fullmatch(r"[A-Z0-9]{17}", text):
        raise ProtocolError(f"VIN {text!r} is not 17 letters and digits")
    return text


def parse_calibration_ids(message: bytes) -> list[str]:
    """Names of the ECU's software from a reply to 09 04, 16 characters each. Raises ProtocolError."""
    data = _information(message, CALIBRATION_IDS)
    if len(data) % 16:
        raise ProtocolError(f"calibration ids: {len(data)} bytes are no multiple of 16")
    names = (data[i : i + 16].rstrip(b"\0 ").decode("ascii", "replace") for i in range(0, len(data), 16))
    return [name for name in names if name]


def _body(message: bytes, service: int) -> bytes:
    if len(message) >= 3 and message[0] == _NEGATIVE:
        raise NegativeResponse(message[1], message[2])
    if not message or message[0] != service + 0x40:
        raise ProtocolError(f"no answer to service {service:02X}: {message.hex(' ') or '(empty)'}")
    return message[1:]


def _information(message: bytes, kind: int) -> bytes:
    body = _body(message, VEHICLE_INFORMATION)
    if len(body) < 2 or body[0] != kind:
        raise ProtocolError(f"no answer to 09 {kind:02X}: {message.hex(' ')}")
    return body[2:]  # body[1] counts the items


def _split_pids(body: bytes, requested: frozenset[int]) -> dict[int, bytes] | None:
    """Cut a combined answer; None where no reading adds up. Tries the usual length of each PID first."""
    if not body:
        return {}
    pid = body[0]
    if pid not in requested:
        return {} if not any(body) else None  # filled up with zeros
    for length in data_lengths(pid):
        if 1 + length > len(body):
            continue
        rest = _split_pids(body[1 + length :], requested - {pid})
        if rest is not None:
            return {pid: body[1 : 1 + length], **rest}
    return None
