"""How GB/T 32960.3 writes values, and dataclasses that know their own layout in bytes (big-endian throughout).

A struct is a dataclass whose fields are annotated with how they are written: `Annotated[Reading, word(10)]`.

A measured value is a Reading: the two highest raw values mean "abnormal" and "invalid" and never become numbers. The
raw value is kept, so whatever was parsed is encoded again byte for byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum, auto
from typing import Any, Final, Protocol, TypeVar, get_type_hints

from agent.core.errors import ProtocolError

TIME_ZONE: Final = timezone(timedelta(hours=8))
_YEAR: Final = 2000

Struct = TypeVar("Struct")


class Quality(Enum):
    """What stands behind a raw value."""

    VALID = auto()
    ABNORMAL = auto()  # FE..: the sensor or its ECU is at fault
    INVALID = auto()  # FF..: not there
    IMPLAUSIBLE = auto()  # outside the range the standard gives


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a body; value is None wherever the quality is not VALID."""

    raw: int
    quality: Quality
    value: float | None


class Reader:
    """Bytes of one data unit, front to back. take raises ProtocolError where too few are left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > self.left:
            raise ProtocolError(f"GB/T 32960: {size} bytes wanted at byte {self.at} of {len(self._data)}")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, size: int) -> int:
        """The next bytes as an unsigned number."""
        return int.from_bytes(self.take(size), "big")


class Spec(Protocol):
    """How one field of a struct is written. `before`: the fields read so far; `struct`: the whole."""

    def parse(self, reader: Reader, before: Mapping[str, Any]) -> object:
        """Read the field. Raises ProtocolError."""
        ...

    def encode(self, value: Any, struct: object) -> bytes:
        """Write the field. Raises ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """value = (raw - zero) / per_unit, valid for low <= raw <= high. size in bytes."""

    size: int
    per_unit: int
    zero: int
    low: int
    high: int

    def reading(self, raw: int) -> Reading:
        """What a raw value means."""
        top = (1 << self.size * 8) - 1
        if raw >= top - 1:
            return Reading(raw, Quality.INVALID if raw == top else Quality.ABNORMAL, None)
        if not self.low <= raw <= self.high:
            return Reading(raw, Quality.IMPLAUSIBLE, None)
        return Reading(raw, Quality.VALID, (raw - self.zero) / self.per_unit)

    def measure(self, value: float | Quality | None) -> Reading:
        """A number as a Reading, None as INVALID. Raises ValueError where it does not fit."""
        top = (1 << self.size * 8) - 1
        if value is None or isinstance(value, Quality):
            return self.reading(top - (value is Quality.ABNORMAL))
        raw = round(value * self.per_unit) + self.zero
        if not self.low <= raw <= self.high:
            raise ValueError(f"{value} lies outside what {self.size} bytes can tell")
        return self.reading(raw)

    def parse(self, reader: Reader, before: Mapping[str, Any]) -> Reading:  # noqa: ARG002  # as every Spec
        """Read one."""
        return self.reading(reader.number(self.size))

    def encode(self, value: Reading, struct: object) -> bytes:  # noqa: ARG002  # as every Spec
        """Write one."""
        return _encode(value.raw, self.size)


@dataclass(frozen=True, slots=True)
class Plain:
    """An unsigned number without markers: flags, codes, serial numbers."""

    size: int

    def parse(self, reader: Reader, before: Mapping[str, Any]) -> int:  # noqa: ARG002  # as every Spec
        """Read one."""
        return reader.number(self.size)

    def encode(self, value: int, struct: object) -> bytes:  # noqa: ARG002  # as every Spec
        """Write one."""
        return _encode(value, self.size)


@dataclass(frozen=True, slots=True)
class Array:
    """As many of an item (a spec, or a struct) as another field, read before, says. None where that is no number."""

    count: str
    item: Spec | type

    def parse(self, reader: Reader, before: Mapping[str, Any]) -> tuple[object, ...]:
        """Read them all."""
        number = range(count_of(before[self.count]))
        if isinstance(self.item, type):
            return tuple(parse_struct(self.item, reader) for _ in number)
        return tuple(self.item.parse(reader, before) for _ in number)

    def encode(self, value: Sequence[Any], struct: object) -> bytes:
        """Write them all."""
        count = count_of(getattr(struct, self.count))
        if len(value) != count:
            raise ValueError(f"{type(struct).__name__}: {self.count} says {count}, there are {len(value)}")
        if isinstance(self.item, type):
            return b"".join(map(encode_struct, value))
        return b"".join(self.item.encode(item, struct) for item in value)


