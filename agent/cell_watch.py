"""Asks the battery model after a day of use has ended: about every cell, and what the rules said of one."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from agent.core.battery_events import BatteryAdvice
from agent.core.events import Event
from agent.core.manifest import SequenceManifest
from agent.core.ports import Clock
from agent.core.signals import SignalWindow
from agent.detect.cell_days import CellDays
from agent.detect.cell_scores import Asking, CellScores
from agent.inference import Models

_LOOK_MAX_NS: Final = 10_000_000_000  # a hundred cells take a tenth of a second; rules' advice waits no longer


class Pack(Protocol):
    """Whose cells are looked at: the pipeline."""

    @property
    def cell_days(self) -> CellDays | None:
        """What is kept of the cells, None where no pack has been seen."""
        ...

    def hear(self, events: Sequence[Event]) -> None:
        """Let the battery's report know of what the model found."""
        ...


class CellWatch:
    """Holds advice that days have shown until the model has looked, and looks once a day of use, off the main path."""

    def __init__(
        self, manifest: SequenceManifest, models: Models, *, clock: Clock, emit: Callable[[Event], None]
    ) -> None:
        self._scores = CellScores(manifest)
        self._models = models
        self._clock = clock
        self._emit = emit
        self._pack: Pack | None = None
        self._t_ns = 0
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def watch(self, pack: Pack) -> None:
        """Look at this pack from now on; its days so far were looked at when they ended."""
        self._pack = pack
        self._scores.begin(pack.cell_days)

    def hold(self, events: Iterable[Event]) -> list[Event]:
        """Those of the events that need not wait for the model."""
        passed = []
        for event in events:
            if self._serves() and self._scores.hold(event):
                self._wake(event.t_ns)
            else:
                passed.append(event)
        return passed

    def on_window(self, window: SignalWindow) -> None:
        """See whether a day of use has ended."""
        if self._pack is not None and self._serves() and self._scores.is_due(self._pack.cell_days):
            self._wake(window.t_ns)

    async def run(self) -> None:
        """Until cancelled; what waits then goes out as the rules told it."""
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                with self._clock.hold():
                    await self._look()
                if not self._ready.is_set():
                    self._idle.set()
        finally:
            self._tell(self._scores.release())
            self._idle.set()

    async def finish(self) -> None:
        """Return when nothing waits any more."""
        await self._idle.wait()

    def _serves(self) -> bool:
        return self._models.serves(self._scores.manifest.name)

    def _wake(self, t_ns: int) -> None:
        self._t_ns = t_ns
        self._idle.clear()
        self._ready.set()

    async def _look(self) -> None:
        days = self._pack.cell_days if self._pack is not None else None
        told = await self._put(self._scores.look(days, self._t_ns))
        if told is None:
            told = self._scores.release()
            if self._serves():
                self._scores.begin(days)  # too slow today: it would be too slow at every window
        self._tell(told)

    async def _put(self, asking: Asking) -> list[Event] | None:
        """Put the questions; None where the model does not speak, or takes too long."""
        begun_ns = self._clock.monotonic_ns()
        try:
            inputs = next(asking)
            while self._clock.monotonic_ns() - begun_ns < _LOOK_MAX_NS:
                output = await self._models.ask(self._scores.manifest.name, inputs)
                if output is None:
                    break
                inputs = asking.send(output)
        except StopIteration as done:
            events: list[Event] = done.value
            return events
        asking.close()
        return None

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._pack is not None and isinstance(event, BatteryAdvice) and event.confidence_rules is None:
                self._pack.hear([event])
            self._emit(event)
