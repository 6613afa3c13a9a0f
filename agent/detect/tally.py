"""What a model saw since its last report, and how often its shadow disagreed. Of a fixed size."""

from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.events import ModelReport
from agent.core.manifest import WindowManifest
from agent.detect.drift import Drift
from agent.detect.streams import NS

Float32s = npt.NDArray[np.float32]

_PERIOD_NS: Final = 86_400 * NS
_WINDOWS_MIN: Final = 7200  # two hours at one a second: below that a motorway or a queue counts as another world


class Tally:
    """Counts windows of a model, and of a shadow beside it; due says when that is worth a report."""

    def __init__(self, manifest: WindowManifest, shadow: WindowManifest | None = None) -> None:
        self._manifest = manifest
        self._shadow = shadow
        self._looked_ns: int | None = None
        self._begin()

    def take(self, inputs: Float32s, output: Float32s) -> bool:
        """Count the model's answer float32[1, outputs] about a window; whether it was at or above the threshold."""
        self._drift.add(inputs[0, -1])
        over = bool(output.max() >= self._manifest.threshold)
        self._windows += 1
        self._over += over
        return over

    def compare(self, *, over: bool, output: Float32s) -> None:
        """Count what the shadow answered about the same instant."""
        if self._shadow is not None:
            shadow_over = bool(output.max() >= self._shadow.threshold)
            self._compared += 1
            self._shadow_over += shadow_over
            self._disagreed += shadow_over != over

    def due(self, t_ns: int) -> ModelReport | None:
        """Once a day, where there are two hours of windows: a look at what was counted, which begins anew."""
        if self._windows < _WINDOWS_MIN or self._is_early(t_ns):
            return None
        report = self._report(t_ns)
        self._looked_ns = t_ns
        self._begin()
        return report

    def close(self, t_ns: int) -> ModelReport | None:
        """What was counted until the end; None where that says nothing, or the last look is not a day old."""
        return None if self._is_early(t_ns) else self._report(t_ns)

    def _is_early(self, t_ns: int) -> bool:
        return self._looked_ns is not None and t_ns - self._looked_ns < _PERIOD_NS

    def _report(self, t_ns: int) -> ModelReport | None:
        psi = self._drift.psi() if self._windows >= _WINDOWS_MIN else {}
        drifted = [path for path, index in psi.items() if index >= self._manifest.drift_psi]
        if not (drifted or self._compared):
            return None
        return ModelReport(
            t_ns=t_ns,
            model=self._manifest.id,
            windows=self._windows,
            over=self._over,
            shadow=self._shadow.id if self._shadow else "",
            compared=self._compared,
            shadow_over=self._shadow_over,
            disagreed=self._disagreed,
            drifted=drifted,
            psi_max=round(max(psi.values()), 3) if psi else None,
        )

    def _begin(self) -> None:
        self._drift = Drift(self._manifest.inputs)
        self._windows = self._over = self._compared = self._shadow_over = self._disagreed = 0
