"""Vector BLF: objects in zlib containers.

The layouts are python-can's, whose reader is the oracle in the tests. It is not used itself: an object of size zero
makes it loop for ever, and damage ends it with whatever exception comes first.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from can.io.blf import (
    CAN_ERROR_EXT,
    CAN_ERROR_EXT_STRUCT,
    CAN_FD_MESSAGE,
    CAN_FD_MESSAGE_64,
    CAN_FD_MSG_64_STRUCT,
    CAN_FD_MSG_STRUCT,
    CAN_MESSAGE,
    CAN_MESSAGE2,
    CAN_MSG_STRUCT,
    FILE_HEADER_STRUCT,
    LOG_CONTAINER,
    LOG_CONTAINER_STRUCT,
    OBJ_HEADER_BASE_STRUCT,
    OBJ_HEADER_V1_STRUCT,
    ZLIB_DEFLATE,
)

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from simulators.replay.report import Report
from simulators.replay.rows import EXTENDED_ID_MAX, Row, batch_from_rows, make_row

MAGIC: Final = b"LOGG"
_SIGNATURE: Final = b"LOBJ"
_CONTAINER_BYTES_MAX: Final = 64 << 20  # writers use 128 KiB; this stops a decompression bomb
_TICK_NS: Final = 10_000  # flag 1: tens of microseconds, otherwise nanoseconds


def read_blf(path: Path, report: Report) -> Iterator[FrameBatch]:
    """One batch a container, raw times since the measurement began. Raises OSError."""
    with path.open("rb") as file:
        header = file.read(FILE_HEADER_STRUCT.size)
        if len(header) < FILE_HEADER_STRUCT.size:
            report.count_bad(f"byte {len(header)}")
            return
        file.seek(FILE_HEADER_STRUCT.unpack(header)[1])
        tail = b""
        while content := _read_container(file, report):
            rows: list[Row] = []
            tail = _walk(tail + content, rows, report)
            if rows:
                yield batch_from_rows(rows)
        if tail.strip(b"\0"):
            report.count_bad(f"byte {file.tell()}")


def read_start_ns(header: bytes) -> int | None:
    """UTC of the measurement's zero from the file header, whose time has no zone and is taken for UTC."""
    if len(header) < FILE_HEADER_STRUCT.size:
        return None
    year, month, _, day, hour, minute, second, milli = FILE_HEADER_STRUCT.unpack_from(header)[14:22]
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + int(milli) * 1_000_000


def _read_container(file: IO[bytes], report: Report) -> bytes:
    """Content of the next container that can be read, b"" at the end of the file."""
    while base := file.read(OBJ_HEADER_BASE_STRUCT.size):
        place = f"byte {file.tell() - len(base)}"
        if len(base) < OBJ_HEADER_BASE_STRUCT.size:
            report.count_bad(place)
            return b""
        signature, _, _, size, kind = OBJ_HEADER_BASE_STRUCT.unpack(base)
        if signature != _SIGNATURE or not LOG_CONTAINER_STRUCT.size <= size - len(base) <= _CONTAINER_BYTES_MAX:
            report.count_bad(place)  # without a size there is no way to the next one
            return b""
        body = file.read(size - len(base))
        file.read(size % 4)
        if kind != LOG_CONTAINER:
            continue
        if len(body) < size - len(base):
            report.count_bad(place)
            if len(body) < LOG_CONTAINER_STRUCT.size:
                return b""
        method, _ = LOG_CONTAINER_STRUCT.unpack_from(body)
        content = body[LOG_CONTAINER_STRUCT.size :]
        if method == ZLIB_DEFLATE:
            try:
                content = zlib.decompressobj().decompress(content, _CONTAINER_BYTES_MAX)
            except zlib.error:
                report.count_bad(place)
                continue
        if content:
            return content
    return b""


