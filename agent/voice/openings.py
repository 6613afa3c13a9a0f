"""When something may sound: once the gate is open for it, and the moment has come that its phrase waits for."""

import asyncio
from collections.abc import Sequence
from typing import Final

from agent.core.ports import Clock
from agent.voice.gate import Gate
from agent.voice.moments import Moments
from agent.voice.push_to_talk import is_begun_by_driver
from agent.voice.waiting import Item

_PATIENCE_NS: Final = 10 * 10**9  # longer, and a driver has forgotten what the talk was about


class Openings:
    """Asks gate and moments, which the conversation feeds, about an item and this instant."""

    def __init__(self, gate: Gate, moments: Moments, clock: Clock) -> None:
        self._gate = gate
        self._moments = moments
        self._clock = clock

    def is_calm(self) -> bool:
        """Whether no manoeuvre asks for the driver's attention."""
        return self._gate.is_calm(self._clock.monotonic_ns())

    def is_open(self, item: Item) -> bool:
        """Whether the gate is open for it."""
        now_ns = self._clock.monotonic_ns()
        return self._gate.is_open(now_ns, item.prompt.urgency, begun=is_begun_by_driver(item.event))

    def may_sound(self, item: Item) -> bool:
        """Whether it may begin."""
        return item.prompt.moment in self._moments.at(self._clock.monotonic_ns()) and self.is_open(item)

    def may_go_on(self, item: Item, *, told: bool) -> bool:
        """A talk that has begun needs the gate alone: whoever answers has time."""
        return self.may_sound(item) or (told and self.is_open(item))

    async def wait_open(self, item: Item) -> bool:
        """Return once the gate lets a talk go on; False where it stays closed for too long."""
        patience_ns = self._clock.monotonic_ns() + _PATIENCE_NS
        while not self.is_open(item):
            now_ns = self._clock.monotonic_ns()
            opens_ns = self._opens_ns(item) or now_ns
            if opens_ns > patience_ns:
                return False
            await self._clock.sleep((opens_ns - now_ns) / 1e9)
        return True

    def first(self, items: Sequence[Item]) -> Item | None:
        """The first that may begin: what the gate keeps back keeps back nothing that the driver waits for."""
        return next((item for item in items if self.may_sound(item)), None)

    async def wait_for(self, items: Sequence[Item], changed: asyncio.Event) -> None:
        """Wait for news, or for the gate to open for one of them. It may have closed further by then: look again."""
        changed.clear()
        opens_ns = min((opens for item in items if (opens := self._opens_ns(item)) is not None), default=None)
        if opens_ns is None:
            await changed.wait()
            return
        delay_s = (opens_ns - self._clock.monotonic_ns()) / 1e9
        timer = asyncio.create_task(self._clock.sleep(delay_s), name="voice-gate")
        timer.add_done_callback(lambda _: changed.set())
        try:
            await changed.wait()
        finally:
            timer.cancel()
            await asyncio.wait({timer})

    def _opens_ns(self, item: Item) -> int | None:
        return self._gate.opens_ns(item.prompt.urgency, begun=is_begun_by_driver(item.event))
