"""Frames as an ASAM MF4 bus log, whole columns at once.

Blocks and channel names follow ASAM MDF 4.1 and its bus-logging standard, as CANedge writes them; no conformity is
claimed beyond what asammdf and python-can open. It is written here and not by asammdf, so that the same frames give the
same bytes and exporting needs nothing beyond the daemon's own libraries.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch

_CLASSIC_BYTES: Final = 8
_FLAG_FIELDS: Final = {"IDE": EXTENDED, "Dir": OWN, "EDL": FD, "BRS": BIT_RATE_SWITCH, "ESI": ERROR_STATE}
_CODES: Final = np.array([*range(9), 12, 16, 20, 24, 32, 48, 64])  # payload bytes by DLC
_UNSIGNED, _FLOAT, _BYTES = 0, 4, 10  # channel data types, little endian
_VALUE, _MASTER = 0, 2  # channel types
_TIME: Final = 1
_BUS_SOURCE, _CAN = 2, 2
_GROUP_OF_BUS_EVENTS: Final = 0b110  # bus event, plain: times and payloads as on the bus
_CHANNEL_OF_BUS_EVENT: Final = 1 << 10
_HEADER_AT: Final = 64


def write_mf4(path: Path, frames: FrameBatch, *, start_ns: int) -> None:
    """One channel group for data, remote and error frames each, of those that occur. start_ns: UTC of t_ns 0.

    Raises OSError.
    """
    kinds = {
        "CAN_DataFrame": (frames.flags & (REMOTE | ERROR_FRAME)) == 0,
        "CAN_RemoteFrame": (frames.flags & (REMOTE | ERROR_FRAME)) == REMOTE,
        "CAN_ErrorFrame": (frames.flags & ERROR_FRAME) != 0,
    }
    blocks = _Blocks()
    following = 0
    for kind, rows in reversed(kinds.items()):
        if rows.any() or kind == "CAN_DataFrame":
            following = _add_group(blocks, kind, _records(kind, frames[rows]), following)
    path.write_bytes(blocks.finish(following, start_ns))


def _records(kind: str, frames: FrameBatch) -> npt.NDArray[np.void]:
    """One row a frame; each field takes whole bytes, which every reader finds easiest."""
    size = _CLASSIC_BYTES if not (frames.flags & FD).any() else frames.data.shape[1]
    fields = [("Timestamp", "<f8"), ("BusChannel", "u1"), ("ID", "<u4"), ("DLC", "u1"), ("DataLength", "u1")]
    fields += [(name, "u1") for name in _FLAG_FIELDS]
    layout = np.dtype([*fields, ("DataBytes", "u1", (size,))])
    records = np.zeros(len(frames), layout)
    records["Timestamp"] = frames.t_ns / 1e9
    records["BusChannel"] = frames.bus + 1
    records["ID"] = frames.can_id
    records["DLC"] = np.searchsorted(_CODES, frames.length)
    if kind == "CAN_DataFrame":
        records["DataLength"] = frames.length
        records["DataBytes"] = frames.data[:, :size]
    for name, flag in _FLAG_FIELDS.items():
        records[name] = (frames.flags & flag) != 0
    return records


def _add_group(blocks: "_Blocks", kind: str, records: npt.NDArray[np.void], following: int) -> int:
    """Address of a data group with these records."""
    layout = records.dtype
    assert layout.fields is not None  # noqa: S101  # mypy: a structured dtype has them
    parts = 0
    for name, (field, at, *_) in reversed([*layout.fields.items()]):
        if name != "Timestamp":
            code = _BYTES if name == "DataBytes" else _UNSIGNED
            parts = blocks.channel(f"{kind}.{name}", at, field.itemsize, code=code, following=parts, of_bus=True)
    frame = blocks.channel(kind, 8, layout.itemsize - 8, code=_BYTES, parts=parts, of_bus=True)
    time = blocks.channel("Timestamp", 0, 8, code=_FLOAT, following=frame, kind=_MASTER, unit="s")
    source = blocks.add(b"##SI", [blocks.text("CAN"), blocks.text("CAN"), 0], bytes([_BUS_SOURCE, _CAN, 0]) + bytes(5))
    shape = struct.pack("<QQHH4xII", 0, len(records), _GROUP_OF_BUS_EVENTS, ord("."), layout.itemsize, 0)
    group = blocks.add(b"##CG", [0, time, blocks.text("CAN"), source, 0, 0], shape)
    data = blocks.add(b"##DT", [], records.tobytes())
    return blocks.add(b"##DG", [following, group, data, 0], bytes(8))


class _Blocks:
    """Blocks one after the other, each at a multiple of eight; a link is an address known already."""

    def __init__(self) -> None:
        self._content = bytearray(struct.pack("<8s8s8s4xH30xHH", b"MDF     ", b"4.10    ", b"outrider", 410, 0, 0))
        self._content += bytes(104)  # the header block comes last, when its links are known

    def add(self, kind: bytes, links: Sequence[int], data: bytes) -> int:
        self._content += bytes(-len(self._content) % 8)
        address = len(self._content)
        size = 24 + 8 * len(links) + len(data)
        self._content += struct.pack(f"<4s4xQQ{len(links)}Q", kind, size, len(links), *links) + data
        return address

    def text(self, value: str, kind: bytes = b"##TX") -> int:
        data = value.encode() + b"\0"
        return self.add(kind, [], data + bytes(-len(data) % 8))

    def channel(
        self,
        name: str,
        at: int,
        size: int,
        *,
        code: int,
        following: int = 0,
        parts: int = 0,
        kind: int = _VALUE,
        unit: str = "",
        of_bus: bool = False,
    ) -> int:
        """A channel of `size` bytes at byte `at` of its record."""
        flags = _CHANNEL_OF_BUS_EVENT if of_bus else 0
        sync = _TIME if kind == _MASTER else 0
        data = struct.pack("<BBBBIIIIBxH6d", kind, sync, code, 0, at, size * 8, flags, 0, 0, 0, *[0.0] * 6)
        links = [following, parts, self.text(name), 0, 0, 0, self.text(unit) if unit else 0, 0]
        return self.add(b"##CN", links, data)

    def finish(self, first_group: int, start_ns: int) -> bytes:
        """The whole file."""
        note = "<FHcomment><TX>export</TX><tool_id>simulators</tool_id><tool_vendor>outrider</tool_vendor>"
        note += "<tool_version>1</tool_version></FHcomment>"
        history = self.add(b"##FH", [0, self.text(note, b"##MD")], struct.pack("<QhhB3x", start_ns, 0, 0, 0))
        header = struct.pack("<4s4xQQ6Q", b"##HD", 104, 6, first_group, history, 0, 0, 0, 0)
        header += struct.pack("<QhhBBBBdd", start_ns, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
        self._content[_HEADER_AT : _HEADER_AT + len(header)] = header
        return bytes(self._content)
