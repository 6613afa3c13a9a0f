"""Text logs whose lines stand for themselves: candump, CRTD, GVRET csv, generic-id csv, Microchip.

Times are kept as exact integers. Where a format has no mark for 29-bit identifiers, ids beyond 7FF are such,
which is what SavvyCAN does.
"""

import re
from typing import Final

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE
from simulators.replay.rows import EXTENDED_ID_MAX, STANDARD_ID_MAX, Row, make_row, parse_bytes, parse_decimal_ns

_YEAR_2000_NS: Final = 946_684_800_000_000_000
GENERIC_STEP_NS: Final = 1_000_000  # generic-id csv has no times: one frame a millisecond

_CANDUMP: Final = re.compile(
    r"\((\d{1,12})\.(\d{1,9})\)\s+(\S{1,32})\s+([0-9A-Fa-f]{3,8})#(#[0-9A-Fa-f])?"
    r"(?:([Rr])[0-8]?|((?:[0-9A-Fa-f]{2}\.?)*))(?:_[9A-Fa-f])?(?:\s+([RT]))?",
    re.ASCII,
)
_CRTD: Final = re.compile(
    r"(\d{1,12})\.(\d{1,9})\s+(\d{0,3})([RT])(11|29)\s+([0-9A-Fa-f]{1,8})((?:\s+[0-9A-Fa-f]{2})*)", re.ASCII
)
_CRTD_OTHER: Final = re.compile(r"\d{1,12}\.\d{1,9}\s+\d{0,3}C[A-Z]{2}\b.*", re.ASCII)
_GVRET: Final = re.compile(
    r"(-?\d{1,18}),([0-9A-Fa-f]{1,8}),(true|false|0|1),(?:([RT]x),)?(\d{1,3}),(\d{1,2})"
    r"((?:,[0-9A-Fa-f]{1,2})*),*",
    re.ASCII | re.IGNORECASE,
)
_GENERIC: Final = re.compile(r"([0-9A-Fa-f]{1,8}),\s*((?:[0-9A-Fa-f]{2}\s*)*),*", re.ASCII)
_MICROCHIP: Final = re.compile(
    r"(\d{1,15});(RX|TX);0x([0-9A-Fa-f]{1,8})(x?);(\d{1,2});((?:0x[0-9A-Fa-f]{1,2};?)*)", re.ASCII | re.IGNORECASE
)
_MICROCHIP_HEADERS: Final = ("//", "Microchip", "CAN BUS Analyzer", "SavvyCAN", "Logging ")


class Candump:
    """candump -L of can-utils: `(1612345678.123456) can0 123#0011AA`; the bus is the number in the interface's name."""

    def __init__(self) -> None:
        self._bus_of: dict[str, int] = {}

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _CANDUMP.fullmatch(line)
        if match is None:
            raise ValueError("not a candump line")
        whole, fraction, interface, digits, fd, remote, data, direction = match.groups()
        can_id = int(digits, 16)
        flags = EXTENDED if len(digits) > 3 else 0
        if can_id & 0x2000_0000:
            flags, can_id = ERROR_FRAME, can_id & EXTENDED_ID_MAX  # the id holds the error's class
        if fd:
            bits = int(fd[1], 16)
            flags |= FD | (BIT_RATE_SWITCH if bits & 1 else 0) | (ERROR_STATE if bits & 2 else 0)
        if remote:
            flags |= REMOTE
        if direction == "T":
            flags |= OWN
        t_ns = parse_decimal_ns(whole, fraction)
        return make_row(t_ns, can_id, _undot(data), flags=flags, bus=self._find_bus(interface))

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser."""
        return believe_epoch(t_ns)

    def _find_bus(self, interface: str) -> int:
        if interface not in self._bus_of:
            number = re.search(r"(\d{1,3})$", interface, re.ASCII)
            self._bus_of[interface] = min(255, int(number[1])) if number else 0
        return self._bus_of[interface]


class Crtd:
    """CRTD of OVMS: `1320745424.002 R11 402 FA 01`, `1R29 ...` for bus 1, comments and events as C.."""

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _CRTD.fullmatch(line)
        if match is None:
            if _CRTD_OTHER.fullmatch(line):
                return None
            raise ValueError("not a CRTD line")
        whole, fraction, bus, direction, width, digits, data = match.groups()
        flags = (EXTENDED if width == "29" else 0) | (OWN if direction == "T" else 0)
        t_ns = parse_decimal_ns(whole, fraction)
        return make_row(t_ns, int(digits, 16), parse_bytes(data), flags=flags, bus=max(0, int(bus or 1) - 1))

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser."""
        return believe_epoch(t_ns)


class Gvret:
    """SavvyCAN's own csv: `Time Stamp,ID,Extended,[Dir,]Bus,LEN,D1..D8`, microseconds of the adapter."""

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _GVRET.fullmatch(line)
        if match is None:
            if line.startswith("Time Stamp,ID,"):
                return None
            raise ValueError("not a GVRET line")
        micros, digits, extended, direction, bus, length, data = match.groups()
        flags = EXTENDED if extended in ("true", "1", "TRUE", "True") else 0
        if direction and direction[0] in "Tt":
            flags |= OWN
        count = int(length)
        payload = parse_bytes(data.replace(",", " "), count)
        if count > 8:
            flags |= FD
        return make_row(int(micros) * 1000, int(digits, 16), payload, flags=flags, bus=int(bus))

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser. SavvyCAN can log system time, in microseconds since 1970."""
        return believe_epoch(t_ns)


class GenericId:
    """SavvyCAN's `ID,Data Bytes` csv: no times, so the frames are set a millisecond apart."""

    def __init__(self) -> None:
        self._count: int | None = None  # None until the header, without which any two columns of numbers would do

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        if line.startswith("ID,Data"):
            self._count = self._count or 0
            return None
        match = _GENERIC.fullmatch(line)
        if match is None or self._count is None:
            raise ValueError("not a generic csv line")
        can_id = int(match[1], 16)
        self._count += 1
        return make_row(
            (self._count - 1) * GENERIC_STEP_NS, can_id, bytes.fromhex(match[2]), flags=_guess_width(can_id)
        )

    def wall_ns(self, t_ns: int) -> int | None:  # noqa: ARG002 - this format has no times at all
        """See LineParser."""
        return None


class Microchip:
    """Microchip CAN BUS Analyzer: `166064;RX;0x0000021A;8;0xFE;...;`, milliseconds."""

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _MICROCHIP.fullmatch(line)
        if match is None:
            if line.startswith(_MICROCHIP_HEADERS):
                return None
            raise ValueError("not a Microchip line")
        millis, direction, digits, mark, length, data = match.groups()
        can_id = int(digits, 16)
        flags = (EXTENDED if mark else _guess_width(can_id)) | (OWN if direction in ("TX", "tx") else 0)
        payload = parse_bytes(data.replace("0x", "").replace(";", " "), int(length))
        return make_row(int(millis) * 1_000_000, can_id, payload, flags=flags)

    def wall_ns(self, t_ns: int) -> int | None:  # noqa: ARG002 - the header's date is when logging began, t_ns is not
        """See LineParser."""
        return None


def _undot(data: str | None) -> bytes:
    return bytes.fromhex(data.replace(".", "")) if data else b""


def _guess_width(can_id: int) -> int:
    return EXTENDED if can_id > STANDARD_ID_MAX else 0


def believe_epoch(t_ns: int) -> int | None:
    """Seconds that are no calendar time (candump -t z, an adapter's uptime) are small."""
    return t_ns if t_ns >= _YEAR_2000_NS else None
