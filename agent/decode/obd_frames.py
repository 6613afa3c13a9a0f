"""OBD-II answers that fit one CAN frame, as virtual messages keyed by (identifier, length, 41, PID).

Service 01 answers as single frames of ISO 15765-2: byte 0 = 0L, byte 1 = 41, byte 2 = PID, data from byte 3. Where a
frame answers several PIDs the first one decodes; answers over several frames are the ISO-TP path's work.
Source: the public descriptions of SAE J1979 and ISO 15765-4 (the standards' texts were not read).
"""

import math
from collections.abc import Container, Iterator, Sequence
from typing import Final

from agent.core.frames import EXTENDED_KEY
from agent.core.signals import SignalCatalog, SignalSpec
from agent.decode.layout import Field, Graph, Node
from agent.proto.obd import CURRENT_DATA, PidSpec

_HEADER: Final = 3  # length, service, PID
_STALE_AFTER_S: Final = 5.0  # a scan tool polls slow values seconds apart
_LENGTH: Final = Field(label="OBD.Length", first_bit=0, length=8, big_endian=True)
_SERVICE_AND_PID: Final = Field(label="OBD.Pid", first_bit=8, length=16, big_endian=True)


def obd_keys() -> Iterator[int]:
    """Keys of the frames ECUs answer in: 7E8-7EF, and 18DAF1xx (physical, to the tester F1)."""
    yield from range(0x7E8, 0x7F0)
    yield from (EXTENDED_KEY | 0x18DAF100 | ecu for ecu in range(256))


def add_obd(graph: Graph, pids: Sequence[PidSpec], catalog: SignalCatalog, *, without: Container[str] = ()) -> None:
    """Add the PIDs of service 01 to the graph, but those whose path is in `without` (a mapping gives it already)."""
    fields: dict[int, list[Field]] = {}
    for spec in pids:
        if spec.service != CURRENT_DATA or spec.byte_count > 8 - _HEADER or spec.path in without:
            continue
        if spec.present_bit is not None:
            continue  # a field has no condition, and an absent sensor must not pass for one at -40 degrees
        number = catalog.add(SignalSpec(spec.path, spec.unit, spec.minimum, spec.maximum, _STALE_AFTER_S))
        fields.setdefault(spec.pid, []).append(_field(spec, number))
    by_length = {}
    for length in range(_HEADER, 8):
        # The frame is often padded to 8 bytes, so its own length byte says which data are there.
        layouts = {pid: [f for f in those if f.last_byte <= length] for pid, those in fields.items()}
        cases = {
            (CURRENT_DATA + 0x40) << 8 | pid: graph.add(Node(tuple(those))) for pid, those in layouts.items() if those
        }
        by_length[length] = graph.add(Node((), selector=_SERVICE_AND_PID, cases=cases))
    root = graph.add(Node((), selector=_LENGTH, cases=by_length))
    graph.roots.update(dict.fromkeys(obd_keys(), root))


def _field(spec: PidSpec, number: int) -> Field:
    return Field(
        label=spec.name or f"PID {spec.pid:02X}",
        first_bit=8 * _HEADER + spec.bit_start,
        length=spec.bit_length,
        big_endian=True,
        signed=spec.signed,
        scale=spec.scale,
        offset=spec.offset,
        number=number,
        minimum=spec.minimum if math.isfinite(spec.minimum) else None,
        maximum=spec.maximum if math.isfinite(spec.maximum) else None,
    )
