"""ASAM MF4 bus logs, a column at a time: what CANedge and most loggers write.

The layouts are those of ASAM MDF 4.1 (associated with its bus-logging standard: channel groups of CAN_DataFrame,
CAN_RemoteFrame and CAN_ErrorFrame events). asammdf is the oracle in the tests. It is not used to read: a damaged link
sends it round in circles or, in its C part, off the heap.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import InputError
from agent.core.frames import (
    BIT_RATE_SWITCH,
    DATA_SIZE,
    ERROR_FRAME,
    ERROR_STATE,
    EXTENDED,
    FD,
    OWN,
    REMOTE,
    FrameBatch,
    concatenate,
)
from simulators.replay.mdf import (
    ByteArray,
    DataGroup,
    Group,
    decode_number,
    load_variable,
    read_groups,
    read_records,
    read_start_time_ns,
)
from simulators.replay.mdf_blocks import DamagedFileError
from simulators.replay.report import Report
from simulators.replay.rows import EXTENDED_ID_MAX

MAGICS: Final = (b"MDF     ", b"UnFinMF ")
_PEEK_BYTES: Final = 4096
_KINDS: Final = {"CAN_DataFrame": 0, "CAN_RemoteFrame": REMOTE, "CAN_ErrorFrame": ERROR_FRAME}
_BITS: Final = (("IDE", EXTENDED), ("EDL", FD), ("BRS", BIT_RATE_SWITCH), ("ESI", ERROR_STATE), ("RTR", REMOTE))


def read_mf4(path: Path, report: Report) -> Iterator[FrameBatch]:
    """All bus groups in order of time, raw times since the measurement began.

    Damage to the structure raises InputError, damage to a group's records is counted and ends that group.
    Raises OSError.
    """
    with path.open("rb") as file:
        try:
            streams = [_read_data_group(file, data, report) for data in _find_buses(file)]
            yield from _merge(streams)
        except DamagedFileError as exc:
            raise InputError(f"{path}: damaged MF4: {exc}") from exc


def read_start_ns(path: Path) -> int | None:
    """UTC of the first frame, None in a file without frames. Raises InputError or OSError."""
    with path.open("rb") as file:
        try:
            firsts = [first for data in _find_buses(file) if (first := _find_first_ns(file, data)) is not None]
            return read_start_time_ns(file) + min(firsts) if firsts else None
        except DamagedFileError as exc:
            raise InputError(f"{path}: damaged MF4: {exc}") from exc


def _find_first_ns(file: IO[bytes], data: DataGroup) -> int | None:
    try:
        for pieces in read_records(file, data, lambda _: None, read_bytes=_PEEK_BYTES):
            seconds = [group.read_seconds(records)[0] for group, records in pieces if _kind(group) and len(records)]
            if seconds:
                return round(float(min(seconds)) * 1e9)
    except DamagedFileError:
        return None  # said and counted when the frames are read
    return None


def _find_buses(file: IO[bytes]) -> list[DataGroup]:
    """Data groups with at least one group of frames."""
    return [data for data in read_groups(file) if any(_kind(group) for group in data.groups)]


def _kind(group: Group) -> str | None:
    return next((name for name in _KINDS if name in group.channels or f"{name}.ID" in group.channels), None)


def _read_data_group(file: IO[bytes], data: DataGroup, report: Report) -> Iterator[FrameBatch]:
    try:
        for group in data.groups:
            if _kind(group) is not None:
                load_variable(file, group, report.count_bad)
        for pieces in read_records(file, data, report.count_bad):
            kinds = [(group, records, _kind(group)) for group, records in pieces if len(records)]
            batches = [_make_batch(group, records, kind) for group, records, kind in kinds if kind is not None]
            if not batches:
                continue
            batch = concatenate(batches)
            yield batch if len(batches) == 1 else batch[np.argsort(batch.t_ns, kind="stable")]
    except DamagedFileError as exc:
        report.count_bad(str(exc))


def _make_batch(group: Group, records: ByteArray, kind: str) -> FrameBatch:
    """Columns of records uint8[n, record size]. Fields that a logger leaves out count as zero."""
    count = len(records)

    def column(field: str) -> npt.NDArray[np.uint64]:
        channel = group.channels.get(f"{kind}.{field}")
        return np.zeros(count, np.uint64) if channel is None else decode_number(channel, records).astype(np.uint64)

    can_id = column("ID")
    flags = np.full(count, _KINDS[kind], np.uint8)
    for field, bit in (*_BITS, ("Dir", OWN)):
        flags |= np.where(column(field) != 0, np.uint8(bit), np.uint8(0))
    flags |= np.where(can_id & np.uint64(0x8000_0000), np.uint8(EXTENDED), np.uint8(0))  # some keep the IDE bit here
    data = np.zeros((count, DATA_SIZE), np.uint8)
    length = np.zeros(count, np.uint8)
    payload_channel = group.channels.get(f"{kind}.DataBytes")
    if payload_channel is not None and kind == "CAN_DataFrame":
        payload, payload_length = payload_channel.read_bytes(records, DATA_SIZE)
        length = np.minimum(column("DataLength"), payload_length).astype(np.uint8)
        width = payload.shape[1]
        data[:, :width] = np.where(np.arange(width) < length[:, None], payload, np.uint8(0))
    return FrameBatch(
        np.rint(group.read_seconds(records) * 1e9).astype(np.int64),
        (np.clip(column("BusChannel"), 1, 256) - np.uint64(1)).astype(np.uint8),
        (can_id & np.uint64(EXTENDED_ID_MAX)).astype(np.uint32),
        flags,
        length,
        data,
    )


def _merge(streams: list[Iterator[FrameBatch]]) -> Iterator[FrameBatch]:
    """Batches of several groups in one order of time, holding one read of each at most."""
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [(stream, batch) for stream in streams if (batch := next(stream, None)) is not None]
    while heads:
        until_ns = min(int(batch.t_ns.max()) for _, batch in heads)
        ready = concatenate([batch[batch.t_ns <= until_ns] for _, batch in heads])
        yield ready[np.argsort(ready.t_ns, kind="stable")]
        rests = [(stream, batch[batch.t_ns > until_ns]) for stream, batch in heads]
        filled = [(stream, batch if len(batch) else next(stream, None)) for stream, batch in rests]
        heads = [(stream, batch) for stream, batch in filled if batch is not None]
