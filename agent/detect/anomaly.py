"""The model's watch over the drive: windows for it, and what its answers mean. Inference itself is a port."""

from collections import deque

import numpy as np
import numpy.typing as npt

from agent.core.events import Anomaly, Event
from agent.core.manifest import WindowManifest
from agent.core.model_inputs import Output
from agent.core.signals import SignalWindow
from agent.detect.streams import NS

Float32s = npt.NDArray[np.float32]


class AnomalyWatch:
    """Cuts model windows from samples and judges the answers.

    Rows lie on a fixed grid of absolute time and hold each input's newest value at or before their instant; a row
    in which one that is not optional is missing or too old starts the window anew. The manifest's gate leaves rows out.
    A window is due every period_s, at whole multiples of it. Nothing is reported before the same output was at or above
    the threshold in `persistence` windows in a row, nor within gap_min_s of the last report.
    """

    def __init__(self, manifest: WindowManifest, *, period_s: float = 1.0) -> None:
        self.manifest = manifest
        self.inputs = tuple(signal.path for signal in manifest.inputs)
        self._step_ns = round(NS / manifest.rate_hz)
        self._steps_per_period = max(1, round(period_s * manifest.rate_hz))
        self._late_rows = manifest.steps + self._steps_per_period  # of a long window no older row can still matter
        self._newest: list[tuple[int, float] | None] = [None] * len(self.inputs)
        self._rows: deque[list[float]] = deque(maxlen=manifest.steps)
        self._grid: int | None = None
        self._left_out = 0
        self._barred = False
        self._over = [0] * len(manifest.outputs)
        self._counts_from = [self._scaled(output) for output in manifest.outputs]
        self._reported_ns: int | None = None

    def collect(self, window: SignalWindow) -> Float32s | None:
        """Take samples; a scaled model window of the manifest's shape when due, the newest where several are."""
        grid = window.t_ns // self._step_ns
        first = grid if self._grid is None else max(self._grid + 1, grid - self._late_rows)
        self._grid = max(grid, self._grid or 0)
        columns = []
        for place, path in enumerate(self.inputs):
            series = window.new(path)
            if first > grid:  # no row falls into this window
                if len(series):
                    self._newest[place] = (int(series.t_ns[-1]), float(series.value[-1]))
                continue
            values = [self._newest[place]]
            if len(series):
                values += zip(series.t_ns.tolist(), series.value.tolist(), strict=True)
                self._newest[place] = values[-1]
            columns.append(values)
        due = None
        for number in range(first, grid + 1):
            added = self._add_row(number * self._step_ns, columns)
            if added and number % self._steps_per_period == 0 and len(self._rows) == self.manifest.steps:
                due = np.array([self._rows], np.float32)
        return due

    def judge(self, window: Float32s, output: Float32s, t_ns: int) -> list[Event]:
        """Weigh the model's answer float32[1, outputs] about the window that was due at t_ns."""
        scores = [
            score if place is None or window[0, :, place].min() >= least else 0.0
            for score, (place, least) in zip(output[0].tolist(), self._counts_from, strict=True)
        ]
        limit = self.manifest.threshold
        self._over = [count + 1 if score >= limit else 0 for count, score in zip(self._over, scores, strict=True)]
        lasting = [place for place, count in enumerate(self._over) if count >= self.manifest.persistence]
        recent = self._reported_ns is not None and t_ns - self._reported_ns < self.manifest.gap_min_s * NS
        if not lasting or recent:
            return []
        self._reported_ns = t_ns
        worst = max(lasting, key=scores.__getitem__)
        return [
            Anomaly(
                t_ns=t_ns,
                model=self.manifest.id,
                score=round(scores[worst], 3),
                threshold=limit,
                signal=self.manifest.outputs[worst].signal,
                fault=self.manifest.outputs[worst].fault,
            )
        ]

    def _scaled(self, output: Output) -> tuple[int | None, float]:
        """Which input must be at least how much all along, scaled, for an output to count; None: it always does."""
        if output.least is None:
            return None, 0.0
        place = self.inputs.index(output.signal)
        signal = self.manifest.inputs[place]
        return place, (output.least - signal.mean) / signal.scale

    def _add_row(self, t_ns: int, columns: list[list[tuple[int, float] | None]]) -> bool:
        """Whether the instant gave a row."""
        values, row, told = {}, [], []
        for samples, signal in zip(columns, self.manifest.inputs, strict=True):
            at = next((v for v in reversed(samples) if v is not None and v[0] <= t_ns), None)
            fresh = at is not None and t_ns - at[0] <= signal.age_max_s * NS
            if not fresh and not signal.optional:
                self._rows.clear()
                return False
            if at is not None and fresh:
                values[signal.path] = at[1]
            row.append((at[1] - signal.mean) / signal.scale if at is not None and fresh else 0.0)
            if signal.optional:
                told.append(float(fresh))
        if not self._passes(values):
            return False
        self._rows.append(row + told)
        return True

    def _passes(self, values: dict[str, float]) -> bool:
        """Whether the gate lets a row count."""
        gate = self.manifest.gate
        if gate is None:
            return True
        if values[gate.signal] < gate.least:
            self._barred = self._barred or values[gate.moves] > gate.moves_above
            self._left_out += 1
            if self._barred or self._left_out > gate.pause_max_s * self.manifest.rate_hz:
                self._rows.clear()
            return False
        self._left_out = 0
        return not self._barred
