"""Asks the anomaly model about due windows, in a child process that may die: rules never wait for it."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ModelDown, ModelRefused
from agent.core.events import Event, ModelChanged
from agent.core.ports import Clock, Inference
from agent.core.signals import SignalWindow
from agent.detect.anomaly import AnomalyWatch
from agent.mailbox import Mailbox

_WINDOWS_MAX: Final = 4  # a model slower than the drive loses the oldest windows, counted


class Watch:
    """Collects windows on the pipeline's side, judges the model's answers on its own task."""

    def __init__(
        self,
        anomalies: AnomalyWatch,
        inference: Inference,
        *,
        model: str,
        clock: Clock,
        emit: Callable[[Event], None],
        make_waits: Callable[[], Iterator[float]],
    ) -> None:
        self._anomalies = anomalies
        self._inference = inference
        self._model = model
        self._clock = clock
        self._emit = emit
        self._make_waits = make_waits
        self._due: Mailbox[tuple[int, npt.NDArray[np.float32]]] = Mailbox(_WINDOWS_MAX)

    @property
    def dropped(self) -> int:
        """Windows the model was too slow for."""
        return self._due.dropped

    def on_window(self, window: SignalWindow) -> None:
        """Note a window the model should see."""
        features = self._anomalies.collect(window)
        if features is not None:
            self._due.put((window.t_ns, features))

    async def run(self) -> None:
        """Until cancelled, or until the model is refused for good."""
        waits = self._make_waits()
        down = False
        try:
            while True:
                try:
                    with self._clock.hold():
                        await self._inference.load()
                    async for t_ns, features in self._due:
                        with self._clock.hold():
                            output = await self._inference.infer(features)
                        if down:  # told at the first answer: what loads and dies again has not come back
                            self._tell("restored")
                            down, waits = False, self._make_waits()
                        for event in self._anomalies.judge(output, t_ns):
                            self._emit(event)
                except ModelRefused as exc:
                    self._tell("refused", str(exc))
                    return
                except ModelDown as exc:
                    if not down:
                        self._tell("down", str(exc))
                    down = True
                await self._clock.sleep(next(waits))
        finally:
            await self._inference.close()

    def _tell(self, state: str, reason: str = "") -> None:
        self._emit(
            ModelChanged(
                t_ns=self._clock.monotonic_ns(),
                model=self._model,
                state=state,  # type: ignore[arg-type]  # the three literals above
                reason=reason,
            )
        )
