"""MF4 files put together by hand: every way of storing records, and damage to every byte."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import InputError
from agent.core.frames import ERROR_FRAME, EXTENDED, OWN, REMOTE, FrameBatch, concatenate
from simulators.replay import Recording, open_recording

START_NS = 1_700_000_000_000_000_000
RECORD = struct.Struct(
    "<dIBBBQ"
)  # seconds, id, IDE and Dir and BusChannel in bits, DataLength, nothing, data or offset
FRAMES = [(n / 100, 0x100 + n, n % 2, n % 9, bytes(range(n % 9))) for n in range(40)]


class Builder:
    """Blocks one after the other, each at a multiple of eight."""

    def __init__(self, *, magic: bytes = b"MDF     ", unfinished: int = 0) -> None:
        self.content = bytearray(struct.pack("<8s8s8s36xHH", magic, b"4.11    ", b"test    ", unfinished, 0))
        self.content += struct.pack("<4s4xQQ6QQhhBBBBdd", b"##HD", 104, 6, *[0] * 6, START_NS, 0, 0, 0, 0, 0, 0, 0, 0)

    def add(self, kind: bytes, links: Sequence[int], data: bytes, *, length: int | None = None) -> int:
        self.content += bytes(-len(self.content) % 8)
        address = len(self.content)
        size = 24 + 8 * len(links) + len(data) if length is None else length
        self.content += struct.pack(f"<4s4xQQ{len(links)}Q", kind, size, len(links), *links) + data
        return address

    def text(self, value: str) -> int:
        return self.add(b"##TX", [], value.encode() + b"\0")

    def channel(
        self,
        name: str,
        byte: int,
        bits: int,
        *,
        after: int = 0,
        bit: int = 0,
        kind: int = 0,
        code: int = 0,
        **links: int,
    ) -> int:
        data = struct.pack("<BBBBIIIIBBHdddddd", kind, kind == 2, code, bit, byte, bits, 0, 0, 0, 0, 0, *[0.0] * 6)
        order = [
            after,
            links.get("parts", 0),
            self.text(name),
            0,
            links.get("conversion", 0),
            links.get("data", 0),
            0,
            0,
        ]
        return self.add(b"##CN", order, data)

    def group(self, channels: int, size: int, *, after: int = 0, record_id: int = 0, flags: int = 0) -> int:
        data = struct.pack("<QQHHIII", record_id, 0, flags, 0, 0, size, 0)
        return self.add(b"##CG", [after, channels, 0, 0, 0, 0], data)

    def data_group(self, groups: int, data: int, *, after: int = 0, id_bytes: int = 0) -> int:
        return self.add(b"##DG", [after, groups, data, 0], struct.pack("<B7x", id_bytes))

    def write(self, path: Path, first: int) -> Recording:
        struct.pack_into("<Q", self.content, 64 + 24, first)
        path.write_bytes(self.content)
        return open_recording(path)


def add_channels(builder: Builder, kind: str, *, variable: int | None = None) -> int:
    """The channels of RECORD; with variable, DataBytes is an offset into that block."""
    if variable is None:
        part = builder.channel(f"{kind}.DataBytes", 15, 64, code=10)
    else:
        part = builder.channel(f"{kind}.DataBytes", 15, 64, kind=1, code=10, data=variable)
    part = builder.channel(f"{kind}.DataLength", 13, 7, after=part)
    part = builder.channel(f"{kind}.BusChannel", 12, 2, bit=2, after=part)
    part = builder.channel(f"{kind}.Dir", 12, 1, bit=1, after=part)
    part = builder.channel(f"{kind}.IDE", 12, 1, after=part)
    part = builder.channel(f"{kind}.ID", 8, 32, after=part)
    top = builder.channel(kind, 8, 120, code=10, parts=part)
    return builder.channel("Timestamp", 0, 64, kind=2, code=4, after=top)


def records(payloads: Sequence[int] | None = None) -> bytes:
    """The frames as records; payloads are offsets, without them the data is in the record."""
    return b"".join(
        RECORD.pack(
            seconds,
            can_id,
            extended | (n % 3 == 0) << 1 | 2 << 2,
            length,
            0,
            int.from_bytes(data.ljust(8, b"\xee"), "little") if payloads is None else payloads[n],
        )
        for n, (seconds, can_id, extended, length, data) in enumerate(FRAMES)
    )


def pool() -> tuple[bytes, list[int]]:
    """Variable-length values and their offsets."""
    content, offsets = b"", []
    for *_, data in FRAMES:
        offsets.append(len(content))
        content += struct.pack("<I", len(data)) + data
    return content, offsets


def check(recording: Recording) -> None:
    batch = concatenate(list(recording))
    assert recording.format == "mf4"
    assert batch.can_id.tolist() == [frame[1] for frame in FRAMES]
    assert batch.t_ns.tolist() == [n * 10_000_000 for n in range(40)]
    assert batch.flags.tolist() == [EXTENDED * (n % 2) | OWN * (n % 3 == 0) for n in range(40)]
    assert batch.bus.tolist() == [1] * 40
    assert payloads(batch) == [frame[4] for frame in FRAMES]
    assert not batch.data[np.arange(64) >= batch.length[:, None]].any()
    assert (recording.bad_lines, recording.backward_steps) == (0, 0)
    assert recording.start_wall_ns == START_NS


def payloads(batch: FrameBatch) -> list[bytes]:
    return [row[:n].tobytes() for row, n in zip(batch.data, batch.length, strict=True)]


def zipped(kind: bytes, content: bytes, *, columns: int = 0) -> bytes:
    body = content
    if columns:
        rows = len(content) // columns
        matrix = np.frombuffer(content, np.uint8, rows * columns).reshape(rows, columns)
        body = matrix.T.tobytes() + content[rows * columns :]
    packed = zlib.compress(body)
    return struct.pack("<2sBxIQQ", kind, 1 if columns else 0, columns, len(content), len(packed)) + packed


def add_data(builder: Builder, layout: str) -> int:
    content = records()
    size = RECORD.size
    if layout == "one block":
        return builder.add(b"##DT", [], content)
    if layout == "zipped":
        return builder.add(b"##DZ", [], zipped(b"DT", content))
    if layout == "transposed":
        return builder.add(b"##DZ", [], zipped(b"DT", content, columns=size))
    parts = [content[at : at + 100] for at in range(0, len(content), 100)]  # records cross the borders
    if layout == "list":
        blocks = [builder.add(b"##DT", [], part) for part in parts]
        second = builder.add(b"##DL", [0, *blocks[4:], 0], b"")
        return builder.add(b"##DL", [second, *blocks[:4]], b"")
    blocks = [builder.add(b"##DZ", [], zipped(b"DT", part, columns=7)) for part in parts]
    return builder.add(b"##HL", [builder.add(b"##DL", [0, *blocks], b"")], bytes(8))


@pytest.mark.parametrize("layout", ["one block", "zipped", "transposed", "list", "zipped list"])
def test_records_are_found_in_every_layout(tmp_path: Path, layout: str) -> None:
    builder = Builder()
    group = builder.group(add_channels(builder, "CAN_DataFrame"), RECORD.size)
    check(builder.write(tmp_path / "a.mf4", builder.data_group(group, add_data(builder, layout))))


@pytest.mark.parametrize("packed", [False, True])
def test_payloads_in_a_block_of_their_own(tmp_path: Path, packed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    builder = Builder()
    content, offsets = pool()
    values = builder.add(b"##DZ", [], zipped(b"SD", content)) if packed else builder.add(b"##SD", [], content)
    group = builder.group(add_channels(builder, "CAN_DataFrame", variable=values), RECORD.size)
    data = builder.add(b"##DT", [], records(offsets))
    check(builder.write(tmp_path / "a.mf4", builder.data_group(group, data)))


def unsorted(builder: Builder, *, id_bytes: int, length: int | None = None) -> int:
    content, offsets = pool()
    values = builder.group(0, 0, record_id=2, flags=1)
    group = builder.group(
        add_channels(builder, "CAN_DataFrame", variable=values), RECORD.size, record_id=1, after=values
    )
    fixed, mixed = records(offsets), b""
    for n, offset in enumerate(offsets):
        end = offsets[n + 1] if n + 1 < len(offsets) else len(content)
        mixed += (2).to_bytes(id_bytes, "little") + content[offset:end]
        mixed += (1).to_bytes(id_bytes, "little") + fixed[n * RECORD.size : (n + 1) * RECORD.size]
    first = builder.data_group(group, 0, id_bytes=id_bytes)
    data = builder.add(b"##DT", [], mixed, length=length)
    struct.pack_into("<Q", builder.content, first + 24 + 16, data)
    return first


@pytest.mark.parametrize("id_bytes", [1, 2, 4, 8])
def test_unsorted_records_with_payloads_among_them(tmp_path: Path, id_bytes: int) -> None:
    builder = Builder()
    check(builder.write(tmp_path / "a.mf4", unsorted(builder, id_bytes=id_bytes)))


def test_a_file_the_logger_could_not_finish_is_read_to_its_end(tmp_path: Path) -> None:
    builder = Builder(magic=b"UnFinMF ", unfinished=0b101)
    check(builder.write(tmp_path / "a.mf4", unsorted(builder, id_bytes=1, length=24)))


def test_times_in_ticks_are_scaled(tmp_path: Path) -> None:
    builder = Builder()
    conversion = builder.add(b"##CC", [0] * 4, struct.pack("<BBHHHdddd", 1, 0, 0, 0, 2, 0.0, 0.0, 5.25, 1e-6))
    can_id = builder.channel("CAN_DataFrame.ID", 4, 32)
    master = builder.channel("t", 0, 32, kind=2, after=can_id, conversion=conversion)
    data = builder.add(b"##DT", [], struct.pack("<IIII", 1_000_000, 1, 1_000_250, 2))
    recording = builder.write(tmp_path / "a.mf4", builder.data_group(builder.group(master, 8), data))
    assert concatenate(list(recording)).t_ns.tolist() == [0, 250_000]
    assert recording.start_wall_ns == START_NS + 6_250_000_000


def test_groups_are_merged_by_time(tmp_path: Path) -> None:
    builder = Builder()
    first = 0
    for kind, times in (("CAN_ErrorFrame", [0.5]), ("CAN_RemoteFrame", [0.2, 0.9]), ("CAN_DataFrame", [0.1, 0.3, 0.7])):
        group = builder.group(add_channels(builder, kind), RECORD.size)
        content = b"".join(RECORD.pack(t, 7, 0, 1, 0, 0xFF) for t in times)
        first = builder.data_group(group, builder.add(b"##DT", [], content), after=first)
    batch = concatenate(list(builder.write(tmp_path / "a.mf4", first)))
    assert batch.flags.tolist() == [0, REMOTE, 0, ERROR_FRAME, 0, REMOTE]
    assert (batch.t_ns // 1_000_000).tolist() == [0, 100, 200, 400, 600, 800]
    assert batch.length.tolist() == [1, 0, 1, 0, 1, 0]


def test_other_groups_and_no_frames_at_all_are_fine(tmp_path: Path) -> None:
    builder = Builder()
    group = builder.group(builder.channel("Speed", 0, 64), 8)
    recording = builder.write(tmp_path / "a.mf4", builder.data_group(group, builder.add(b"##DT", [], bytes(80))))
    assert list(recording) == []
    assert recording.start_wall_ns is None


def test_data_that_ends_too_early_is_counted(tmp_path: Path) -> None:
    builder = Builder()
    group = builder.group(add_channels(builder, "CAN_DataFrame"), RECORD.size)
    first = builder.data_group(group, 0)
    path = tmp_path / "a.mf4"
    data = builder.add(b"##DT", [], records())
    struct.pack_into("<Q", builder.content, first + 24 + 16, data)
    builder.write(path, first)
    path.write_bytes(path.read_bytes()[: -10 * RECORD.size - 1])
    recording = open_recording(path)
    assert len(concatenate(list(recording))) == 29
    assert recording.bad_lines == 2, "the block that is too short and the record that is cut in two"


def test_damaged_data_is_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    builder = Builder()
    content = records()
    blocks = [
        builder.add(b"##DT", [], content[: 7 * RECORD.size]),
        builder.add(b"##XX", [], content[7 * RECORD.size :]),
    ]
    group = builder.group(add_channels(builder, "CAN_DataFrame"), RECORD.size)
    first = builder.data_group(group, builder.add(b"##DL", [0, *blocks], b""))
    recording = builder.write(tmp_path / "a.mf4", first)
    assert len(concatenate(list(recording))) == 7
    assert recording.bad_places == [f"b'##XX' instead of data at byte {blocks[1]}"]


def test_blocks_in_a_circle_are_refused(tmp_path: Path) -> None:
    builder = Builder()
    group = builder.group(add_channels(builder, "CAN_DataFrame"), RECORD.size)
    first = builder.data_group(group, builder.add(b"##DT", [], records()))
    struct.pack_into("<Q", builder.content, first + 24, first)
    with pytest.raises(InputError, match="circle"):
        builder.write(tmp_path / "a.mf4", first)


def test_a_record_of_an_unknown_kind_ends_the_reading_and_is_counted(tmp_path: Path) -> None:
    builder = Builder()
    first = unsorted(builder, id_bytes=1)
    path = tmp_path / "a.mf4"
    builder.write(path, first)
    content = bytearray(path.read_bytes())
    content[-(RECORD.size + 1)] = 9
    path.write_bytes(content)
    recording = open_recording(path)
    assert len(concatenate(list(recording))) == 39
    assert recording.bad_places == ["a record of unknown id 9"]


@pytest.mark.parametrize("value", [0x00, 0xFF])
def test_damage_to_any_byte_ends_in_frames_or_a_refusal(tmp_path: Path, value: int) -> None:
    builder = Builder()
    unsorted_first = unsorted(builder, id_bytes=1)
    group = builder.group(add_channels(builder, "CAN_DataFrame"), RECORD.size)
    first = builder.data_group(group, add_data(builder, "zipped list"), after=unsorted_first)
    path = tmp_path / "a.mf4"
    builder.write(path, first)
    content = bytes(builder.content)
    refused = 0
    for position in range(0, len(content), 29):
        damaged = bytearray(content)
        damaged[position] = value
        path.write_bytes(damaged)
        try:
            recording = open_recording(path)
            frames = sum(map(len, recording))
        except InputError:
            refused += 1
            continue
        assert frames <= 2000
    assert refused > 5
