"""Shows the anomaly model its windows, and a shadow the same: what they say becomes events."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from agent.core.events import Event
from agent.core.manifest import WindowManifest
from agent.core.ports import Clock
from agent.core.signals import SignalWindow
from agent.detect.anomaly import AnomalyWatch
from agent.detect.tally import Tally
from agent.inference import Models
from agent.mailbox import Mailbox

Float32s = npt.NDArray[np.float32]

_WINDOWS_MAX = 4  # a model slower than the drive loses the oldest windows, counted


class Watch:
    """Collects windows on the pipeline's side, judges the model's answers on its own task."""

    def __init__(
        self,
        manifest: WindowManifest,
        models: Models,
        *,
        shadow: WindowManifest | None = None,
        period_s: float = 1.0,
        clock: Clock,
        emit: Callable[[Event], None],
    ) -> None:
        self._main = AnomalyWatch(manifest, period_s=period_s)
        self._shadow = AnomalyWatch(shadow, period_s=period_s) if shadow else None
        self._tally = Tally(manifest, shadow)
        self._models = models
        self._clock = clock
        self._emit = emit
        self._due: Mailbox[tuple[int, Float32s, Float32s | None]] = Mailbox(_WINDOWS_MAX)

    @property
    def dropped(self) -> int:
        """Windows the model was too slow for."""
        return self._due.dropped

    def on_window(self, window: SignalWindow) -> None:
        """Note a window the model should see."""
        inputs = self._main.collect(window)
        beside = self._shadow.collect(window) if self._shadow else None
        if inputs is not None and self._models.serves(self._main.manifest.name):
            self._due.put((window.t_ns, inputs, beside))

    async def run(self) -> None:
        """Until cancelled."""
        async for t_ns, inputs, beside in self._due:
            with self._clock.hold():
                await self._judge(t_ns, inputs, beside)

    def close(self) -> None:
        """Tell what has been counted, if that is worth telling."""
        if report := self._tally.close(self._clock.monotonic_ns()):
            self._emit(report)

    async def _judge(self, t_ns: int, inputs: Float32s, beside: Float32s | None) -> None:
        output = await self._models.ask(self._main.manifest.name, inputs)
        if output is None:
            return
        over = self._tally.take(inputs, output)
        for event in self._main.judge(inputs, output, t_ns):
            self._emit(event)
        if self._shadow is not None and beside is not None:
            answer = await self._models.ask(self._shadow.manifest.name, beside)
            if answer is not None:
                self._tally.compare(over=over, output=answer)
        if report := self._tally.due(t_ns):
            self._emit(report)
