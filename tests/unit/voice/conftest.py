"""Windows without a pipeline, and the shipped phrases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from agent.core.paths import PROMPTS
from agent.core.signals import EMPTY_SERIES, Series
from agent.voice.prompts import Phrases, load_phrases


@dataclass(frozen=True)
class Window:
    """A SignalWindow over given samples: path -> [(time in s, value)]."""

    samples: Mapping[str, Sequence[tuple[float, float]]]
    t_ns: int
    latest_values: Mapping[str, float]

    def paths(self) -> list[str]:
        return list(self.samples)

    def new(self, path: str) -> Series:
        rows = self.samples.get(path, ())
        if not rows:
            return EMPTY_SERIES
        return Series(np.array([round(t * 1e9) for t, _ in rows], np.int64), np.array([v for _, v in rows], np.float64))

    def recent(self, path: str, seconds: float) -> Series:  # noqa: ARG002 - the gate keeps its own past
        return self.new(path)

    def latest(self, path: str) -> float | None:
        rows = self.samples.get(path, ())
        return rows[-1][1] if rows else self.latest_values.get(path)


MakeWindow = Callable[..., Window]


@pytest.fixture(scope="session")
def make_window() -> MakeWindow:
    def make(
        samples: Mapping[str, Sequence[tuple[float, float]]], *, latest: Mapping[str, float] | None = None
    ) -> Window:
        end_s = max((rows[-1][0] for rows in samples.values() if rows), default=0.0)
        return Window(samples, round(end_s * 1e9), latest or {})

    return make


@pytest.fixture(scope="session")
def phrases() -> Phrases:
    return load_phrases(PROMPTS)
