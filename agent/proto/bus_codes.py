"""Trouble codes heard on a bus: what trucks tell by themselves (DM1), and what cars answer when somebody asks them.

Sources: as for j1939_dm.py, obd.py and uds.py. Nothing is sent. Answers are believed only within seconds of a request
for codes, since any frame may look like one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ProtocolError
from agent.core.frames import EXTENDED, REFUSED, FrameBatch
from agent.core.trouble import CodeReading
from agent.proto import obd, uds
from agent.proto.isotp import Reassembler
from agent.proto.j1939 import PGN_CONNECTION, PGN_DATA, PGN_DM1, Transport
from agent.proto.j1939_dm import parse_diagnosis
from agent.proto.uds import DtcStatus

_ASKED_NS: Final = 5 * 10**9
_ANSWER: Final = 0x40
_OBD: Final = (obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS)
_ANSWERS: Final = frozenset(bytes([service + _ANSWER]) for service in (*_OBD, uds.READ_DTCS))
_OPEN_MAX: Final = 32

Rows = npt.NDArray[np.bool_]


class TruckCodes:
    """Active faults of DM1 messages, short or long, by source address. They may flicker: a reading is not sure."""

    def __init__(self) -> None:
        self.bad = 0
        self._transport = Transport()

    def feed(self, batch: FrameBatch) -> list[CodeReading]:
        """Readings of the messages that end in this batch."""
        pgn = batch.can_id >> 8 & 0x3FFFF
        carries = (pgn == PGN_DM1) | np.isin(pgn & 0x3FF00, (PGN_CONNECTION, PGN_DATA))
        found = []
        for row in np.flatnonzero(carries & _is(batch, EXTENDED) & _usable(batch)).tolist():
            data, t_ns = _payload(batch, row), int(batch.t_ns[row])
            try:
                message = self._transport.feed(int(batch.can_id[row]), data, t_ns)
                if message is not None and message.pgn == PGN_DM1:
                    found.append(_truck_reading(message.source, message.data, t_ns))
            except ProtocolError:
                self.bad += 1
        return found


class CarCodes:
    """Answers to services 03, 07, 0A and to 19 02, by the identifier that sends them."""

    def __init__(self) -> None:
        self.bad = 0
        self._reassembler = Reassembler(senders_max=_OPEN_MAX)
        self._asked_ns: int | None = None
        self._open: set[int] = set()  # senders whose answer goes on

    def feed(self, batch: FrameBatch) -> list[CodeReading]:
        """Readings of the answers that end in this batch."""
        found = []
        for row in np.flatnonzero(_diagnostic(batch) & _usable(batch)).tolist():
            t_ns, sender, data = int(batch.t_ns[row]), int(batch.can_id[row]), _payload(batch, row)
            if _asks_for_codes(data):
                self._asked_ns = t_ns
            elif self._asked_ns is not None and t_ns - self._asked_ns <= _ASKED_NS:
                reading = self._answer(sender, data, t_ns)
                found += [reading] if reading is not None else []
        return found

    def _answer(self, sender: int, data: bytes, t_ns: int) -> CodeReading | None:
        kind = data[0] >> 4
        begins = kind < 2 and data[kind + 1 : kind + 2] in _ANSWERS
        if not begins and not (kind == 2 and sender in self._open):
            return None
        try:
            message = self._reassembler.feed(sender, data, t_ns).message
            if message is not None:
                self._open.discard(sender)
                return _car_reading(sender, message, t_ns)
        except ProtocolError:
            self.bad += 1
            self._open.discard(sender)
            return None
        if len(self._open) < _OPEN_MAX:
            self._open.add(sender)
        return None


def _truck_reading(source: int, data: bytes, t_ns: int) -> CodeReading:
    diagnosis = parse_diagnosis(data)
    codes = tuple(f"SPN {fault.spn} FMI {fault.fmi}" for fault in diagnosis.faults)
    return CodeReading(source=f"j1939:{source:02X}", t_ns=t_ns, stored=codes, sure=False, stop=diagnosis.stop.is_on)


def _car_reading(sender: int, message: bytes, t_ns: int) -> CodeReading | None:
    """Of UDS only what is there is told: who asks chooses which codes are listed. Raises ProtocolError."""
    source, service = f"bus:{sender:X}", message[0] - _ANSWER
    if service in _OBD:
        codes = tuple(obd.parse_dtcs(message, service))
        lists = [codes if service == listed else None for listed in _OBD]
        return CodeReading(source=source, t_ns=t_ns, stored=lists[0], pending=lists[1], permanent=lists[2])
    if message[1:2] != bytes([uds.DTCS_BY_STATUS]):
        return None
    dtcs = uds.parse_dtcs(uds.Positive(uds.READ_DTCS, message[1:]))
    stored = tuple(dtc.text for dtc in dtcs if dtc.status & DtcStatus.CONFIRMED)
    pending = tuple(dtc.text for dtc in dtcs if dtc.status & DtcStatus.PENDING and dtc.text not in stored)
    return CodeReading(source=source, t_ns=t_ns, stored=stored, pending=pending, whole=False)


def _asks_for_codes(data: bytes) -> bool:
    """A single frame that asks for codes: 01 03, 01 07, 01 0A or 03 19 02 mask."""
    request = data[1 : 1 + data[0]] if data[0] < 8 else b""
    return (len(request) == 1 and request[0] in _OBD) or (len(request) == 3 and request[:2] == b"\x19\x02")


def _diagnostic(batch: FrameBatch) -> Rows:
    """Identifiers of diagnostics: 700 to 7FF, and 18DA.... and 18DB.... with 29 bits."""
    short = ~_is(batch, EXTENDED) & (batch.can_id >= 0x700) & (batch.can_id <= 0x7FF)
    return short | (_is(batch, EXTENDED) & np.isin(batch.can_id >> 16, (0x18DA, 0x18DB)))


def _usable(batch: FrameBatch) -> Rows:
    return np.asarray(((batch.flags & REFUSED) == 0) & (batch.length > 0), np.bool_)


def _is(batch: FrameBatch, flag: int) -> Rows:
    return np.asarray((batch.flags & flag) != 0, np.bool_)


def _payload(batch: FrameBatch, row: int) -> bytes:
    return batch.data[row, : int(batch.length[row])].tobytes()
