"""Runs a simulated drive: moves the clock, feeds the bus, stands still for what happens around the car."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Final

import numpy as np

from agent.core.errors import EndOfSource
from agent.core.frames import FrameBatch
from agent.core.ports import FrameSource
from simulators.can import CarBus, SimulatedCan
from simulators.clock import ManualClock
from simulators.ecu import Faults
from simulators.gnss import SimulatedGnss
from simulators.imu import SimulatedImu
from simulators.windows import WINDOW_NS
from simulators.world.happenings_wires import ClockJump
from simulators.world.types import Drive

Hook = Callable[[], Awaitable[None]]

TICK_NS: Final = 10_000_000  # in real time, and where those who listen live in it: on a bus, behind an adapter
_TURNS: Final = 10
_LAST_LOOK_NS: Final = 1_000_000_000  # time for every reader to find what came last


class CarDrive:
    """One drive on a manual clock. Its sources give what came in windows of 200 ms, 10 ms where there is a bus.

    frames: what the car's `can` gives the app; or bus: where they are sent, for whoever listens there.
    pace: 1.0 real time, 2.0 twice as fast, in ticks of 10 ms; 0 as fast as the machine can, from one instant that
    somebody waits for to the next. Deadlines are absolute: a slow tick is made up for by the next ones. While a hook
    runs the car's time stands still, and pace goes on from there.
    """

    def __init__(
        self,
        drive: Drive,
        clock: ManualClock,
        *,
        frames: FrameBatch | None = None,
        bus: CarBus | None = None,
        pace: float = 1.0,
    ) -> None:
        if pace < 0:
            raise ValueError("pace must not be negative")
        self.drive = drive
        self.clock = clock
        self.start_ns = clock.monotonic_ns()
        self._end_ns = self.start_ns + drive.duration_ns + _LAST_LOOK_NS
        window_ns = WINDOW_NS if bus is None else TICK_NS
        self.can: SimulatedCan | None = None
        if frames is not None:
            self.can = SimulatedCan(frames, clock, start_ns=self.start_ns, end_ns=self._end_ns)
        self.imu = SimulatedImu(drive, clock, start_ns=self.start_ns, window_ns=window_ns)
        self.gnss = SimulatedGnss(drive, clock, start_ns=self.start_ns, window_ns=window_ns)
        self._heard = asyncio.Event() if self.can is None else self.can.opened
        if self.can is None:
            self._heard.set()
        self._ended = asyncio.Event()
        self.bus = bus
        self._pace = pace
        self._hooks: list[tuple[int, int, Hook]] = []
        self._order = count()
        for event in drive.scenario.events:
            if isinstance(event, ClockJump):
                self.at(event.at_s, partial(self._jump, event.by_s))

    def at(self, t_s: float, hook: Hook) -> None:
        """Await hook when the drive is t_s seconds old, before that instant's frames; hooks of one instant in order.

        What lies beyond the end of the drive never happens.
        """
        heapq.heappush(self._hooks, (round(t_s * 1e9), next(self._order), hook))

    def heard_by(self, source: FrameSource) -> "HeardSource":
        """Wrap the app's end of the bus: run waits until it is open, and it ends with the drive."""
        self._heard.clear()
        return HeardSource(source, self._heard, self._ended)

    def values(self) -> dict[str, float]:
        """Every signal of the car at this instant by VSS path, for an ECU that answers requests."""
        return self._values_at(self.clock.monotonic_ns() - self.start_ns)

    def faults(self) -> Faults:
        """What the diagnostics port tells of faults at this instant, for an ECU that answers requests."""
        now_ns = self.clock.monotonic_ns() - self.start_ns
        memory = [memory for memory in self.drive.memory if memory.t_ns <= now_ns][-1]
        return Faults(
            stored=memory.confirmed,
            pending=memory.pending,
            permanent=memory.permanent,
            frozen=tuple((code, self._values_at(t_ns)) for code, t_ns in memory.frozen),
        )

    async def run(self) -> None:
        """Drive to the end; then every source raises EndOfSource. Raises what hooks raise, and SourceLost."""
        loop = asyncio.get_running_loop()
        await self._heard.wait()
        origin_s = loop.time()
        try:
            for t_ns in self._ticks():
                origin_s += await self._run_hooks(t_ns)
                if self.bus:
                    self.bus.send_until(t_ns)
                await self.clock.advance_to(self.start_ns + t_ns)
                if self._pace:
                    await asyncio.sleep(origin_s + t_ns / 1e9 / self._pace - loop.time())
                elif self.can is None:
                    await _turn_the_loop()
            await self.clock.advance_to(self._end_ns)
        finally:
            self._ended.set()
            if self.bus:
                self.bus.close()

    def _values_at(self, t_ns: int) -> dict[str, float]:
        return {path: float(np.interp(t_ns, times, values)) for path, (times, values) in self.drive.signals.items()}

    async def _jump(self, seconds: float) -> None:
        self.clock.jump_wall(seconds)

    def _ticks(self) -> Iterator[int]:
        """Instants at which the car must come to a stop. The clock wakes whoever waits between them."""
        if self._pace or self.can is None:
            yield from range(0, self.drive.duration_ns, TICK_NS)
        yield self.drive.duration_ns

    async def _run_hooks(self, t_ns: int) -> float:
        """Run what is due and return the real seconds it took."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        while self._hooks and self._hooks[0][0] <= t_ns:
            due_ns, _, hook = heapq.heappop(self._hooks)
            await self.clock.advance_to(self.start_ns + due_ns)
            await hook()
        return loop.time() - begun_s


async def _turn_the_loop() -> None:
    """Let those work who wait for sockets and pipes rather than for the clock."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class HeardSource:
    """A FrameSource that raises EndOfSource once the drive is over: the bus itself would be silent for ever."""

    def __init__(self, source: FrameSource, heard: asyncio.Event, ended: asyncio.Event) -> None:
        self.name = source.name
        self._source = source
        self._heard = heard
        self._ended = ended

    async def open(self) -> None:
        """Open the real source, and let the drive begin."""
        await self._source.open()
        self._heard.set()

    async def read_batch(self) -> FrameBatch:
        """Whatever comes first: frames or the end."""
        reading = asyncio.ensure_future(self._source.read_batch())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
            ending.cancel()
        raise EndOfSource("the drive is over")

    async def close(self) -> None:
        """Close the real source."""
        await self._source.close()

    def counters(self) -> Mapping[str, int]:
        """The real source's."""
        return self._source.counters()
