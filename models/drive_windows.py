"""Windows of drives as the drive model is given them, and how high it scores a whole drive."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from models.convolution import Convolution
from models.drive_data import Told
from models.drive_faults import FAULTS, INPUTS, PLACE, REQUIRED
from models.drive_figures import NEVER, lasting

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Scaling = tuple[Floats, Floats]
"""Mean and scale of each input."""

STEPS: Final = 240
PERSISTENCE: Final = 30
EVERY_S: Final = 5  # in measuring
BATCHES: Final = 400
BATCH: Final = 64


class Windows:
    """Drives end to end, and where windows of them begin."""

    def __init__(self, drives: Iterable[Told], scaling: Scaling) -> None:
        kept = [drive for drive in drives if len(drive.rows) >= STEPS]
        self._values = np.concatenate([scaled(drive.rows, scaling) for drive in kept])
        self._shown = np.concatenate([drive.shown for drive in kept])
        edges = np.cumsum([0, *(len(drive.rows) for drive in kept)])
        starts, absent = [], []
        for drive, (first, end) in zip(kept, pairwise(edges.tolist()), strict=True):
            places = np.arange(first, end - STEPS + 1, 15)
            starts.append(places)
            absent.append(np.repeat(~drive.present[None], len(places), axis=0))
        self._starts, self._absent = np.concatenate(starts), np.concatenate(absent)
        faulty = self._shown[self._starts + STEPS - 1].any(axis=1)
        self._faulty, self._others = np.flatnonzero(faulty), np.flatnonzero(~faulty)

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Float32s, Float32s, Float32s]]:
        """Three in eight windows show a fault. A fault that is there but does not show yet is no lesson."""
        faulty = 3 * BATCH // 8
        for _ in range(BATCHES):
            picked = np.concatenate([rng.choice(self._faulty, faulty), rng.choice(self._others, BATCH - faulty)])
            x, target = self._cut(picked)
            late = np.flatnonzero(rng.random(BATCH) < 0.1)
            for row, place in zip(late, rng.integers(REQUIRED, len(INPUTS), len(late)), strict=True):
                until = int(rng.integers(60))  # a port that asks seldom has not told all at once
                x[row, :until, [place, len(INPUTS) + place - REQUIRED]] = 0.0
            weight = (target | self._absent[picked]).astype(np.float32)
            yield x, target.astype(np.float32), weight

    def _cut(self, picked: npt.NDArray[np.intp]) -> tuple[Float32s, npt.NDArray[np.bool_]]:
        first = self._starts[picked]
        return self._values[first[:, None] + np.arange(STEPS)], self._shown[first + STEPS - 1]


def scaled(rows: Floats, scaling: Scaling) -> Float32s:
    """What the model is given, float32[n, inputs + optional ones]: values, then 1 where an optional one is told."""
    mean, scale = scaling
    told = np.isfinite(rows)
    values = np.where(told, (rows - mean) / scale, 0.0)
    return np.concatenate([values, told[:, REQUIRED:]], axis=1).astype(np.float32)


def level(net: Convolution, rows: Floats, scaling: Scaling, *, counted: bool = True) -> Floats:
    """The highest log-odds that lasted in a drive, float64[outputs]; counted: only where the output counts."""
    if len(rows) < STEPS:
        return np.full(len(FAULTS), NEVER)
    view = np.lib.stride_tricks.sliding_window_view(scaled(rows, scaling), STEPS, axis=0)[::EVERY_S]
    pieces = [view[row : row + 256].transpose(0, 2, 1) for row in range(0, len(view), 256)]
    z = np.concatenate([net.log_odds(np.ascontiguousarray(piece)) for piece in pieces])
    for place, fault in enumerate(FAULTS):
        if counted and fault.moved is not None:
            lowest = np.lib.stride_tricks.sliding_window_view(rows[:, PLACE[fault.name]], STEPS)[::EVERY_S].min(axis=1)
            z[lowest < fault.moved, place] = NEVER
    return lasting(z, PERSISTENCE // EVERY_S)
