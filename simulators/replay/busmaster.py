"""BUSMASTER .log: headers in three stars say how to read times and numbers."""

import re
from datetime import UTC, datetime
from typing import Final

from agent.core.frames import EXTENDED, OWN, REMOTE
from simulators.replay.rows import Row, make_row, parse_bytes

DAY_NS: Final = 24 * 3600 * 1_000_000_000

_FRAME: Final = re.compile(
    r"(\d{1,4}):(\d{1,2}):(\d{1,2}):(\d{1,9})\s+([RT]x)\s+(\d{1,3})\s+(?:0x)?([0-9A-Fa-f]{1,10})\s+([sx])(r?)\s+"
    r"(\d{1,2})((?:\s+[0-9A-Fa-f]{1,3})*)",
    re.ASCII | re.IGNORECASE,
)
_START: Final = re.compile(
    r"START DATE AND TIME\s+(\d{1,2}):(\d{1,2}):(\d{4})\s+(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,9})", re.ASCII
)


class Busmaster:
    """`22:20:14:992 Rx 1 0x21A s 8 FE 36 ...`: time of day, since the start, or since the last frame."""

    def __init__(self) -> None:
        self._base = 16
        self._mode = "SYSTEM"
        self._start_ns: int | None = None
        self._last_ns = 0

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _FRAME.fullmatch(line)
        if match is None:
            if line.startswith("***"):
                self._read_header(line.strip("* "))
                return None
            raise ValueError("not a BUSMASTER line")
        hours, minutes, seconds, fraction, direction, channel, digits, width, remote, length, data = match.groups()
        flags = (EXTENDED if width in "xX" else 0) | (OWN if direction[0] in "Tt" else 0) | (REMOTE if remote else 0)
        payload = b"" if remote else parse_bytes(data, int(length), base=self._base)
        t_ns = _time_ns(hours, minutes, seconds, fraction)
        if self._mode == "RELATIVE":
            t_ns += self._last_ns
        row = make_row(t_ns, int(digits, self._base), payload, flags=flags, bus=max(0, int(channel) - 1))
        self._last_ns = t_ns
        return row

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser. The log does not know its time zone: its times are taken for UTC."""
        if self._start_ns is None:
            return None
        if self._mode == "SYSTEM":
            return self._start_ns - self._start_ns % DAY_NS + t_ns
        return self._start_ns + t_ns

    def _read_header(self, header: str) -> None:
        if header in ("HEX", "DEC"):
            self._base = 16 if header == "HEX" else 10
        elif header.endswith(" MODE"):
            self._mode = header.split(maxsplit=1)[0]
        elif match := _START.fullmatch(header):
            day, month, year, *time = match.groups()
            midnight = datetime(int(year), int(month), int(day), tzinfo=UTC)
            self._start_ns = int(midnight.timestamp()) * 1_000_000_000 + _time_ns(*time)


def _time_ns(hours: str, minutes: str, seconds: str, fraction: str) -> int:
    """Up to three digits of fraction are milliseconds, four are BUSMASTER's own tenths of them."""
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole * 1_000_000_000 + int(fraction.zfill(3).ljust(9, "0"))
