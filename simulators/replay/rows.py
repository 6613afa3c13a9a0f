"""Single frames of a log, and the columns made of them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from agent.core.frames import DATA_SIZE, ERROR_FRAME, EXTENDED, FrameBatch

STANDARD_ID_MAX: Final = 0x7FF
EXTENDED_ID_MAX: Final = 0x1FFF_FFFF
_T_NS_MAX: Final = 1 << 61  # 73 years either way; sums and differences stay within int64


class Row(NamedTuple):
    """One frame of a log. t_ns counts from the log's own zero; data is empty for remote frames."""

    t_ns: int
    bus: int
    can_id: int
    flags: int
    data: bytes


def make_row(t_ns: int, can_id: int, data: bytes, *, flags: int = 0, bus: int = 0) -> Row:
    """Row of values that CAN allows. Raises ValueError for an id, length, bus or time out of range."""
    if can_id > (EXTENDED_ID_MAX if flags & (EXTENDED | ERROR_FRAME) else STANDARD_ID_MAX):
        raise ValueError(f"id {can_id:X} out of range")
    if len(data) > DATA_SIZE:
        raise ValueError(f"{len(data)} bytes of data")
    if not 0 <= bus <= 255:
        raise ValueError(f"bus {bus}")
    if not -_T_NS_MAX < t_ns < _T_NS_MAX:
        raise ValueError("time out of range")
    return Row(t_ns, bus, can_id, flags, data)


def batch_from_rows(rows: Sequence[Row]) -> FrameBatch:
    """Columns from one or more rows, in their order."""
    count = len(rows)
    t_ns, bus, can_id, flags, data = zip(*rows, strict=True)
    padded = b"".join([payload.ljust(DATA_SIZE, b"\0") for payload in data])
    return FrameBatch(
        np.fromiter(t_ns, np.int64, count),
        np.fromiter(bus, np.uint8, count),
        np.fromiter(can_id, np.uint32, count),
        np.fromiter(flags, np.uint8, count),
        np.fromiter(map(len, data), np.uint8, count),
        np.frombuffer(padded, np.uint8).reshape(count, DATA_SIZE),
    )


def parse_bytes(text: str, count: int | None = None, *, base: int = 16) -> bytes:
    """Bytes from numbers separated by blanks, the first count of them. Raises ValueError if one is missing or none."""
    if base == 16:
        try:
            data = bytes.fromhex(text)
        except ValueError:  # "5" for "05", or what follows the data in some formats
            data = bytes([int(token, 16) for token in text.split()[:count]])
    else:
        data = bytes([int(token, base) for token in text.split()[:count]])
    if count is None:
        return data
    if len(data) < count:
        raise ValueError(f"{len(data)} of {count} bytes")
    return data[:count]


def parse_decimal_ns(whole: str, fraction: str) -> int:
    """Nanoseconds from the two halves of a decimal number of seconds, without going through a float."""
    nanoseconds = int(whole) * 1_000_000_000
    return nanoseconds + int(fraction[:9].ljust(9, "0"))
