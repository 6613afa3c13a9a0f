"""Checks of the simulated ECUs by clients that others made: can-utils, the kernel's ISO-TP, can-isotp, udsoncan."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .box import FILES, SCRATCH, CheckSkipped, expect, helper, interface_frames, packaged, run, wait_for
from .reader import BUS, MTU, bus_of

_SCENARIO: Final = ("misfire", "70")
_LOG: Final = SCRATCH / "clients.log"
_STEPS: Final = {"speed_kmh": 1.0, "engine_rpm": 0.25, "coolant_c": 1.0, "air_gps": 0.01}  # of SAE J1979


def candump_shows_every_frame(_: Path) -> str:
    """The VIN asked for by hand: request, first frame, our flow control, two consecutive frames; nothing else."""
    with _car() as world:
        message = bytes([0x49, 0x02, 0x01]) + world["vin"].encode()
        first = f"7E8#{(bytes([0x10, len(message)]) + message[:6]).hex().upper()}"
        rest = [f"7E8#{(bytes([0x21 + n]) + message[6 + 7 * n : 13 + 7 * n]).hex().upper()}" for n in range(2)]
        run("cansend", BUS, "7DF#0209020000000000")
        wait_for("first frame", lambda: len(_dumped()) >= 2, limit_s=5)
        run("cansend", BUS, "7E0#3000000000000000")
        wait_for("consecutive frames", lambda: len(_dumped()) >= 5, limit_s=5)
        run("cansend", BUS, "7E1#0209020000000000")  # another ECU's, as is this one's own answer
        run("cansend", BUS, "7E8#0209020000000000")
        wait_for("frames of others", lambda: len(_dumped()) >= 7, limit_s=5)
    wanted = ["7DF#0209020000000000", first, "7E0#3000000000000000", *rest]
    wanted += ["7E1#0209020000000000", "7E8#0209020000000000"]
    expect(true=_dumped() == wanted, otherwise=f"candump saw {_dumped()}, not {wanted}")
    return f"{world['vin']} in exactly these frames: {' '.join(wanted[:5])}"


def isotp_tools_read_vin(_: Path) -> str:
    """The kernel's ISO-TP and the car as anybody can serve it, driving, its frames on the same bus.

    isotpsend asks, isotprecv puts the answer together, isotpdump names every frame.
    """
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP).close()
    except OSError as exc:
        raise CheckSkipped("this kernel has no CAN_ISOTP") from exc
    seen = SCRATCH / "isotpdump.log"
    answer = SCRATCH / "isotprecv.log"
    served = SCRATCH / "served.log"
    vin = run(*packaged("-c", "from simulators.ecu import Ecu; print(Ecu(dict).vin)")).strip()
    serve = packaged("-m", "simulators", "serve", f"can=socketcan:{BUS}", f"ecus=socketcan:{BUS}", "--repeat")
    with (
        bus_of(MTU),
        helper(serve, log=served),
        helper(["stdbuf", "-oL", "isotpdump", "-s", "7E0", "-d", "7E8", BUS], log=seen),
        helper(["isotprecv", "-s", "7E0", "-d", "7E8", BUS], log=answer) as receiving,
    ):
        wait_for("served wires", lambda: {"can", "ecus"} <= set(served.read_text().split()), limit_s=60)
        _wait_for_listener()
        # By the functional identifier: this socket listens elsewhere, so that only isotprecv controls the flow.
        subprocess.run(["isotpsend", "-s", "7DF", "-d", "7E9", BUS], input=b"09 02\n", check=True, timeout=10)
        receiving.wait(10)
        wait_for("isotpdump", lambda: seen.read_text().count("[CF]") >= 2, limit_s=10)
        others = interface_frames(BUS) - 5
    expect(true=others > 0, otherwise="the car sends nothing")
    message = bytes.fromhex(answer.read_text())
    expect(true=message == b"\x49\x02\x01" + vin.encode(), otherwise=f"isotprecv: {answer.read_text()}")
    kinds = {kind: seen.read_text().count(f"[{kind}]") for kind in ("FF", "FC", "CF")}
    expect(true=kinds == {"FF": 1, "FC": 1, "CF": 2}, otherwise=f"isotpdump: {seen.read_text()}")
    return f"isotprecv: {vin}; isotpdump: {kinds}; {others} frames of the car beside them"


def can_isotp_reads_vin(_: Path) -> str:
    """Its own ISO-TP: an answer in three frames with a flow control after each, and a request in two."""
    with _car() as world:
        lines = run(*_client("isotp", "1", "0902", "22F190F40CF40DF405", "03")).split()
        flow_controls = sum(frame.startswith("7E0#3") for frame in _dumped())
        granted = sum(frame.startswith("7E8#3") for frame in _dumped())
    vin, dids, dtcs = (bytes.fromhex(line) for line in lines)
    expect(true=vin == b"\x49\x02\x01" + world["vin"].encode(), otherwise=f"09 02: {lines[0]}")
    expect(true=dids[3:20] == world["vin"].encode() and len(dids) == 30, otherwise=f"22 F190 ...: {lines[1]}")
    expect(true=dtcs.hex() == f"43{len(world['dtcs']):02x}" + "".join(map(_pair, world["dtcs"])), otherwise=lines[2])
    # Consecutive frames: 2 of the 20 bytes, 4 of the 31; after each but the last it says to go on.
    expect(true=(flow_controls, granted) == (6, 1), otherwise=f"{flow_controls} flow controls, {granted} of ours")
    return f"{vin[3:].decode()}; {len(dids)} bytes of 4 DIDs; {flow_controls} flow controls obeyed, {granted} given"


def udsoncan_reads_the_world(_: Path) -> str:
    """ReadDataByIdentifier and ReadDTCInformation give what is true; what is not there is refused as UDS wants it."""
    with _car() as world:
        said = run(*_client("uds"))
    found = json.loads(said.splitlines()[-1])
    expect(true=found["vin"] == world["vin"], otherwise=said)
    off = {name: found[name] - world[name] for name, step in _STEPS.items() if abs(found[name] - world[name]) > step}
    expect(true=not off, otherwise=f"off by {off}: {found}, world {world}")
    wanted = [[int(_pair(code) + "00", 16), 0x09] for code in world["dtcs"]]
    expect(true=found["dtcs"] == wanted and found["count"] == len(wanted) > 0, otherwise=f"{said}, not {wanted}")
    expect(true=found["refusal"] == "RequestOutOfRange", otherwise=said)
    values = ", ".join(f"{name} {found[name]:g} ({world[name]:.2f})" for name in _STEPS)
    return f"{found['vin']}; {values}; {world['dtcs']}"


@contextmanager
def _car() -> Iterator[dict[str, Any]]:
    """The ECU and candump on a bus; what is true in its world."""
    said = SCRATCH / "ecus.log"
    command = packaged(str(Path(__file__).with_name("ecus.py")), BUS, *_SCENARIO)
    with bus_of(MTU), helper(["candump", "-L", BUS], log=_LOG), helper(command, ready="ready", log=said):
        wait_for("a whole line", lambda: said.read_text().endswith("\n"), limit_s=5)
        yield json.loads(said.read_text().splitlines()[0].partition(" ")[2])


def _client(*arguments: str) -> list[str]:
    return packaged(str(Path(__file__).with_name("client.py")), BUS, *arguments, more=[FILES])


def _dumped() -> list[str]:
    """Whole lines only: candump may be writing."""
    return [line.split()[2] for line in _LOG.read_text().split("\n")[:-1]]


def _wait_for_listener() -> None:
    """isotprecv says nothing when it is ready; the kernel knows what listens on the bus."""
    wait_for(
        "isotprecv",
        lambda: re.search(r" 7e8 .* isotp", Path("/proc/net/can/rcvlist_sff").read_text()),
        limit_s=10,
    )


def _pair(code: str) -> str:
    """P0301 as its two bytes, in hexadecimal."""
    return f"{'PCBU'.index(code[0]) << 6 | int(code[1]) << 4 | int(code[2], 16):02x}{code[3:].lower()}"
