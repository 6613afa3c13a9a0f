"""The simulated car's engine ECU on a real bus, with the agent's modules: `ecus.py CHANNEL SCENARIO SECONDS`.

As `python -m simulators serve ecus` has it, but the world stands still where it is SECONDS into the scenario, so that
what is true in it can be compared: "ready" and that, as JSON, is said first. The values are also DIDs: F4xx is PID xx
of service 01.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Final

import numpy as np

from agent.core import vss
from agent.proto import obd, uds
from simulators.ecu import Faults
from simulators.serve_bus import DiagnosticEcu, serve_ecus
from simulators.world import Drive, load_scenario, simulate

VIN: Final = "LRDVMGUEST0000042"
_SEED: Final = 7
_TOLD: Final = {
    "speed_kmh": vss.SPEED,
    "engine_rpm": vss.ENGINE_SPEED,
    "coolant_c": vss.COOLANT_TEMPERATURE,
    "air_gps": vss.MASS_AIR_FLOW,
}
_PIDS: Final = b"\xf4"
_NEGATIVE: Final = 0x7F
_OUT_OF_RANGE: Final = 0x31


class WorldEcu(DiagnosticEcu):
    """The served ECU, which also has the values of service 01 as DIDs, and gives several at once."""

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        if request[:1] != bytes([uds.READ_DATA]):
            return super().answer(request)
        body = b""
        for at in range(1, len(request), 2):
            did = request[at : at + 2]
            reply = self._read_pid(did[1:]) if did[:1] == _PIDS else super().answer(request[:1] + did)
            if not reply or reply[0] == _NEGATIVE:
                return bytes([_NEGATIVE, uds.READ_DATA, _OUT_OF_RANGE])
            body += did + reply[3:]
        return bytes([uds.READ_DATA + 0x40]) + body

    def _read_pid(self, pid: bytes) -> bytes | None:
        """As long a head as an answer to 22 has."""
        reply = super().answer(bytes([obd.CURRENT_DATA]) + pid)
        return reply and b"\0" + reply


def look_at(drive: Drive, t_s: float) -> tuple[Mapping[str, float], list[str]]:
    """What the car's sensors have at this moment, by VSS path, and the DTCs that are stored by then."""
    t_ns = round(t_s * 1e9)
    values = {
        path: float(values[np.searchsorted(times_ns, t_ns, "right") - 1])
        for path, (times_ns, values) in drive.signals.items()
    }
    told = [one.details for one in drive.truth if one.kind == "dtc" and one.t_ns <= t_ns]
    return values, [str(dtc["code"]) for dtc in told if dtc["state"] == "confirmed"]


def main(channel: str, scenario: str, seconds: str) -> None:
    """See the top of this file."""
    values, codes = look_at(simulate(load_scenario(scenario), _SEED), float(seconds))
    told = json.dumps({"vin": VIN, "dtcs": codes, **{name: values[path] for name, path in _TOLD.items()}})
    ecu = WorldEcu(lambda: values, vin=VIN, faults=Faults(stored=codes))
    asyncio.run(serve_ecus(ecu, "socketcan", channel, on_ready=lambda: say(f"ready {told}")))


def say(line: str) -> None:
    """At once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
