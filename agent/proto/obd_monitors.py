"""On-board monitor results of SAE J1979 service 06 on CAN: read where another tester asked for them.

We never ask: service 06 is on no allow-list. Source: the widely published unit-and-scaling identifiers; compared one by
one with those of python-OBD (the standard's text was not read: no conformity is claimed).
"""

from dataclasses import dataclass
from typing import Final

from agent.core.errors import ProtocolError

MONITOR_RESULTS: Final = 0x06
_RESULT_SIZE: Final = 9


@dataclass(frozen=True, slots=True)
class Scaling:
    """value = raw * scale + offset, in unit; raw is a signed word where the identifier is 80 or above."""

    scale: float
    unit: str
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """One test of one monitor: its value and the limits it must keep, in unit.

    unit is "" where the scaling identifier is unknown; the values are raw then.
    """

    monitor: int
    test: int
    scaling: int
    value: float
    minimum: float
    maximum: float
    unit: str

    @property
    def passed(self) -> bool:
        """Whether the value lies within its limits."""
        return self.minimum <= self.value <= self.maximum


def parse_monitor_results(message: bytes) -> list[MonitorResult]:
    """Results from a reply to 06 with a monitor identifier. Raises ProtocolError.

    Replies to identifiers 00, 20, 40, ... are bitmaps of what is supported: parse_supported_monitors.
    """
    if message[:1] != bytes([MONITOR_RESULTS + 0x40]) or len(message) < 2:
        raise ProtocolError(f"no answer to service 06: {message[:8].hex(' ') or '(empty)'}")
    body = message[1:]
    if len(body) % _RESULT_SIZE:
        raise ProtocolError(f"service 06: {len(body)} bytes are no multiple of {_RESULT_SIZE}")
    return [_parse_result(body[i : i + _RESULT_SIZE]) for i in range(0, len(body), _RESULT_SIZE)]


def parse_supported_monitors(message: bytes) -> frozenset[int]:
    """Monitor identifiers an ECU has, from a reply to 06 00, 06 20, ... (several at once). Raises ProtocolError."""
    body = message[1:]
    if message[:1] != bytes([MONITOR_RESULTS + 0x40]) or not body or len(body) % 5:
        raise ProtocolError(f"no bitmap of service 06: {message[:8].hex(' ') or '(empty)'}")
    found: set[int] = set()
    for at in range(0, len(body), 5):
        base, bits = body[at], int.from_bytes(body[at + 1 : at + 5], "big")
        if base % 0x20:
            raise ProtocolError(f"service 06: {base:02X} does not begin a bitmap")
        found |= {base + 1 + i for i in range(32) if bits >> (31 - i) & 1}
    return frozenset(found)


def encode_monitor_result(monitor: int, test: int, scaling: int, raw: tuple[int, int, int]) -> bytes:
    """One result as it stands in a reply, from raw value, minimum and maximum: for simulators. Raises OverflowError."""
    words = b"".join(word.to_bytes(2, "big", signed=scaling >= 0x80) for word in raw)
    return bytes([monitor, test, scaling]) + words


def _parse_result(data: bytes) -> MonitorResult:
    monitor, test, scaling = data[:3]
    rule = SCALINGS.get(scaling, Scaling(1.0, ""))
    value, low, high = (
        int.from_bytes(data[i : i + 2], "big", signed=scaling >= 0x80) * rule.scale + rule.offset for i in (3, 5, 7)
    )
    return MonitorResult(monitor, test, scaling, value, low, high, rule.unit)


_OFFSETS: Final = {0x16: -40.0, 0x39: -327.68}
SCALINGS: Final[dict[int, Scaling]] = {
    code: Scaling(scale, unit, _OFFSETS.get(code, 0.0))
    for code, (scale, unit) in {
        0x01: (1.0, "count"), 0x02: (0.1, "count"), 0x03: (0.01, "count"), 0x04: (0.001, "count"),
        0x05: (3.05e-5, "count"), 0x06: (3.05e-4, "count"), 0x07: (0.25, "rpm"), 0x08: (0.01, "km/h"),
        0x09: (1.0, "km/h"), 0x0A: (0.122, "mV"), 0x0B: (0.001, "V"), 0x0C: (0.01, "V"), 0x0D: (0.00390625, "mA"),
        0x0E: (0.001, "A"), 0x0F: (0.01, "A"), 0x10: (1.0, "ms"), 0x11: (100.0, "ms"), 0x12: (1.0, "s"),
        0x13: (1.0, "mOhm"), 0x14: (1.0, "Ohm"), 0x15: (1.0, "kOhm"), 0x16: (0.1, "Celsius"),
        0x17: (0.01, "kPa"), 0x18: (0.0117, "kPa"), 0x19: (0.079, "kPa"), 0x1A: (1.0, "kPa"), 0x1B: (10.0, "kPa"),
        0x1C: (0.01, "degrees"), 0x1D: (0.5, "degrees"), 0x1E: (3.05e-5, "ratio"), 0x1F: (0.05, "ratio"),
        0x20: (0.00390625, "ratio"), 0x21: (1.0, "mHz"), 0x22: (1.0, "Hz"), 0x23: (1.0, "kHz"), 0x24: (1.0, "count"),
        0x25: (1.0, "km"), 0x26: (0.1, "mV/ms"), 0x27: (0.01, "g/s"), 0x28: (1.0, "g/s"), 0x29: (0.25, "Pa/s"),
        0x2A: (0.001, "kg/h"), 0x2B: (1.0, "count"), 0x2C: (0.01, "g/cylinder"), 0x2D: (0.01, "mg/stroke"),
        0x2E: (1.0, "boolean"), 0x2F: (0.01, "percent"), 0x30: (0.001526, "percent"), 0x31: (0.001, "l"),
        0x32: (3.05e-5, "inch"), 0x33: (0.00024414, "ratio"), 0x34: (1.0, "min"), 0x35: (10.0, "ms"),
        0x36: (0.01, "g"), 0x37: (0.1, "g"), 0x38: (1.0, "g"), 0x39: (0.01, "percent"), 0x3A: (0.001, "g"),
        0x3B: (0.0001, "g"), 0x3C: (0.1, "us"), 0x3D: (0.01, "mA"), 0x3E: (6.103516e-5, "mm2"), 0x3F: (0.01, "l"),
        0x40: (1.0, "ppm"), 0x41: (0.01, "uA"),
        0x81: (1.0, "count"), 0x82: (0.1, "count"), 0x83: (0.01, "count"), 0x84: (0.001, "count"),
        0x85: (3.05e-5, "count"), 0x86: (3.05e-4, "count"), 0x87: (1.0, "ppm"), 0x8A: (0.122, "mV"),
        0x8B: (0.001, "V"), 0x8C: (0.01, "V"), 0x8D: (0.00390625, "mA"), 0x8E: (0.001, "A"), 0x90: (1.0, "ms"),
        0x96: (0.1, "Celsius"), 0x99: (0.1, "kPa"), 0x9C: (0.01, "degrees"), 0x9D: (0.5, "degrees"),
        0xA8: (1.0, "g/s"), 0xA9: (0.25, "Pa/s"), 0xAD: (0.01, "mg/stroke"), 0xAE: (0.1, "mg/stroke"),
        0xAF: (0.01, "percent"), 0xB0: (0.003052, "percent"), 0xB1: (2.0, "mV/s"), 0xFC: (0.01, "kPa"),
        0xFD: (0.001, "kPa"), 0xFE: (0.25, "Pa"),
    }.items()
}  # fmt: skip
