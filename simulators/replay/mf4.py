"""ASAM MF4 bus logs through asammdf, a column at a time: what CANedge and most loggers write."""

import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

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
from simulators.replay.report import Report
from simulators.replay.rows import EXTENDED_ID_MAX

MAGICS: Final = (b"MDF     ", b"UnFinMF ")
_ID_BYTES: Final = 64
_UNFINISHED_AT: Final = 60  # offset of the standard flags for unfinalized files
_LAST_DATA_LIST_OPEN: Final = 1 << 4  # asammdf loops for ever over more than one list
_RECORDS_MAX: Final = 1 << 16  # per group and read: about 6 MB of columns
_KINDS: Final = {"CAN_DataFrame": 0, "CAN_RemoteFrame": REMOTE, "CAN_ErrorFrame": ERROR_FRAME}
_BITS: Final = (("IDE", EXTENDED), ("EDL", FD), ("BRS", BIT_RATE_SWITCH), ("ESI", ERROR_STATE), ("RTR", REMOTE))
# What asammdf raises for damaged files: it trusts the offsets and sizes in them.
_DAMAGE: Final = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


def read_mf4(path: Path, report: Report) -> Iterator[FrameBatch]:
    """All bus groups in order of time, raw times since the measurement began. Raises InputError or OSError."""
    with _open(path) as mdf:
        yield from _merge([_read_group(mdf, group, name, report) for group, name in _find_groups(mdf)])


def read_start_ns(path: Path) -> int | None:
    """UTC of the first frame, None in a file without frames. Raises InputError or OSError."""
    with _open(path) as mdf:
        try:
            firsts = [float(mdf.get_master(group, record_count=1)[0]) for group, _ in _find_groups(mdf)]
            start_ns = round(mdf.header.start_time.timestamp() * 1e9)
        except _DAMAGE as exc:
            raise _damaged(path, exc) from exc
    return start_ns + round(min(firsts) * 1e9) if firsts else None


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """An asammdf MDF4 over a file that is ours, which it neither changes nor leaves open."""
    try:
        from asammdf.blocks.mdf_v4 import MDF4  # noqa: PLC0415 - an optional extra, and 0.8 s to import
        from asammdf.blocks.utils import MdfException  # noqa: PLC0415 - goes with it
    except ImportError as exc:
        raise InputError(f"{path}: reading MF4 needs asammdf: pip install outrider[mf4]") from exc

    class Mdf(MDF4):  # type: ignore[misc]  # it ships no types
        def __del__(self) -> None:
            """Its own raises where a damaged file ended the constructor half way, and Python prints that."""
            if scratch := vars(self).get("_tempfile"):
                scratch.close()

    with _open_finalizable(path) as file:
        try:
            mdf = Mdf(file, __internal__=True, original_name=None)  # what its wrapper passes on
        except (MdfException, *_DAMAGE) as exc:
            raise _damaged(path, exc) from exc
        try:
            yield mdf
        finally:
            mdf.close()


@contextmanager
def _open_finalizable(path: Path) -> Iterator[IO[bytes]]:
    """The file itself, or a copy if the logger was cut off before it finished the file: asammdf mends it in place."""
    with path.open("rb") as file:
        head = file.read(_ID_BYTES).ljust(_ID_BYTES, b"\0")
        file.seek(0)
        (unfinished,) = struct.unpack_from("<H", head, _UNFINISHED_AT)
        if head[8:9] != b"4":
            raise InputError(f"{path}: MDF version {head[8:16].decode('latin-1').strip()!r}, only 4.x is read")
        if not head.startswith(MAGICS[1]):
            yield file
            return
        if unfinished & _LAST_DATA_LIST_OPEN:
            raise InputError(f"{path}: MF4 not finalized (flags {unfinished:#x}): finalize it with the logger's tool")
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield copy


def _damaged(path: Path, exc: BaseException) -> InputError:
    return InputError(f"{path}: damaged MF4: {exc or type(exc).__name__}")


def _find_groups(mdf: Any) -> list[tuple[int, str]]:
    """(group index, kind of frame) of the groups that hold frames."""
    return [
        (index, channel.name)
        for index, group in enumerate(mdf.groups)
        for channel in group.channels
        if channel.name in _KINDS and group.channel_group.cycles_nr
    ]


def _read_group(mdf: Any, group: int, name: str, report: Report) -> Iterator[FrameBatch]:
    total = mdf.groups[group].channel_group.cycles_nr
    for offset in range(0, total, _RECORDS_MAX):
        try:
            signal = mdf.get(name, group=group, raw=True, record_offset=offset, record_count=_RECORDS_MAX)
            batch = _make_batch(signal.samples, signal.timestamps, name)
        except _DAMAGE:
            report.count_bad(f"group {group}, record {offset}")
            return
        if len(batch) < min(_RECORDS_MAX, total - offset):
            report.count_bad(f"group {group}, record {offset + len(batch)}")
        if len(batch) == 0:
            return
        yield batch


def _make_batch(samples: Any, seconds: npt.NDArray[np.float64], name: str) -> FrameBatch:
    """Columns of one group's records. Fields a logger leaves out count as zero."""
    count = len(samples)
    fields = {field.rpartition(".")[2]: field for field in samples.dtype.names}

    def column(field: str) -> npt.NDArray[np.uint32]:
        if field not in fields:
            return np.zeros(count, np.uint32)
        values: npt.NDArray[Any] = samples[fields[field]]
        if values.dtype.kind in "SUO":  # some loggers write Dir as text
            return np.array([value in ("Tx", b"Tx") for value in values], np.uint32)
        return values.astype(np.uint32)

    flags = np.full(count, _KINDS[name], np.uint8)
    for field, bit in (*_BITS, ("Dir", OWN)):
        flags |= np.where(column(field) != 0, np.uint8(bit), np.uint8(0))
    can_id = column("ID")
    flags |= np.where(can_id >> np.uint32(31) != 0, np.uint8(EXTENDED), np.uint8(0))
    data = np.zeros((count, DATA_SIZE), np.uint8)
    length = np.zeros(count, np.uint8)
    if "DataBytes" in fields and name == "CAN_DataFrame":
        payload = samples[fields["DataBytes"]].reshape(count, -1)[:, :DATA_SIZE]
        length = np.minimum(column("DataLength"), payload.shape[1]).astype(np.uint8)
        data[:, : payload.shape[1]] = payload
        data[np.arange(DATA_SIZE) >= length[:, None]] = 0
    bus = np.clip(column("BusChannel").astype(np.int64) - 1, 0, 255).astype(np.uint8)
    t_ns = np.rint(seconds * 1e9).astype(np.int64)
    return FrameBatch(t_ns, bus, can_id & np.uint32(EXTENDED_ID_MAX), flags, length, data)


def _merge(groups: list[Iterator[FrameBatch]]) -> Iterator[FrameBatch]:
    """Batches of several groups in one order of time, holding one read of each at most."""
    if len(groups) == 1:
        yield from groups[0]
        return
    heads = [(group, batch) for group in groups if (batch := next(group, None)) is not None]
    while heads:
        until_ns = min(int(batch.t_ns.max()) for _, batch in heads)
        ready = concatenate([batch[batch.t_ns <= until_ns] for _, batch in heads])
        yield ready[np.argsort(ready.t_ns, kind="stable")]
        rests = [(group, batch[batch.t_ns > until_ns]) for group, batch in heads]
        filled = [(group, batch if len(batch) else next(group, None)) for group, batch in rests]
        heads = [(group, batch) for group, batch in filled if batch is not None]
