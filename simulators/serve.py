"""`python -m simulators serve WIRE[=WHERE] ...`: the wires of one moving car, for other programs to connect to."""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.errors import InputError
from simulators.arguments import SCENARIO_HELP, Parser, pace, port, seed
from simulators.can import CarBus
from simulators.clock import ManualClock
from simulators.dongle import Dongle
from simulators.drive import CarDrive
from simulators.ecu import Faults
from simulators.personas import persona
from simulators.serve_bus import DiagnosticEcu, serve_ecus, serve_j1939
from simulators.serve_cloud import CloudOptions, serve_cloud
from simulators.serve_ports import Outlet
from simulators.serve_text import imu_line, nmea_fix
from simulators.serve_wires import Wire, bus_of, tcp_port_of, wire
from simulators.world import load_scenario, simulate
from simulators.world.frames import encode_drive

_LOOK_S: Final = 0.01
_EXAMPLES: Final = """\
wires, and where they are without =WHERE:
  can      the car's frames           udp_multicast:239.74.163.2  (or socketcan:vcan0)
  ecus     answers to J1979 and UDS   the same; ask at 7DF or 7E0, hear 7E8
  j1939    a truck's broadcasts       the same
  dongle   an ELM327 adapter          pty                         (or tcp:PORT)
  gnss     NMEA 0183: RMC, GGA        pty                         (or tcp:PORT)
  imu      a JSON line a sample       pty                         (or tcp:PORT)
  cloud    broker, receiver, claims   tcp:8883, where the cars connect

examples:
  python -m simulators serve can ecus gnss=tcp:10110 --scenario crash_front --repeat
  python -m simulators serve dongle=tcp:35000 --persona v1.5
  python -m simulators serve cloud --device car1=car1.pub.pem --network lossy

All wires of one command belong to the same car. Everything stays on this machine's loopback."""


class _Options(argparse.Namespace):
    """What the command line says."""

    wires: list[Wire]
    scenario: str
    seed: int
    pace: float
    repeat: bool
    persona: str
    device: list[str]
    network: str
    directory: Path | None
    desk_port: int


def main(argv: Sequence[str]) -> int:
    """Serve until the drive is over, or for ever. Raises AgentError for what cannot be served as asked."""
    parser = Parser(
        prog="python -m simulators serve", description="Wires of the simulated car as a process.", epilog=_EXAMPLES
    )
    parser.add_argument("wires", nargs="+", type=wire, metavar="WIRE[=WHERE]")
    parser.add_argument("--scenario", default="commute", metavar="NAME", help=SCENARIO_HELP)
    parser.add_argument("--seed", type=seed, default=7, metavar="N")
    parser.add_argument("--pace", type=pace, default=1.0, metavar="X", help="1 is real time")
    parser.add_argument("--repeat", action="store_true", help="drive again from the start when it is over")
    parser.add_argument("--persona", default="plain", metavar="NAME", help="the dongle's, from `dongle --list`")
    parser.add_argument("--device", action="append", default=[], metavar="NAME=FILE", help="a car's public key (PEM)")
    parser.add_argument("--network", default="open", metavar="NAME", help="the cloud's road, or a .toml of phases")
    parser.add_argument("--directory", type=Path, default=None, metavar="D", help="the cloud's files; without: deleted")
    parser.add_argument("--desk-port", type=port, default=0, metavar="P", help="the claims desk's; else any free one")
    options = parser.parse_args(argv, namespace=_Options())
    wires: dict[str, Wire] = {one.name: one for one in options.wires}
    if len(wires) < len(options.wires):
        raise InputError("a wire is named twice")
    if options.pace == 0:
        raise InputError("--pace 0: others could not follow; a number above 0")
    asyncio.run(_serve(wires, options))
    return 0


async def _serve(wires: Mapping[str, Wire], options: _Options) -> None:
    """Open everything, say where it is, and run until the car is at its end."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(_ending_together())
        if "cloud" in wires:
            tasks.append(asyncio.create_task(_cloud(wires["cloud"], options)))
        if wires.keys() != {"cloud"}:
            bus = bus_of(wires["can"]) if "can" in wires else None
            tasks += await _open_car(stack, _Stage(options, bus), wires, options)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _open_car(
    stack: AsyncExitStack, stage: "_Stage", wires: Mapping[str, Wire], options: _Options
) -> list[asyncio.Task[None]]:
    """Open the car's wires within the stack; return what runs behind them."""
    tasks = []
    for name in ("gnss", "imu"):
        if name in wires:
            stage.outlets[name] = await stack.enter_async_context(Outlet(name, tcp_port_of(wires[name])))
            _say(name, stage.outlets[name].where)
    if "dongle" in wires:
        _say("dongle", await stack.enter_async_context(_dongle(wires["dongle"], options, stage)))
    for name, serve in (("ecus", partial(serve_ecus, stage.ecu())), ("j1939", partial(serve_j1939, stage.values))):
        if name in wires:
            interface, channel = bus_of(wires[name])
            ready = partial(_say, name, f"{interface}:{channel}")
            tasks.append(asyncio.create_task(serve(interface, channel, on_ready=ready)))
    if "can" in wires:
        _say("can", ":".join(bus_of(wires["can"])))
    return [*tasks, asyncio.create_task(stage.run())]


