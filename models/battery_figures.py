"""How well the battery model tells cells and packs apart, on packs that it was not trained on."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.manifest import SequenceManifest
from agent.core.model_card import Metric
from agent.detect.cell_features import DAYS_MIN
from models.battery_packs import KINDS, Pack

Floats = npt.NDArray[np.float64]
Net = Callable[[Floats], Floats]
"""Steps float64[n, steps, features] in their units to probabilities float64[n, kinds]."""

_PREVALENCE: Final = 0.0005  # of vehicles: one fleet's 0.038 to 0.075 % (docs/sources.md 4)


def kinds_by_day(pack: Pack, net: Net) -> Floats:
    """What the net says of each cell on each day of use from the third on: float64[days, cells, kinds]."""
    history = pack.history
    count = len(history.numbers) - DAYS_MIN + 1
    steps = [history.steps(cell, before=age) for age in range(count - 1, -1, -1) for cell in range(history.cells)]
    said = net(np.array(steps))
    return said.reshape(count, history.cells, said.shape[1])


def sick_by_day(pack: Pack, net: Net) -> Floats:
    """How likely each cell is at fault: float64[days, cells]. A lying sensor is no cell at fault."""
    sick: Floats = kinds_by_day(pack, net)[:, :, 1:-1].sum(axis=2)
    return sick


def persistent(sick: Floats, days: int) -> Floats:
    """By cell, the highest level that it holds so many days of use in a row: float64[cells]."""
    if len(sick) < days:
        return np.zeros(sick.shape[1])
    windows = np.lib.stride_tricks.sliding_window_view(sick, days, axis=0)
    highest: Floats = windows.min(axis=2).max(axis=0)
    return highest


def measure(packs: Sequence[Pack], net: Net, manifest: SequenceManifest) -> list[Metric]:
    """The card's table, by cells and by packs; a pack is as sick as its sickest cell."""
    bad, good, sensors, named = [], [], [], {kind: [0, 0, 0] for kind in manifest.faults}
    for pack in packs:
        levels = persistent(sick_by_day(pack, net), manifest.persistence)
        if pack.kind == KINDS[0]:
            good.append(float(levels.max()))
        elif pack.kind == KINDS[-1]:
            sensors.append(float(levels.max()))
        elif pack.cell is not None:
            bad.append(float(levels.max()))
            over = np.flatnonzero(levels >= manifest.threshold).tolist()
            named[pack.kind][0] += pack.cell in over
            named[pack.kind][1] += any(pack.truth(cell) == KINDS[0] for cell in over)
            named[pack.kind][2] += 1
    found = sum(level >= manifest.threshold for level in bad) / len(bad)
    accused = sum(level >= manifest.threshold for level in good)
    false_high = min(1.0, (accused + 3) / len(good))  # of none the 95 % upper bound is 3 in n
    metrics = [
        Metric(what="packs with a cell at fault, healthy, with a sensor that lies", value=_counts(bad, good, sensors)),
        Metric(what="AUROC over packs, faulty against healthy", value=f"{auroc(bad, good):.4f}"),
        Metric(what="healthy packs with a cell over the threshold", value=f"{accused} of {len(good)}"),
        Metric(
            what="packs with a lying sensor, and a cell over the threshold",
            value=f"{sum(level >= manifest.threshold for level in sensors)} of {len(sensors)}",
        ),
        Metric(
            what="precision at 0.05 % prevalence, with the 95 % upper bound of the false share",
            value=f"{_precision(found, false_high):.4f}: so few healthy packs prove no more",
        ),
    ]
    for kind, (hit, other, count) in named.items():
        what = f"{kind.replace('_', ' ')}: cell named, another named as well"
        metrics.append(Metric(what=what, value=f"{hit}, {other} of {count}"))
    return metrics


def auroc(bad: Sequence[float], good: Sequence[float]) -> float:
    """Chance that a faulty pack scores above a healthy one; ties count half."""
    won = sum((b > g) + 0.5 * (b == g) for b in bad for g in good)
    return won / len(bad) / len(good)


def _precision(found: float, false: float) -> float:
    return _PREVALENCE * found / (_PREVALENCE * found + (1 - _PREVALENCE) * false)


def _counts(*groups: Sequence[float]) -> str:
    return ", ".join(str(len(group)) for group in groups)
