"""The part of ASAM MDF 4.x that bus logs need: channel groups, channels, records.

Records come in reads of a few megabytes, whatever the size of the file.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from simulators.replay.mdf_blocks import (
    STRUCTURE_BYTES_MAX,
    DamagedFileError,
    at_least,
    follow,
    peek,
    read_block,
    read_data,
)

ByteArray = npt.NDArray[np.uint8]

READ_BYTES: Final = 2 << 20
_VARIABLE_BYTES_MAX: Final = 1 << 30
_SECONDS_MAX: Final = 2.3e9  # 73 years: sums of such times in nanoseconds stay within int64
_ID_BLOCK_BYTES: Final = 64
_UNFINISHED_LAST_LENGTH: Final = 1 << 2  # the length of the last data block was never written
_VLSD_GROUP: Final = 1
_FIXED, _VARIABLE, _MASTER, _VIRTUAL_MASTER = range(4)
_TIME: Final = 1
_BIG_ENDIAN: Final = (1, 3, 5)
_SIGNED: Final = (2, 3)
_FLOAT: Final = (4, 5)
_TEXT: Final = (6, 7, 8, 9)


@dataclass(slots=True)
class Channel:
    """Where a value lies in a record, and how it is coded. Scale and offset are those of a linear conversion."""

    name: str
    kind: int
    sync: int
    data_type: int
    bit_offset: int
    byte_offset: int
    bit_count: int
    data_link: int
    scale: float = 1.0
    offset: float = 0.0
    variable: bytearray | None = None  # what a variable-length channel's offsets point into

    def read_bytes(self, records: ByteArray, size_max: int) -> tuple[ByteArray, npt.NDArray[np.uint64]]:
        """uint8[n, up to size_max] and how many of each row are there. Raises DamagedFileError."""
        if self.variable is None:
            size = min(self.bit_count // 8, size_max)
            payload = records[:, self.byte_offset : self.byte_offset + size]
            if payload.shape[1] != size:
                raise DamagedFileError(f"channel {self.name} is outside its record")
            return payload, np.full(len(records), size, np.uint64)
        pool = np.frombuffer(self.variable, np.uint8)
        if len(pool) < 4:
            raise DamagedFileError(f"channel {self.name} has lost its values")
        offsets = np.minimum(decode_number(self, records), len(pool) - 4).astype(np.int64)
        length = np.minimum(pool[offsets[:, None] + np.arange(4)].view("<u4").ravel(), size_max)
        within = np.minimum(offsets[:, None] + 4 + np.arange(length.max(initial=0)), len(pool) - 1)
        return pool[within], length.astype(np.uint64)


@dataclass(slots=True)
class Group:
    """A channel group: records of one shape."""

    record_id: int
    record_bytes: int
    is_variable: bool
    address: int
    channels: dict[str, Channel] = field(default_factory=dict)

    def read_seconds(self, records: ByteArray) -> npt.NDArray[np.float64]:
        """Times since the start of the measurement. Raises DamagedFileError where there are none, or nonsense."""
        master = next((c for c in self.channels.values() if c.kind == _MASTER and c.sync == _TIME), None)
        if master is None:
            raise DamagedFileError("a bus group without times")
        seconds = decode_number(master, records).astype(np.float64) * master.scale + master.offset
        if not bool(np.all(np.abs(seconds) < _SECONDS_MAX)):
            raise DamagedFileError("times beyond decades")
        return seconds


@dataclass(slots=True)
class DataGroup:
    """Channel groups whose records share one stream; id_bytes precede each record where there are several."""

    data_link: int
    id_bytes: int
    groups: list[Group]
    open_end: bool


def read_start_time_ns(file: IO[bytes]) -> int:
    """UTC of the measurement's zero from the header block; a local time without zone counts as UTC."""
    _, data = read_block(file, _ID_BLOCK_BYTES, b"##HD")
    (start_ns,) = struct.unpack_from("<Q", at_least(data, 8))
    return int(start_ns)


