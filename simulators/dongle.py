"""An ELM327 dongle to plug in: the simulated adapter on a pty, or on TCP (loopback), with latency and faults.

`python -m simulators dongle --persona NAME [--tcp PORT]` runs one for others to connect to.
"""

import asyncio
import os
import tempfile
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from agent.core import vss
from agent.core.errors import InputError
from simulators.arguments import Parser, port, seed
from simulators.ecu import Ecu, Faults
from simulators.elm327 import Answers, Elm327Chip, Traits
from simulators.elm327_line import NEVER_NS, Adapter
from simulators.personas import PERSONAS, persona


class Dongle:
    """One adapter. `port` is what a client opens: a path that survives unplugging (a link to the pty), or a tcp:// URL.

    Faults: `mute` says nothing more; `half_lines` sends the first half of each answer and no prompt; `unplug` and
    `plug` are what they say; persona adds its own. latency_s is real time between a command and its answer.
    """

    def __init__(
        self,
        ecus: Sequence[Answers],
        *,
        transport: Literal["pty", "tcp"] = "pty",
        tcp_port: int = 0,
        latency_s: float = 0.0,
        traits: Traits | None = None,
        persona_name: str = "",
        seed: int = 0,
    ) -> None:
        self.port = ""
        self.adapter = (
            persona(persona_name).adapter(ecus, latency_s=latency_s, seed=seed)
            if persona_name
            else Adapter(ecus, traits, latency_s=latency_s, seed=seed)
        )
        self._transport = transport
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._fds: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tcp_port = tcp_port
        self._send: Callable[[bytes], object] = lambda _: None
        self._start_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def chip(self) -> Elm327Chip:
        """The chip as it is powered now."""
        return self.adapter.chip

    @property
    def mute(self) -> bool:
        """Whether it says nothing more."""
        return self.adapter.mute

    @mute.setter
    def mute(self, mute: bool) -> None:
        self.adapter.mute = mute

    @property
    def half_lines(self) -> bool:
        """Whether its answers end in the middle."""
        return self.adapter.half_lines

    @half_lines.setter
    def half_lines(self, half_lines: bool) -> None:
        self.adapter.half_lines = half_lines

    async def start(self) -> None:
        """Plug it in for the first time."""
        self._start_s = asyncio.get_running_loop().time()
        if self._transport == "pty":
            self._folder = tempfile.TemporaryDirectory(prefix="dongle-")
            self.port = str(Path(self._folder.name) / "ttyOBD")
        await self.plug()

    async def close(self) -> None:
        """Unplug it for good."""
        await self.unplug()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def plug(self) -> None:
        """Come up as after power-on."""
        self.adapter.power_on()
        await self._open_port()
        self._pass_on()

    async def _open_port(self) -> None:
        if self._transport == "pty":
            self._plug_pty()
            return
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._tcp_port)
        self._tcp_port = self._server.sockets[0].getsockname()[1]
        self.port = f"tcp://127.0.0.1:{self._tcp_port}"

    async def unplug(self) -> None:
        """Vanish: the pty is gone, TCP connections are cut."""
        self.adapter.power_off()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._close_port()

    async def _close_port(self) -> None:
        self._unplug_pty()
        if self._server is not None:
            self._server.close()
            for writer in self._clients:
                writer.close()
            self._clients.clear()
            self._server = None
            await asyncio.sleep(0)

    def _plug_pty(self) -> None:
        master, slave = os.openpty()  # the slave stays open here, so that a client may come and go
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._fds = (master, slave)
        Path(self.port).symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(master, self._read_pty, master)

    def _unplug_pty(self) -> None:
        if self._fds is None:
            return
        asyncio.get_running_loop().remove_reader(self._fds[0])
        Path(self.port).unlink(missing_ok=True)
        for fd in self._fds:
            os.close(fd)
        self._fds = None

    def _read_pty(self, master: int) -> None:
        with suppress(BlockingIOError):
            self._receive(os.read(master, 4096), lambda data: _write_fd(master, data))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                self._receive(data, writer.write)
        self._clients.discard(writer)
        writer.close()

    def _receive(self, data: bytes, send: Callable[[bytes], object]) -> None:
        """Characters typed by the client, who hears the answers from now on."""
        self._send = send
        self.adapter.receive(data, self._now_ns())
        self._pass_on()

    def _pass_on(self) -> None:
        """Hand on what the adapter has said by now, and come back when it has more to say."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data = self.adapter.take(self._now_ns())
        if data:
            self._send(data)
        is_open = self._fds is not None or self._server is not None
        if is_open != self.adapter.plugged and not self._tasks:  # its persona has been pulled out, or put back
            task = asyncio.ensure_future(self._open_port() if self.adapter.plugged else self._close_port())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.adapter.next_ns < NEVER_NS:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._start_s + self.adapter.next_ns / 1e9 + 1e-6, self._pass_on)

    def _now_ns(self) -> int:
        return round((asyncio.get_running_loop().time() - self._start_s) * 1e9)


def _write_fd(fd: int, data: bytes) -> None:
    with suppress(BlockingIOError):  # nobody reads: a real adapter's buffer overflows too
        os.write(fd, data)


def main(argv: Sequence[str]) -> int:
    """`python -m simulators dongle`: one adapter with a parked car behind it, until interrupted. Raises InputError."""
    parser = Parser(
        prog="python -m simulators dongle", description="Run a simulated ELM327 adapter with a parked car behind it."
    )
    parser.add_argument("--persona", default="plain", metavar="NAME", help="one from --list")
    parser.add_argument("--tcp", type=port, default=None, metavar="PORT", help="listen there on 127.0.0.1; else a pty")
    parser.add_argument("--latency-ms", type=float, default=20.0, metavar="MS", help="from a command to its answer")
    parser.add_argument("--seed", type=seed, default=7, metavar="N")
    parser.add_argument("--list", action="store_true", help="print the personas")
    options = parser.parse_args(argv)
    if options.list:
        for one in PERSONAS.values():
            print(f"{one.name:30} {one.description} ({one.source})")
        return 0
    dongle = Dongle(
        parked_car(persona(options.persona).ecus),
        transport="pty" if options.tcp is None else "tcp",
        tcp_port=options.tcp or 0,
        latency_s=options.latency_ms / 1000,
        persona_name=options.persona,
        seed=options.seed,
    )
    try:
        asyncio.run(_serve_until_interrupted(dongle))
    except OSError as exc:
        raise InputError(f"--tcp {options.tcp}: {os.strerror(exc.errno or 0)}") from exc
    return 0


def parked_car(count: int) -> list[Ecu]:
    """ECUs of a car that stands with its engine running: the engine's first."""
    values = {
        vss.SPEED: 0.0,
        vss.ENGINE_SPEED: 800.0,
        vss.THROTTLE: 12.0,
        vss.COOLANT_TEMPERATURE: 90.0,
        vss.LOW_VOLTAGE: 13.9,
        vss.AIR_TEMPERATURE: 21.0,
        "Vehicle.Powertrain.CombustionEngine.MAP": 35.0,
        "Vehicle.Powertrain.CombustionEngine.MAF": 3.5,
        "Vehicle.Private.OBD.EngineLoad": 20.0,
        "Vehicle.Private.OBD.AbsoluteLoad": 18.0,
        "Vehicle.Private.OBD.ShortTermFuelTrim1": 1.5,
        "Vehicle.Private.OBD.LongTermFuelTrim1": -0.8,
        "Vehicle.Private.OBD.TimingAdvance": 12.0,
        "Vehicle.Private.OBD.RelativeThrottlePosition": 3.0,
        "Vehicle.Private.OBD.IntakeTemp": 30.0,
        "Vehicle.Private.OBD.BarometricPressure": 101.0,
        "Vehicle.Private.OBD.RunTime": 300.0,
        "Vehicle.Powertrain.FuelSystem.RelativeLevel": 40.0,
    }
    return [Ecu(lambda: values, faults=Faults(stored=("P0133",)), reply_id=0x7E8 + number) for number in range(count)]


async def _serve_until_interrupted(dongle: Dongle) -> None:
    await dongle.start()
    print(dongle.port, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await dongle.close()