class _Stage:
    """The car as it drives, once or again and again; its wires ask for what is true now."""

    def __init__(self, options: _Options, bus: tuple[str, str] | None) -> None:
        """Simulate the whole drive, which takes a moment. bus: interface and channel of its frames, None for none."""
        self.outlets: dict[str, Outlet] = {}
        self._bus = bus
        self._options = options
        self._drive = simulate(load_scenario(options.scenario), options.seed)
        self._frames = encode_drive(self._drive) if bus else None
        self._car = self._new_car(None)

    def values(self) -> dict[str, float]:
        """Every signal by VSS path."""
        return self._car.values()

    def ecu(self, reply_id: int = 0x7E8) -> DiagnosticEcu:
        """An ECU that answers from it."""
        return DiagnosticEcu(self.values, faults=self._faults, reply_id=reply_id)

    async def run(self) -> None:
        """Drive. Raises SourceLost where the bus is lost."""
        while True:
            bus = None
            if self._bus and self._frames is not None:
                bus = CarBus(self._frames, interface=self._bus[0], channel=self._bus[1])
            self._car = self._new_car(bus)
            async with _ending_together() as streams:
                streams += [asyncio.create_task(stream) for stream in self._streams()]
                driving = asyncio.create_task(self._car.run())
                await asyncio.wait([driving, *streams], return_when=asyncio.FIRST_EXCEPTION)
                streams.append(driving)
            if not self._options.repeat:
                return

    def _faults(self) -> Faults:
        return self._car.faults()

    def _new_car(self, bus: CarBus | None) -> CarDrive:
        clock = ManualClock(wall_start_ns=time.time_ns())
        return CarDrive(self._drive, clock, bus=bus, pace=self._options.pace)

    def _streams(self) -> list[Coroutine[None, None, None]]:
        streams: list[Coroutine[None, None, None]] = []
        if "gnss" in self.outlets:
            streams.append(self._stream(self._drive.gnss.t_ns, partial(self._send_fix, self.outlets["gnss"])))
        if "imu" in self.outlets:
            imu = self._drive.imu
            rows = np.column_stack([imu.acceleration, imu.rotation])
            streams.append(self._stream(imu.t_ns, partial(_send_sample, self.outlets["imu"], imu.t_ns, rows)))
        return streams

    async def _stream(self, times_ns: npt.NDArray[np.int64], send: Callable[[int], None]) -> None:
        """Send each row when its time has come."""
        clock, row = self._car.clock, 0
        while row < len(times_ns):
            await clock.sleep(_LOOK_S)
            end = int(np.searchsorted(times_ns, clock.monotonic_ns(), side="right"))
            for number in range(row, end):
                send(number)
            row = end

    def _send_fix(self, outlet: Outlet, row: int) -> None:
        fixes = self._drive.gnss
        values = {
            vss.LATITUDE: fixes.latitude[row],
            vss.LONGITUDE: fixes.longitude[row],
            vss.ALTITUDE: fixes.altitude_m[row],
            vss.GNSS_SPEED: fixes.speed_kmh[row],
            vss.HEADING: fixes.heading_deg[row],
            vss.HORIZONTAL_ACCURACY: fixes.accuracy_m[row],
        }
        clock = self._car.clock
        outlet.write(nmea_fix(values, clock.wall_ns() - clock.monotonic_ns() + int(fixes.t_ns[row])))


def _send_sample(outlet: Outlet, times_ns: npt.NDArray[np.int64], rows: npt.NDArray[np.float64], row: int) -> None:
    outlet.write(imu_line(int(times_ns[row]), rows[row].tolist()))


@asynccontextmanager
async def _dongle(one: Wire, options: _Options, stage: _Stage) -> AsyncIterator[str]:
    """An adapter on the car's diagnostics socket; gives its port. Raises InputError."""
    ecus = [stage.ecu(0x7E8 + number) for number in range(persona(options.persona).ecus)]
    tcp_port = tcp_port_of(one)
    dongle = Dongle(
        ecus,
        transport="pty" if tcp_port is None else "tcp",
        tcp_port=tcp_port or 0,
        latency_s=0.02,
        persona_name=options.persona,
        seed=options.seed,
    )
    try:
        await dongle.start()
    except OSError as exc:
        raise InputError(f"dongle=tcp:{tcp_port}: {os.strerror(exc.errno or 0)}") from exc
    try:
        yield dongle.port
    finally:
        await dongle.close()


async def _cloud(one: Wire, options: _Options) -> None:
    with tempfile.TemporaryDirectory(prefix="cloud-") as folder:
        directory = options.directory or Path(folder)
        cloud = CloudOptions(
            directory, tcp_port_of(one) or 0, options.device, options.network, desk_port=options.desk_port
        )
        await serve_cloud(cloud, say=partial(_say, "cloud"))


@asynccontextmanager
async def _ending_together() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks put into the list end with the block; what one of them failed of is raised."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


def _say(name: str, text: str) -> None:
    print(f"{name:6} {text}", flush=True)