def read_groups(file: IO[bytes]) -> list[DataGroup]:
    """The file's structure. Raises DamagedFileError."""
    file.seek(0)
    head = file.read(_ID_BLOCK_BYTES)
    if len(head) < _ID_BLOCK_BYTES or head[8:9] != b"4":
        raise DamagedFileError(f"version {head[8:16].decode('latin-1').strip()!r} instead of 4.x")
    (unfinished,) = struct.unpack_from("<H", head, 60)
    links, _ = read_block(file, _ID_BLOCK_BYTES, b"##HD")
    found = []
    for _, dg_links, dg_data in follow(file, links[0], b"##DG"):
        groups = [_read_group(file, *block) for block in follow(file, dg_links[1], b"##CG")]
        open_end = head.startswith(b"UnFinMF") and bool(unfinished & _UNFINISHED_LAST_LENGTH)
        found.append(DataGroup(dg_links[2], at_least(dg_data, 1)[0], groups, open_end))
    return found


def read_records(
    file: IO[bytes], data: DataGroup, count_bad: Callable[[str], None], *, read_bytes: int = READ_BYTES
) -> Iterator[list[tuple[Group, ByteArray]]]:
    """The records of a data group, read_bytes at a time, by group as uint8[n, record size].

    count_bad is told where data ends too early. Raises DamagedFileError.
    """
    contents = read_data(file, data.data_link, count_bad, open_end=data.open_end, read_bytes=read_bytes)
    if data.id_bytes == 0:
        if data.groups and data.data_link:
            group = data.groups[0]
            for records in _whole_records(contents, group.record_bytes, count_bad):
                yield [(group, records)]
        return
    if data.id_bytes not in (1, 2, 4, 8):
        raise DamagedFileError(f"record ids of {data.id_bytes} bytes")
    by_id = {group.record_id: group for group in data.groups}
    pools = {
        group.address: channel.variable
        for owner in data.groups
        for channel in owner.channels.values()
        for group in data.groups
        if channel.variable is not None and group.is_variable and channel.data_link == group.address
    }
    rest = b""
    for content in contents:
        parts, rest, unknown = _sort_records(rest + content, data.id_bytes, by_id, pools)
        yield [(by_id[i], np.frombuffer(b"".join(p), np.uint8).reshape(len(p), -1)) for i, p in parts.items() if p]
        if unknown is not None:
            count_bad(f"a record of unknown id {unknown}")  # and of unknown size, so there is no way to the next
            return
    if rest:
        count_bad("the last record")


def decode_number(channel: Channel, records: ByteArray) -> npt.NDArray[Any]:
    """One channel of records uint8[n, record size]: uint64, int64 or float64 [n]; text is whether it says Tx."""
    size = (channel.bit_offset + channel.bit_count + 7) // 8
    raw = records[:, channel.byte_offset : channel.byte_offset + size]
    if size == 0 or raw.shape[1] != size:
        raise DamagedFileError(f"channel {channel.name} is outside its record")
    if channel.data_type in _TEXT:
        return np.asarray(np.all(raw[:, :2] == np.frombuffer(b"Tx", np.uint8), axis=1), np.uint64)
    if channel.data_type in _BIG_ENDIAN:
        raw = raw[:, ::-1]
    if channel.data_type in _FLOAT:
        if channel.bit_count not in (32, 64) or channel.bit_offset:
            raise DamagedFileError(f"channel {channel.name} is a float of {channel.bit_count} bits")
        return np.asarray(np.ascontiguousarray(raw).view(f"<f{size}").ravel(), np.float64)
    if size > 8:
        raise DamagedFileError(f"channel {channel.name} has {channel.bit_count} bits")
    wide = np.zeros((len(raw), 8), np.uint8)
    wide[:, :size] = raw
    value = wide.view("<u8").ravel() >> np.uint64(channel.bit_offset)
    unused = np.uint64(64 - channel.bit_count)
    if channel.data_type in _SIGNED:
        return np.asarray((value << unused).view(np.int64) >> unused.astype(np.int64))
    return np.asarray((value << unused) >> unused)


