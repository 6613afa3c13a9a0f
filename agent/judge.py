"""Asks the collision model how sure it is before a collision is told; whatever is late goes out without it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.crash_events import Collision
from agent.core.events import Event
from agent.core.manifest import FeatureManifest
from agent.core.odds import join_confidence
from agent.core.ports import Clock
from agent.inference import Models, first_within


class Judge:
    """Hands events on in their order; a collision first hears the model, and the rest waits behind it.

    The model never takes a collision back: it makes its confidence larger or smaller, and no more.
    """

    def __init__(
        self,
        manifest: FeatureManifest,
        models: Models,
        *,
        deadline_s: float,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        self._manifest = manifest
        self._models = models
        self._deadline_s = deadline_s
        self._clock = clock
        self._emit = emit
        self._waiting: deque[Event] = deque()  # what the pipeline finds within one deadline
        self._ready = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._asking: set[asyncio.Task[npt.NDArray[np.float32] | None]] = set()

    def on_events(self, events: Iterable[Event]) -> None:
        """Emit at once, or wait in line where somebody is asked or has to be; a crash's detail waits for nobody."""
        for event in events:
            if event.bulk or (not self._waiting and not self._asks(event)):
                self._emit(event)
                continue
            self._waiting.append(event)
            self._empty.clear()
            self._ready.set()

    async def run(self) -> None:
        """Until cancelled; what waits then goes out as it is."""
        try:
            while True:
                await self._ready.wait()
                while self._waiting:
                    event = self._waiting[0]
                    told = await self._heard(event) if isinstance(event, Collision) else event
                    self._waiting.popleft()
                    self._emit(told)
                self._ready.clear()
                self._empty.set()
        finally:
            while self._waiting:
                self._emit(self._waiting.popleft())
            self._empty.set()

    async def finish(self) -> None:
        """Return when nothing waits any more."""
        await self._empty.wait()

    def _asks(self, event: Event) -> bool:
        known = isinstance(event, Collision) and len(event.features) == len(self._manifest.features)
        return known and self._models.serves(self._manifest.name)

    async def _heard(self, event: Collision) -> Collision:
        if not self._asks(event):
            return event
        inputs = self._manifest.scaled([value / 1000 for value in event.features])
        asking = asyncio.create_task(self._models.ask(self._manifest.name, inputs))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        output = await first_within(asking, self._deadline_s, self._clock)
        return event if output is None else with_model(event, float(output[0, 0]))


def with_model(event: Collision, probability: float) -> Collision:
    """The collision with the model's word joined to its confidence."""
    probability = min(max(probability, 0.0), 1.0)
    joined = join_confidence(event.confidence, probability)
    return msgspec.structs.replace(event, confidence=round(joined, 3), confidence_model=round(probability, 3))
