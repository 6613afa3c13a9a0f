"""ECUs and trucks on a python-can bus: J1979 and UDS answered from the moving car, and its J1939 broadcasts."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import can

from agent.core.errors import SourceLost
from agent.core.frames import Frame
from agent.proto import obd, uds
from simulators.can import open_bus
from simulators.ecu import CanEcu, Ecu
from simulators.serve_text import j1939_frames, j1939_lamps

_POLL_S: Final = 0.005
_J1939_S: Final = 0.1
_LAMPS_EVERY: Final = 10  # DM1 once a second
_TESTER_PRESENT: Final = 0x3E
_OUT_OF_RANGE: Final = 0x31
_SUB_FUNCTION_NOT_SUPPORTED: Final = 0x12
_VIN_DID: Final = 0xF190


class DiagnosticEcu(Ecu):
    """The J1979 ECU that also answers UDS: its VIN (22 F190), its DTCs (19 01, 02, 0A), tester present (3E)."""

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        if request[:1] == bytes([_TESTER_PRESENT]):
            return None if request[1:2] == b"\x80" else bytes([_TESTER_PRESENT + 0x40, 0])
        if request[:1] == bytes([uds.READ_DATA]):
            if request[1:] == _VIN_DID.to_bytes(2, "big"):
                return bytes([uds.READ_DATA + 0x40]) + request[1:] + self.vin.encode("ascii")
            return bytes([0x7F, uds.READ_DATA, _OUT_OF_RANGE])
        if request[:1] == bytes([uds.READ_DTCS]):
            return self._answer_dtcs(request[1:])
        return super().answer(request)

    def _answer_dtcs(self, parameters: bytes) -> bytes:
        kind, mask = parameters[:1], parameters[1] if len(parameters) > 1 else 0xFF
        faults = self.faults() if callable(self.faults) else self.faults
        status = dict.fromkeys(faults.pending, uds.DtcStatus.PENDING | uds.DtcStatus.TEST_FAILED)
        status |= dict.fromkeys(faults.stored, uds.DtcStatus.CONFIRMED | uds.DtcStatus.TEST_FAILED)
        dtcs = [uds.Dtc(int.from_bytes(obd.encode_dtc(code)) << 8, flags) for code, flags in status.items()]
        chosen = [dtc for dtc in dtcs if dtc.status & mask]
        if kind == bytes([uds.COUNT_BY_STATUS]):
            return bytes([uds.READ_DTCS + 0x40, uds.COUNT_BY_STATUS, 0xFF, 0x00]) + len(chosen).to_bytes(2, "big")
        if kind == bytes([uds.DTCS_BY_STATUS]):
            return uds.encode_dtcs(chosen)
        if kind == bytes([uds.SUPPORTED_DTCS]):
            return uds.encode_dtcs(dtcs, kind=uds.SUPPORTED_DTCS)
        return bytes([0x7F, uds.READ_DTCS, _SUB_FUNCTION_NOT_SUPPORTED])


async def serve_ecus(ecu: Ecu, interface: str, channel: str, *, on_ready: Callable[[], None]) -> None:
    """Answer testers on this bus until cancelled. Raises SourceLost where there is none, or it is lost."""
    bus = open_bus(interface, channel)
    chip = CanEcu(ecu)
    on_ready()
    try:
        while True:
            while (message := bus.recv(0)) is not None:
                if message.is_extended_id or message.is_error_frame or message.is_remote_frame:
                    continue
                frame = Frame(time.monotonic_ns(), message.arbitration_id, bytes(message.data))
                _send(bus, [(answer.can_id, answer.data) for answer in chip.receive(frame)], extended=False)
            due = chip.poll(time.monotonic_ns())
            _send(bus, [(answer.can_id, answer.data) for answer in due], extended=False)
            await asyncio.sleep(_POLL_S)
    except (can.CanError, OSError) as exc:
        raise SourceLost(f"{interface}:{channel}: {exc}") from exc
    finally:
        bus.shutdown()


async def serve_j1939(
    values: Callable[[], Mapping[str, float]], interface: str, channel: str, *, on_ready: Callable[[], None]
) -> None:
    """Broadcast the car as a truck would, until cancelled. Raises SourceLost."""
    bus = open_bus(interface, channel)
    on_ready()
    beat = 0
    try:
        while True:
            now = values()
            _send(bus, j1939_frames(now) + ([] if beat % _LAMPS_EVERY else [j1939_lamps(now)]), extended=True)
            beat += 1
            await asyncio.sleep(_J1939_S)
    except (can.CanError, OSError) as exc:
        raise SourceLost(f"{interface}:{channel}: {exc}") from exc
    finally:
        bus.shutdown()


def _send(bus: can.BusABC, frames: "list[tuple[int, bytes]]", *, extended: bool) -> None:
    for can_id, data in frames:
        bus.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=extended))
