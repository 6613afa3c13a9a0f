"""The battery model beside a pipeline, as agent.cell_watch asks it, without a process of its own."""

import copy
from collections.abc import Sequence

import numpy as np

from agent.core.events import BatteryAdvice, Event
from agent.core.manifest import load_sequence_manifest
from agent.core.paths import MODELS
from agent.detect.cell_days import CellDays
from agent.detect.cell_scores import CellScores
from agent.pipeline import Pipeline
from drivers.onnx_child import open_model, run

_MODEL = "battery"


class Listener:
    """Holds advice for the model, looks when a day of use has ended, and keeps how sure it was of each cell.

    apart: what the model names is not taken for told, so that the rules say the same as without it. Raises AgentError
    where the model is not as its manifest says.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._manifest = load_sequence_manifest(MODELS / f"{_MODEL}.toml")
        self._session = open_model(self._manifest, MODELS / self._manifest.file)
        self._scores = CellScores(self._manifest)
        self._apart = apart
        self._told: dict[int, int] = {}
        self.looks: list[list[float]] = []
        self.threshold = self._manifest.threshold

    def begin(self, pipeline: Pipeline) -> None:
        """Before the first window."""
        self._scores.begin(pipeline.cell_days)

    def hold(self, events: Sequence[Event]) -> list[Event]:
        """Those that need not wait."""
        return [event for event in events if not self._scores.hold(event)]

    def after(self, pipeline: Pipeline, t_ns: int) -> list[Event]:
        """What is told once the window that ended at t_ns has been judged."""
        days = pipeline.cell_days
        if not self._scores.is_due(days):
            return []
        asking = self._scores.look(self._own(days), t_ns)
        faults = [self._manifest.kinds.index(fault) for fault in self._manifest.faults]
        said: list[float] = []
        try:
            inputs = next(asking)
            while True:
                output = run(self._session, inputs, self._manifest)
                said.append(float(output[0, faults].sum()))
                inputs = asking.send(output)
        except StopIteration as done:
            events: list[Event] = done.value
        if days is not None and len(said) >= days.cells:
            self.looks.append(said[: days.cells])
        alone = [event for event in events if isinstance(event, BatteryAdvice) and event.confidence_rules is None]
        if not self._apart:
            pipeline.hear(alone)
        self._told |= {event.cell: 1 for event in alone if event.cell is not None}
        return events

    def level(self) -> float:
        """How sure it was of the cell that it was surest of, over so many days in a row as it takes to be heard."""
        count = self._manifest.persistence
        runs = [self.looks[first : first + count] for first in range(len(self.looks) - count + 1)]
        return max(
            (max(map(min, zip(*looks, strict=True))) for looks in runs if len({*map(len, looks)}) == 1), default=0.0
        )

    def _own(self, days: CellDays | None) -> CellDays | None:
        if days is None or not self._apart:
            return days
        own = copy.copy(days)
        own.told = days.told.copy()
        for cell in self._told:
            own.told[:, cell] = np.maximum(own.told[:, cell], 1)
        return own
