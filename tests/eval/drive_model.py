"""The shipped drive model over whole drives: what it hints at, and how high it scores. The rules are not in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agent.core.events import Anomaly
from agent.core.manifest import load_window_manifest
from agent.core.paths import MODELS
from agent.core.signals import Series, SignalSpec
from agent.detect.anomaly import AnomalyWatch
from drivers.onnx_child import open_model
from drivers.onnx_child import run as run_session
from models.collision_figures import auroc
from models.drive_figures import PREVALENCE, lasting
from simulators.blows.feed import windows
from tests.eval.statistics import poisson_upper

NS: Final = 1_000_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one drive: hints, and by output the level that lasted for the manifest's persistence."""

    hints: list[Anomaly]
    levels: Floats


class DriveModel:
    """models/drive.onnx as the agent would run it, in this process."""

    def __init__(self) -> None:
        self.manifest = load_window_manifest(MODELS / "drive.toml")
        self._session: Any = open_model(self.manifest, MODELS / self.manifest.file)

    def hear(self, specs: Sequence[SignalSpec], t_ns: npt.NDArray[np.int64], values: Floats) -> Heard:
        """A drive of rows float64[n, len(specs)] at t_ns, from the start of the box on."""
        watch = AnomalyWatch(self.manifest)
        recording = {spec.path: Series(t_ns, values[:, place]) for place, spec in enumerate(specs)}
        hints: list[Anomaly] = []
        scores = [np.zeros(len(self.manifest.outputs), np.float32)]
        ends = np.arange(int(t_ns[0]) // NS, int(t_ns[-1]) // NS + 1) * NS if len(t_ns) else np.empty(0, np.int64)
        for window in windows(recording, ends.tolist()):
            inputs = watch.collect(window)
            if inputs is None:
                continue
            output = run_session(self._session, inputs, self.manifest)
            scores.append(output[0])
            hints += [event for event in watch.judge(inputs, output, window.t_ns) if isinstance(event, Anomaly)]
        return Heard(hints, lasting(np.array(scores), self.manifest.persistence))

    def places(self, signal: str, faults: Sequence[str]) -> list[int]:
        """Outputs about a signal; where faults are named, only those."""
        return [
            place
            for place, output in enumerate(self.manifest.outputs)
            if output.signal == signal and (not faults or output.fault in faults)
        ]


def figures(bad: Sequence[float], good: Sequence[float], found: int, false: int) -> dict[str, float | None]:
    """AUROC of levels, and precision if so large a share of drives had the fault; low: by the bound of false ones."""
    if not bad or not good:
        return {}
    level = np.array([*bad, *good])
    share, wrong = found / len(bad), false / len(good)
    low = min(1.0, poisson_upper(false) / len(good))
    return {
        "auroc": round(auroc(level, np.arange(len(level)) < len(bad)), 3),
        "precision": _precision(share, wrong),
        "precision_low": _precision(share, low),
    }


def _precision(found: float, false: float) -> float | None:
    told = PREVALENCE * found + (1 - PREVALENCE) * false
    return round(PREVALENCE * found / told, 3) if told else None
