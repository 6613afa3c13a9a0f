"""NMEA 0183 without I/O: bytes in, fixes out. GGA, RMC, GSA and VTG of any talker; the rest is skipped.

Source: the widely published sentence layouts (the standard is not free and was not read). Memory: one sentence of at
most SENTENCE_MAX bytes. Binary between the sentences (receivers that speak two protocols) is skipped.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.core.errors import ProtocolError

SENTENCE_MAX: Final = 120  # the standard allows 82; some receivers write more digits
KNOTS_KMH: Final = 1.852
_BEGINNINGS: Final = b"$!"
_INVALID_MODES: Final = frozenset("NEMS")  # not valid, estimated, manual, simulated: nothing that was measured
_INVALID_QUALITIES: Final = frozenset({0, 6, 7, 8})  # the same in GGA


@dataclass(frozen=True, slots=True)
class Fix:
    """What one sentence adds. Position, speed and heading are told once per instant (UTC time of day).

    valid: whether the receiver stands behind it. None is "not in this sentence, or told already".
    """

    valid: bool
    time_of_day_s: float | None = None
    utc_ns: int | None = None  # where the date is known
    latitude: float | None = None  # degrees, north +
    longitude: float | None = None  # degrees, east +
    altitude_m: float | None = None  # above mean sea level
    speed_kmh: float | None = None
    heading_deg: float | None = None
    hdop: float | None = None
    satellites: int | None = None
    dimensions: int = 1  # 1 is no fix, 2 is a position, 3 has a measured altitude


class NmeaParser:
    """One receiver. `feed` never raises: what is broken is counted in `bad`."""

    def __init__(self) -> None:
        self.sentences = 0  # with a good checksum
        self.bad = 0
        self._line: bytearray | None = None
        self._assembler = _Assembler()

    def feed(self, data: bytes) -> list[Fix]:
        """Bytes from the receiver, split anyhow."""
        fixes: list[Fix] = []
        for sentence in self._split(data):
            try:
                fields = parse_sentence(sentence)
                self.sentences += 1
                fix = self._assembler.add(fields)
            except ProtocolError:
                self.bad += 1
                continue
            if fix is not None:
                fixes.append(fix)
        return fixes

    def _split(self, data: bytes) -> list[bytes]:
        """Whole sentences, from $ to the end of the line. A byte that is no text ends one, and it was none."""
        found: list[bytes] = []
        for byte in data:
            if byte in _BEGINNINGS:
                self.bad += self._line is not None
                self._line = bytearray([byte])
            elif self._line is None:
                continue
            elif byte in b"\r\n":
                found.append(bytes(self._line))
                self._line = None
            elif not 0x20 <= byte < 0x7F or len(self._line) >= SENTENCE_MAX:
                self.bad += 1
                self._line = None
            else:
                self._line.append(byte)
        return found


def parse_sentence(sentence: bytes) -> list[str]:
    """Fields of one sentence, talker and type first, checksum checked and gone. Raises ProtocolError."""
    match = re.fullmatch(rb"[$!]([\x20-\x7e]*)\*([0-9A-Fa-f]{2})", sentence)
    if match is None:
        raise ProtocolError(f"NMEA: not a sentence with a checksum: {sentence[:20]!r}")
    expected, actual = int(match[2], 16), checksum(match[1])
    if expected != actual:
        raise ProtocolError(f"NMEA: checksum {expected:02X} of {sentence[:7]!r} should be {actual:02X}")
    return match[1].decode("ascii").split(",")


def encode_sentence(body: str) -> bytes:
    """`$body*checksum` and the end of the line."""
    return f"${body}*{checksum(body.encode('ascii')):02X}\r\n".encode("ascii")


def checksum(body: bytes) -> int:
    """XOR of everything between $ and *."""
    value = 0
    for byte in body:
        value ^= byte
    return value


class _Assembler:
    """Turns sentences into fixes, each value once per instant."""

    def __init__(self) -> None:
        self._time_s: float | None = None
        self._told: set[str] = set()
        self._date: tuple[int, int, int] | None = None
        self._date_time_s = 0.0
        self._dimensions = 1  # of the newest GSA
        self._valid = False

    def add(self, fields: list[str]) -> Fix | None:
        """The fix a sentence makes, None where it makes none. Raises ProtocolError on fields that are no numbers."""
        kind = fields[0][2:] if not fields[0].startswith("P") else ""
        if kind == "RMC":
            return self._add_rmc(_Fields(fields, 9))
        if kind == "GGA":
            return self._add_gga(_Fields(fields, 9))
        if kind == "VTG":
            return self._add_vtg(_Fields(fields, 8))
        if kind == "GSA":
            self._dimensions = _Fields(fields, 17).integer(2) or 1
        return None

    def _add_rmc(self, fields: "_Fields") -> Fix:
        time_s = self._begin(fields.time(1))
        date = fields.date(9)
        if date is not None and time_s is not None:
            self._date, self._date_time_s = date, time_s
        self._valid = fields.text(2) == "A" and fields.text(12) not in _INVALID_MODES
        knots = self._once("speed", fields.number(7, minimum=0))
        position = self._position(fields, 3)
        return Fix(
            valid=self._valid,
            time_of_day_s=time_s,
            utc_ns=self._utc_ns(),
            latitude=position and position[0],
            longitude=position and position[1],
            speed_kmh=None if knots is None else knots * KNOTS_KMH,
            heading_deg=self._once("heading", fields.number(8, minimum=0, maximum=360)),
            dimensions=self._mode(),
        )

    def _add_gga(self, fields: "_Fields") -> Fix:
        time_s = self._begin(fields.time(1))
        self._valid = (fields.integer(6) or 0) not in _INVALID_QUALITIES
        position = self._position(fields, 2)
        altitude_m = self._once("altitude", fields.number(9))
        return Fix(
            valid=self._valid,
            time_of_day_s=time_s,
            utc_ns=self._utc_ns(),
            latitude=position and position[0],
            longitude=position and position[1],
            altitude_m=altitude_m,
            hdop=self._once("hdop", fields.number(8, minimum=0)),
            satellites=fields.integer(7),
            dimensions=self._mode(),
        )

    def _add_vtg(self, fields: "_Fields") -> Fix | None:
        """Course and speed, without a time: they belong to the instant under way."""
        heading = self._once("heading", fields.number(1, minimum=0, maximum=360))
        knots = fields.number(5, minimum=0)
        speed = self._once("speed", fields.number(7, minimum=0) if knots is None else knots * KNOTS_KMH)
        if speed is None and heading is None:
            return None
        valid = self._valid and fields.text(9) not in _INVALID_MODES
        return Fix(
            valid=valid,
            time_of_day_s=self._time_s,
            utc_ns=self._utc_ns(),
            speed_kmh=speed,
            heading_deg=heading,
            dimensions=self._mode() if valid else 1,
        )

    def _mode(self) -> int:
        """Dimensions of the fix: what the newest GSA says, unless it is from before there was a fix.

        Without it, GGA's altitude is the third one, as gpsd reads it.
        """
        if not self._valid:
            return 1
        if self._dimensions in {2, 3}:
            return self._dimensions
        return 3 if "altitude" in self._told else 2

    def _begin(self, time_s: float | None) -> float | None:
        if time_s is None or time_s != self._time_s:
            self._time_s = time_s
            self._told.clear()
        return time_s

    def _once(self, name: str, value: float | None) -> float | None:
        if value is None or name in self._told:
            return None
        self._told.add(name)
        return value

    def _position(self, fields: "_Fields", index: int) -> tuple[float, float] | None:
        latitude = fields.angle(index, "NS", 90)
        longitude = fields.angle(index + 2, "EW", 180)
        if latitude is None or longitude is None or self._once("position", latitude) is None:
            return None
        return latitude, longitude

    def _utc_ns(self) -> int | None:
        """UTC of the instant under way; GGA has no date, so a time before the dated one is past midnight."""
        if self._date is None or self._time_s is None:
            return None
        midnight = datetime(*self._date, tzinfo=UTC)
        days = 1 if self._time_s < self._date_time_s - 43_200 else 0
        return (round(midnight.timestamp()) + 86_400 * days) * 1_000_000_000 + round(self._time_s * 1e9)


class _Fields:
    """Typed access to a sentence; a missing or empty field is None, a wrong one raises ProtocolError."""

    def __init__(self, fields: list[str], count_min: int) -> None:
        if len(fields) < count_min:
            raise ProtocolError(f"NMEA: {fields[0]} with {len(fields)} fields, expected at least {count_min}")
        self._fields = fields

    def text(self, index: int) -> str:
        return self._fields[index].strip() if index < len(self._fields) else ""

    def number(self, index: int, *, minimum: float = -1e9, maximum: float = 1e9) -> float | None:
        text = self.text(index)
        if not text:
            return None
        if not re.fullmatch(r"[+-]?\d{0,12}(\.\d{0,12})?", text) or not re.search(r"\d", text):
            raise self._wrong(index)
        value = float(text)
        if not minimum <= value <= maximum:
            raise self._wrong(index)
        return value

    def integer(self, index: int) -> int | None:
        value = self.number(index, minimum=0, maximum=99_999)
        return None if value is None else int(value)

    def time(self, index: int) -> float | None:
        """HHMMSS(.sss) as seconds of the day; 60 is a leap second."""
        text = self.text(index)
        if not text:
            return None
        match = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d{0,9})?)", text)
        if match is None or int(match[1]) > 23 or int(match[2]) > 59 or float(match[3]) >= 61:
            raise self._wrong(index)
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])

    def date(self, index: int) -> tuple[int, int, int] | None:
        """DDMMYY as (year, month, day); 80 to 99 are the years before 2000, by common usage."""
        text = self.text(index)
        if not text:
            return None
        if not re.fullmatch(r"\d{6}", text):
            raise self._wrong(index)
        day, month, year = int(text[:2]), int(text[2:4]), int(text[4:])
        date = (year + (1900 if year >= 80 else 2000), month, day)
        try:
            datetime(*date, tzinfo=UTC)
        except ValueError as exc:
            raise self._wrong(index) from exc
        return date

    def angle(self, index: int, signs: str, limit: int) -> float | None:
        """(D)DDMM.mmmm and a hemisphere as degrees, the second hemisphere negative."""
        text, hemisphere = self.text(index), self.text(index + 1)
        if not text:
            return None
        match = re.fullmatch(r"(\d{1,3})(\d\d(?:\.\d{0,9})?)", text)
        if match is None or hemisphere not in signs or not hemisphere:
            raise self._wrong(index)
        degrees, minutes = int(match[1]), float(match[2])
        value = degrees + minutes / 60
        if minutes >= 60 or value > limit:
            raise self._wrong(index)
        return -value if hemisphere == signs[1] else value

    def _wrong(self, index: int) -> ProtocolError:
        return ProtocolError(f"NMEA: {self._fields[0]} field {index} is {self._fields[index]!r}")