def byte(per_unit: int = 1, zero: int = 0, *, low: int = 0, high: int = 0xFD) -> Number:
    """A Reading in one byte."""
    return Number(1, per_unit, zero, low, high)


def word(per_unit: int = 1, zero: int = 0, *, low: int = 0, high: int = 0xFFFD) -> Number:
    """A Reading in two bytes."""
    return Number(2, per_unit, zero, low, high)


def dword(per_unit: int = 1, zero: int = 0, *, low: int = 0, high: int = 0xFFFF_FFFD) -> Number:
    """A Reading in four bytes."""
    return Number(4, per_unit, zero, low, high)


def count_of(count: Reading | int) -> int:
    """How many a count field announces: none where it is abnormal or invalid."""
    if isinstance(count, int):
        return count
    return 0 if count.quality in {Quality.ABNORMAL, Quality.INVALID} else count.raw


def parse_struct(struct: type[Struct], reader: Reader) -> Struct:
    """One struct from its bytes. Raises ProtocolError."""
    values: dict[str, Any] = {}
    for name, spec in _layout(struct):
        values[name] = spec.parse(reader, values)
    return struct(**values)


def encode_struct(struct: object) -> bytes:
    """Inverse of parse_struct. Raises ValueError."""
    return b"".join(spec.encode(getattr(struct, name), struct) for name, spec in _layout(type(struct)))


def build_struct(struct: type[Struct], **values: Any) -> Struct:
    """A struct from plain numbers; None (or left out) is "invalid", counts come from what they count."""
    for name, spec in _layout(struct):
        given = values.get(name)
        if isinstance(spec, Array):
            items = tuple(given or ())
            number = spec.item if isinstance(spec.item, Number) else None
            values[name] = items if number is None else tuple(map(number.measure, items))
            if spec.count not in values or values[spec.count] is None:
                values[spec.count] = len(items)
    for name, spec in _layout(struct):
        if isinstance(spec, Number) and not isinstance(values.get(name), Reading):
            values[name] = spec.measure(values.get(name))
    return struct(**values)


def tell_struct(struct: type[Struct], **values: Any) -> Struct:
    """As build_struct, of measured values: one that does not fit its field is "abnormal" instead of an error."""
    told: dict[str, Any] = {}
    for name, spec in _layout(struct):
        given = values.get(name)
        if isinstance(spec, Number):
            told[name] = _tell(spec, given)
        elif isinstance(spec, Array) and isinstance(spec.item, Number):
            told[name] = [_tell(spec.item, item) for item in given or ()]
        elif given is not None:
            told[name] = given
    return build_struct(struct, **told)


def _tell(spec: Number, value: float | None) -> float | Quality | None:
    try:
        spec.measure(value)
    except (ValueError, OverflowError):  # beyond the field, NaN, infinity
        return Quality.ABNORMAL
    return value


def parse_time(reader: Reader) -> datetime:
    """Six bytes YY MM DD hh mm ss in UTC+8. Raises ProtocolError."""
    digits = reader.take(6)
    year, month, day, hour, minute, second = digits
    try:
        return datetime(_YEAR + year, month, day, hour, minute, second, tzinfo=TIME_ZONE)
    except ValueError:
        raise ProtocolError(f"GB/T 32960: {list(digits)} is no time") from None


def encode_time(time: datetime) -> bytes:
    """Inverse of parse_time, from any zone. Raises ValueError."""
    local = time.astimezone(TIME_ZONE)
    if not _YEAR <= local.year < _YEAR + 256:
        raise ValueError(f"the year {local.year} does not fit")
    return bytes([local.year - _YEAR, local.month, local.day, local.hour, local.minute, local.second])


_LAYOUTS: Final[dict[type, tuple[tuple[str, Spec], ...]]] = {}  # annotations are slow to read


def _layout(struct: type) -> tuple[tuple[str, Spec], ...]:
    layout = _LAYOUTS.get(struct)
    if layout is None:
        hints = get_type_hints(struct, include_extras=True)
        layout = _LAYOUTS[struct] = tuple((name, hint.__metadata__[0]) for name, hint in hints.items())
    return layout


def _encode(raw: int, size: int) -> bytes:
    if not 0 <= raw < 1 << size * 8:
        raise ValueError(f"{raw} does not fit {size} bytes")
    return raw.to_bytes(size, "big")
