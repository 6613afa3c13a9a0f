"""Vector ASC: classic and FD frames, error and remote frames, hexadecimal or decimal, absolute or relative times.

python-can's reader is the oracle in the tests; it cannot be used here because it ends at the first broken line.
"""

import re
from datetime import UTC, datetime
from typing import Final

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE
from simulators.replay.rows import Row, make_row, parse_bytes, parse_decimal_ns

_TIMED: Final = re.compile(r"(\d{1,10})\.(\d{1,9})\s+(\S+)(?:\s+(.*))?", re.ASCII)
_CLASSIC: Final = re.compile(
    r"([0-9A-Fa-f]{1,10})(x?)\s+(Rx|Tx|TxRq)\s+(?:(r)\b|d\s+([0-9A-Fa-f]{1,2})((?:\s+[0-9A-Fa-f]{1,3})*))(?:\s.*)?",
    re.ASCII | re.IGNORECASE,
)
_ID: Final = re.compile(r"[0-9A-Fa-f]{1,10}x?", re.ASCII)
_HEADER: Final = re.compile(
    r"//|date\s|base\s|begin\s|end\s|(no\s+)?internal\s+events|previous\s+log|split|version", re.ASCII | re.IGNORECASE
)
_DATE: Final = re.compile(
    r"\w+,?\s+(?:(?P<day1>\d{1,2})\s+)?(?P<month>[A-Za-zä]{3})\w*\s+(?:(?P<day2>\d{1,2})\s+)?(?:(?P<year1>\d{4})\s+)?"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:\s+(?P<half>am|pm))?(?:\s+(?P<year2>\d{4}))?(?:\s+GMT|\s+UTC)?",
    re.ASCII | re.IGNORECASE,
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_GERMAN_MONTHS: Final = {"mär": "mar", "mai": "may", "okt": "oct", "dez": "dec"}


class Asc:
    """Events other than frames are passed over; a line that begins like a frame and does not end like one is broken."""

    def __init__(self) -> None:
        self._base = 16
        self._relative = False
        self._last_ns = 0
        self._start_ns: int | None = None

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _TIMED.fullmatch(line)
        if match is None:
            if not _HEADER.match(line):
                raise ValueError("not an ASC line")
            self._read_header(line)
            return None
        whole, fraction, channel, rest = match.groups()
        t_ns = parse_decimal_ns(whole, fraction)
        if self._relative:
            t_ns += self._last_ns
            self._last_ns = t_ns
        if channel == "CANFD":
            return self._parse_fd(t_ns, (rest or "").split())
        if channel.isdecimal() and len(channel) <= 3:
            return self._parse_classic(t_ns, _bus(channel), rest or "")
        return None

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser. A date without a zone is taken for UTC."""
        return None if self._start_ns is None else self._start_ns + t_ns

    def _parse_classic(self, t_ns: int, bus: int, rest: str) -> Row | None:
        match = _CLASSIC.fullmatch(rest)
        if match is None:
            first = rest.split(None, 1)[0] if rest else ""
            if first.lower() == "errorframe":
                return make_row(t_ns, 0, b"", flags=ERROR_FRAME, bus=bus)
            if first and not _ID.fullmatch(first):
                return None  # statistics, chip states, J1939 transport messages
            raise ValueError("broken frame")
        digits, extended, direction, remote, length, data = match.groups()
        if direction.lower() == "txrq":
            return None  # the request; the frame itself follows as Tx
        flags = (EXTENDED if extended else 0) | (OWN if direction.lower() == "tx" else 0) | (REMOTE if remote else 0)
        payload = b"" if remote else parse_bytes(data, min(8, int(length, self._base)), base=self._base)
        return make_row(t_ns, int(digits, self._base), payload, flags=flags, bus=bus)

    def _parse_fd(self, t_ns: int, tokens: list[str]) -> Row | None:
        """`CANFD channel dir id [name] BRS ESI DLC length data... duration bits flags ...`."""
        if len(tokens) < 3:
            raise ValueError("broken frame")
        bus = _bus(tokens[0])
        if tokens[2].lower() == "errorframe":
            return make_row(t_ns, 0, b"", flags=ERROR_FRAME | FD, bus=bus)
        if tokens[3:] and not tokens[3].isdecimal():
            del tokens[3]
        if len(tokens) < 7 or not _ID.fullmatch(tokens[2]):
            raise ValueError("broken frame")
        length = int(tokens[6])
        data = parse_bytes(" ".join(tokens[7 : 7 + length]), length, base=self._base)
        flags = (OWN if tokens[1].lower() == "tx" else 0) | (EXTENDED if tokens[2][-1] in "xX" else 0)
        tail = tokens[7 + length :]
        bits = int(tail[2], 16) if len(tail) > 2 else 0x1000
        flags |= (FD if bits & 0x1000 else 0) | (REMOTE if bits & 0x10 else 0)
        flags |= (BIT_RATE_SWITCH if tokens[3] == "1" else 0) | (ERROR_STATE if tokens[4] == "1" else 0)
        return make_row(t_ns, int(tokens[2].rstrip("xX"), self._base), data, flags=flags, bus=bus)

    def _read_header(self, line: str) -> None:
        words = line.lower().split()
        if words[0] == "base":
            self._base = 10 if "dec" in words else 16
            self._relative = "relative" in words
        elif words[0] in ("date", "begin"):
            text = line.split(None, 1)[1]
            text = re.sub(r"(?i)^triggerblock\s*", "", text)
            self._start_ns = _parse_date(text) or self._start_ns


def _bus(channel: str) -> int:
    """Channels count from 1; some tools write 0."""
    return max(0, int(channel) - 1)


def _parse_date(text: str) -> int | None:
    """Nanoseconds since 1970 of `Thu Sep 30 03:06:13.191 PM 2017` and its variants, None if it is no date."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    name = match["month"].lower()
    name = _GERMAN_MONTHS.get(name, name)
    day, year = match["day1"] or match["day2"], match["year1"] or match["year2"]
    if name not in _MONTHS or day is None or year is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    try:
        moment = datetime(
            int(year), _MONTHS.index(name) + 1, int(day), hour, int(match["minute"]), int(match["second"]), tzinfo=UTC
        )
    except ValueError:
        return None
    return parse_decimal_ns(str(int(moment.timestamp())), match["fraction"] or "0")