def _read_group(file: IO[bytes], address: int, links: tuple[int, ...], data: bytes) -> Group:
    record_id, _, flags, _, data_bytes, invalid_bytes = struct.unpack_from("<QQHH4xII", at_least(data, 32))
    group = Group(record_id, data_bytes + invalid_bytes, bool(flags & _VLSD_GROUP), address)
    if not group.is_variable:
        if group.record_bytes == 0:
            raise DamagedFileError("records without bytes")
        _read_channels(file, links[1], group.channels, depth=0)
    return group


def _read_channels(file: IO[bytes], first: int, channels: dict[str, Channel], *, depth: int) -> None:
    for _, links, data in follow(file, first, b"##CN"):
        kind, sync, data_type, bit_offset, byte_offset, bit_count = struct.unpack_from("<BBBBII", at_least(data, 12))
        if bit_offset > 7:
            raise DamagedFileError(f"bit offset {bit_offset}")
        channel = Channel(
            _read_text(file, links[2]), kind, sync, data_type, bit_offset, byte_offset, bit_count, links[5]
        )
        if kind == _VARIABLE:
            channel.variable = bytearray()
        if kind == _MASTER and links[4]:
            channel.offset, channel.scale = _read_linear(file, links[4])
        channels[channel.name] = channel
        if links[1] and depth < 4 and peek(file, links[1]) == b"##CN":
            _read_channels(file, links[1], channels, depth=depth + 1)


def _read_text(file: IO[bytes], address: int) -> str:
    _, data = read_block(file, address, b"##TX")
    return data.split(b"\0", 1)[0].decode("utf-8", errors="replace")


def _read_linear(file: IO[bytes], address: int) -> tuple[float, float]:
    """(offset, scale) of a conversion block: 0 one to one, 1 linear."""
    _, data = read_block(file, address, b"##CC")
    kind = at_least(data, 1)[0]
    if kind == 0:
        return 0.0, 1.0
    if kind != 1:
        raise DamagedFileError(f"times with conversion {kind}")
    offset, scale = struct.unpack_from("<dd", at_least(data, 40), 24)
    return offset, scale


def load_variable(file: IO[bytes], group: Group, count_bad: Callable[[str], None]) -> None:
    """Fill the pools of variable-length channels whose values lie in blocks of their own. Raises DamagedFileError."""
    for channel in group.channels.values():
        if channel.variable is None or channel.variable or not channel.data_link:
            continue
        if peek(file, channel.data_link) == b"##CG":
            continue  # the values come as records among the others
        for content in read_data(file, channel.data_link, count_bad, open_end=False, read_bytes=READ_BYTES):
            channel.variable += content
            if len(channel.variable) > _VARIABLE_BYTES_MAX:
                raise DamagedFileError(f"channel {channel.name} has more than {_VARIABLE_BYTES_MAX >> 20} MiB")


def _whole_records(
    contents: Iterator[bytes], record_bytes: int, count_bad: Callable[[str], None]
) -> Iterator[ByteArray]:
    rest = b""
    for content in contents:
        joined = rest + content if rest else content
        count = len(joined) // record_bytes
        rest = joined[count * record_bytes :]
        if count:
            yield np.frombuffer(joined, np.uint8, count * record_bytes).reshape(count, record_bytes)
    if rest:
        count_bad("the last record")


def _sort_records(
    content: bytes, id_bytes: int, by_id: dict[int, Group], pools: dict[int, bytearray]
) -> tuple[dict[int, list[bytes]], bytes, int | None]:
    """Records by id, the incomplete one at the end, and the unknown id that ended it. Pools get variable values."""
    parts: dict[int, list[bytes]] = {record_id: [] for record_id, group in by_id.items() if not group.is_variable}
    position = 0
    while (start := position + id_bytes) <= len(content):
        record_id = int.from_bytes(content[position:start], "little")
        group = by_id.get(record_id)
        if group is None:
            return parts, b"", record_id
        end = start + group.record_bytes
        if group.is_variable:
            end = start + 4 + int.from_bytes(content[start : start + 4], "little")
            if end - start > STRUCTURE_BYTES_MAX:
                raise DamagedFileError(f"a record of {end - start} bytes")
        if end > len(content):
            break
        position = end
        if not group.is_variable:
            parts[record_id].append(content[start:end])
        elif group.address in pools:
            pools[group.address] += content[start:end]
    return parts, content[position:], None