def _walk(data: bytes, rows: list[Row], report: Report) -> bytes:
    """Collect the rows of the objects in data; return the object at its end that goes on in the next container."""
    position = 0
    smallest = OBJ_HEADER_BASE_STRUCT.size + OBJ_HEADER_V1_STRUCT.size
    while True:
        start = data.find(_SIGNATURE, position, position + 8)  # padding depends on the kind of object
        if start < 0:
            if position + 8 <= len(data):
                report.count_bad("a container")
                start = data.find(_SIGNATURE, position)
            if start < 0:
                return b""
        if start + smallest > len(data):
            return data[start:]
        _, _, version, size, kind = OBJ_HEADER_BASE_STRUCT.unpack_from(data, start)
        if size < smallest:
            report.count_bad("an object")
            position = start + len(_SIGNATURE)
            continue
        if start + size > len(data):
            return data[start:]
        position = start + size
        try:
            row = _parse_object(data[start:position], kind, version)
        except (struct.error, ValueError):
            report.count_bad("an object")
            continue
        if row is not None:
            rows.append(row)


def _parse_object(data: bytes, kind: int, version: int) -> Row | None:
    """One frame; None for other kinds of objects. Raises struct.error or ValueError."""
    header_size = struct.unpack_from("<H", data, 4)[0]
    if version not in (1, 2) or header_size < OBJ_HEADER_BASE_STRUCT.size + OBJ_HEADER_V1_STRUCT.size:
        raise ValueError(f"object header version {version} of {header_size} bytes")
    units, _, _, ticks = OBJ_HEADER_V1_STRUCT.unpack_from(data, OBJ_HEADER_BASE_STRUCT.size)  # same place in version 2
    t_ns = ticks * _TICK_NS if units == 1 else ticks
    if kind in (CAN_MESSAGE, CAN_MESSAGE2):
        channel, bits, dlc, can_id, payload = CAN_MSG_STRUCT.unpack_from(data, header_size)
        flags = _flags(can_id, own=bits & 1, remote=bits & 0x80)
        return _row(t_ns, can_id, payload[: min(dlc, 8)], flags, channel)
    if kind == CAN_ERROR_EXT:
        fields = CAN_ERROR_EXT_STRUCT.unpack_from(data, header_size)
        return _row(t_ns, fields[7], b"", ERROR_FRAME | _flags(fields[7]), fields[0])
    if kind == CAN_FD_MESSAGE:
        channel, bits, _, can_id, _, _, fd_bits, valid, payload = CAN_FD_MSG_STRUCT.unpack_from(data, header_size)
        flags = _flags(can_id, own=bits & 1, remote=bits & 0x80, fd=fd_bits & 1, brs=fd_bits & 2, esi=fd_bits & 4)
        return _row(t_ns, can_id, payload[: min(valid, 64)], flags, channel)
    if kind == CAN_FD_MESSAGE_64:
        fields = CAN_FD_MSG_64_STRUCT.unpack_from(data, header_size)
        channel, valid, can_id, bits, own, offset = (fields[i] for i in (0, 2, 4, 6, 12, 13))
        first = header_size + CAN_FD_MSG_64_STRUCT.size
        payload = data[first : min(first + valid, offset or len(data))].ljust(valid, b"\0")  # as binlog.dll pads it
        flags = _flags(can_id, own=own, remote=bits & 0x10, fd=bits & 0x1000, brs=bits & 0x2000, esi=bits & 0x4000)
        return _row(t_ns, can_id, payload, flags, channel)
    return None


def _row(t_ns: int, can_id: int, payload: bytes, flags: int, channel: int) -> Row:
    data = b"" if flags & REMOTE else payload
    return make_row(t_ns, can_id & EXTENDED_ID_MAX, data, flags=flags, bus=max(0, channel - 1))


def _flags(can_id: int, *, own: int = 0, remote: int = 0, fd: int = 0, brs: int = 0, esi: int = 0) -> int:
    return (
        (EXTENDED if can_id & 0x8000_0000 else 0)
        | (OWN if own else 0)
        | (REMOTE if remote else 0)
        | (FD if fd else 0)
        | (BIT_RATE_SWITCH if brs else 0)
        | (ERROR_STATE if esi else 0)
    )
