"""Whether what a model is fed is still like what it was trained on: the population stability index, by input."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.model_inputs import ModelInput

_SHARE_MIN: Final = 1e-3  # an empty bin would be worth infinitely much; customary


class Drift:
    """Counts newest rows of model windows per input and bin; the bins are the manifest's, so its size is fixed."""

    def __init__(self, inputs: Sequence[ModelInput]) -> None:
        self._paths = [signal.path for signal in inputs]
        self._edges = [(np.array(signal.edges) - signal.mean) / signal.scale for signal in inputs]  # of scaled rows
        self._shares = [np.array(signal.shares) for signal in inputs]
        self._counts = [np.zeros(len(signal.edges) + 1, np.int64) for signal in inputs]
        self._optional = np.array([signal.optional for signal in inputs], np.bool_)

    def add(self, row: npt.NDArray[np.float32]) -> None:
        """Take one scaled row float32[inputs + optional inputs]; what was not told does not count."""
        told = np.ones(len(self._counts), np.bool_)
        told[self._optional] = row[len(self._counts) :] > 0
        for place in np.flatnonzero(told).tolist():
            value = np.float32(row[place]) - 1e-6  # an edge itself, rounded, stays below
            self._counts[place][np.searchsorted(self._edges[place], value)] += 1

    def psi(self) -> dict[str, float]:
        """Population stability index by path; inputs without bins are left out.

        Sum of (seen - trained) * ln(seen / trained) over the bins. 0.1 counts as a shift, 0.25 as a large one (credit
        scoring's custom).
        """
        found = {}
        for path, counts, shares in zip(self._paths, self._counts, self._shares, strict=True):
            rows = int(counts.sum())
            if len(shares) and rows:
                found[path] = psi(counts / rows, shares)
        return found


def psi(seen: npt.NDArray[np.float64], trained: npt.NDArray[np.float64]) -> float:
    """Population stability index of two lists of shares of the same bins."""
    seen, trained = np.maximum(seen, _SHARE_MIN), np.maximum(trained, _SHARE_MIN)
    return float(((seen - trained) * np.log(seen / trained)).sum())


def bins(values: npt.NDArray[np.float64], digits: int = 3) -> tuple[list[float], list[float]]:
    """Edges (the distinct deciles, rounded) and shares of a training column, for its manifest."""
    edges = np.unique(np.round(np.quantile(values, np.arange(0.1, 0.95, 0.1)), digits))
    counts = np.bincount(np.searchsorted(edges, np.round(values, digits)), minlength=len(edges) + 1)
    shares = np.round(counts / len(values), 4)
    return edges.tolist(), shares.tolist()
