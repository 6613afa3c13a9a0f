"""Keeps the models loaded in a process that may die, and asks them: rules never wait for it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ModelDown
from agent.core.events import Event, ModelChanged
from agent.core.ports import Clock, Inference

_NS: Final = 1_000_000_000

Float32s = npt.NDArray[np.float32]


class Models:
    """Loads the models named, starts them again when their process dies, and gives up when it dies too often.

    A model is told as down once, however often it is tried, and as restored at its process's first answer: what loads
    and dies again has not come back.
    """

    def __init__(
        self,
        inference: Inference,
        names: Sequence[str],
        *,
        restarts_max: int,
        restarts_within_s: float,
        clock: Clock,
        emit: Callable[[Event], None],
        make_waits: Callable[[], Iterator[float]],
    ) -> None:
        self._inference = inference
        self._names = list(names)
        self._restarts_within_ns = round(restarts_within_s * _NS)
        self._restarts: deque[int] = deque(maxlen=restarts_max + 1)
        self._clock = clock
        self._emit = emit
        self._make_waits = make_waits
        self._waits = make_waits()
        self._loaded = False
        self._down = False

    def serves(self, name: str) -> bool:
        """Whether there is any sense in asking it now."""
        return self._loaded and name in self._names

    async def ask(self, name: str, inputs: Float32s) -> Float32s | None:
        """The model's output; None where it does not speak, for whatever reason."""
        if not self.serves(name):
            return None
        try:
            output = await self._inference.infer(name, inputs)
        except ModelDown:
            self._loaded = False  # run learns why from the process's end
            return None
        if self._down:
            self._down, self._waits = False, self._make_waits()
            self._tell(self._names, "restored")
        return output

    async def run(self) -> None:
        """Until cancelled, until every model is refused, or until they are given up."""
        try:
            while self._names:
                try:
                    with self._clock.hold():
                        refused = await self._inference.load(self._names)
                    for name, reason in refused.items():
                        self._names.remove(name)
                        self._tell([name], "refused", reason)
                    if not self._names:
                        return
                    self._loaded = True
                    reason = await self._inference.ended()
                except ModelDown as exc:
                    reason = str(exc)
                self._loaded = False
                if not self._down:
                    self._tell(self._names, "down", reason)
                self._down = True
                if not self._may_restart():
                    self._tell(self._names, "given_up", reason)
                    return
                await self._clock.sleep(next(self._waits))
        finally:
            self._loaded = False
            await self._inference.close()

    def _may_restart(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        self._restarts.append(now_ns)
        full = len(self._restarts) == self._restarts.maxlen
        return not full or now_ns - self._restarts[0] > self._restarts_within_ns

    def _tell(self, names: Sequence[str], state: str, reason: str = "") -> None:
        for name in names:
            self._emit(
                ModelChanged(
                    t_ns=self._clock.monotonic_ns(),
                    model=name,
                    state=state,  # type: ignore[arg-type]  # the four literals above
                    reason=reason,
                )
            )


async def first_within(asking: "asyncio.Task[Float32s | None]", seconds: float, clock: Clock) -> Float32s | None:
    """The answer, or None when it is not there in time.

    The asking goes on by itself, since half a question cannot be taken back. Simulated time stands still meanwhile, so
    there nothing is late.
    """
    late = asyncio.create_task(clock.sleep(seconds))
    try:
        with clock.hold():
            await asyncio.wait({asking, late}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        late.cancel()
    return asking.result() if asking.done() else None
