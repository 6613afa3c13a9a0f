"""The simulated car's engine ECU on a real bus, with the agent's modules: `ecus.py CHANNEL SCENARIO SECONDS`.

The world stands still where it is SECONDS into the scenario. Says "ready" and what is true there, as JSON, then answers
until it is ended: J1979 as simulators/ecu.py does, and of UDS the reading that asks for the same facts: 22 with DID
F190 (VIN) and F4xx (PID xx of service 01), 19 01 and 19 02.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import can
import numpy as np

from agent.core import vss
from agent.core.frames import Frame
from agent.proto import obd, uds
from simulators.ecu import CanEcu, Ecu, Faults, Values
from simulators.world import Drive, load_scenario, simulate

VIN: Final = "LRDVMGUEST0000042"
_SEED: Final = 7
_TOLD: Final = {
    "speed_kmh": vss.SPEED,
    "engine_rpm": vss.ENGINE_SPEED,
    "coolant_c": vss.COOLANT_TEMPERATURE,
    "air_gps": vss.MASS_AIR_FLOW,
}
_VIN_DID: Final = 0xF190
_PIDS_DID: Final = 0xF400
_STATUS: Final = uds.DtcStatus.CONFIRMED | uds.DtcStatus.TEST_FAILED
_OUT_OF_RANGE: Final = 0x31
_POSITIVE: Final = 0x40
_PATIENCE_S: Final = 0.5


class UdsEcu(Ecu):
    """An ECU that has two ways to say the same. codes: its stored DTCs."""

    def __init__(self, values: Values, *, vin: str, codes: Sequence[str]) -> None:
        super().__init__(values, vin=vin, faults=Faults(stored=codes))
        self._codes = codes

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        if request[:1] == bytes([uds.READ_DATA]) and len(request) % 2:
            return self._read([int.from_bytes(request[at : at + 2], "big") for at in range(1, len(request), 2)])
        if request[:1] == bytes([uds.READ_DTCS]) and len(request) == 3:
            dtcs = [obd.encode_dtc(code) + bytes([0, _STATUS]) for code in self._codes if request[2] & _STATUS]
            head = bytes([uds.READ_DTCS + _POSITIVE, request[1], _STATUS])
            if request[1] == uds.COUNT_BY_STATUS:
                return head + b"\0" + len(dtcs).to_bytes(2, "big")
            if request[1] == uds.DTCS_BY_STATUS:
                return head + b"".join(dtcs)
        return super().answer(request)

    def _read(self, dids: Sequence[int]) -> bytes:
        body = b""
        for did in dids:
            reply = self.vin.encode() if did == _VIN_DID else self._read_pid(did)
            if not reply:
                return bytes([0x7F, uds.READ_DATA, _OUT_OF_RANGE])
            body += did.to_bytes(2, "big") + reply
        return bytes([uds.READ_DATA + _POSITIVE]) + body

    def _read_pid(self, did: int) -> bytes:
        reply = super().answer(bytes([obd.CURRENT_DATA, did & 0xFF])) if did & 0xFF00 == _PIDS_DID else None
        return (reply or b"")[2:]


def look_at(drive: Drive, t_s: float) -> tuple[Mapping[str, float], list[str]]:
    """What the car's sensors have at this moment, by VSS path, and the DTCs that are stored by then."""
    t_ns = round(t_s * 1e9)
    values = {
        path: float(values[np.searchsorted(times_ns, t_ns, "right") - 1])
        for path, (times_ns, values) in drive.signals.items()
    }
    told = [one.details for one in drive.truth if one.kind == "dtc" and one.t_ns <= t_ns]
    return values, [str(dtc["code"]) for dtc in told if dtc["state"] == "confirmed"]


def serve(bus: can.BusABC, ecu: CanEcu) -> None:
    """Until the process is ended."""
    while True:
        now_ns = time.monotonic_ns()
        due_s = _PATIENCE_S if ecu.next_ns is None else max(0.0, (ecu.next_ns - now_ns) / 1e9)
        message = bus.recv(due_s)
        now_ns = time.monotonic_ns()
        frames = ecu.poll(now_ns)
        if message is not None and not message.is_extended_id and not message.is_error_frame:
            frames = [*frames, *ecu.receive(Frame(now_ns, message.arbitration_id, bytes(message.data)))]
        for frame in frames:
            bus.send(can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False))


def main(channel: str, scenario: str, seconds: str) -> None:
    """See the top of this file."""
    values, codes = look_at(simulate(load_scenario(scenario), _SEED), float(seconds))
    told = {"vin": VIN, "dtcs": codes, **{name: values[path] for name, path in _TOLD.items()}}
    with can.Bus(interface="socketcan", channel=channel) as bus:
        sys.stdout.write(f"ready {json.dumps(told)}\n")
        sys.stdout.flush()
        serve(bus, CanEcu(UdsEcu(lambda: values, vin=VIN, codes=codes)))


if __name__ == "__main__":
    main(*sys.argv[1:])
