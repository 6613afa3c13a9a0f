"""What the collision detector sees in scenes of the library: every pulse that opened, taken for a crash or not."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Final
from unittest.mock import patch

import msgspec

from agent.core.config import CollisionLimits
from agent.detect import collision as room
from agent.detect.verdict import Case, make_case
from simulators.blows import Scene, draw, watch

_WINDOW_S: Final = 0.1  # as tests/eval: no detector can tell
_CHUNK: Final = 32
_EARLY_NS: Final = 150_000_000  # T0 may lie so long before the true onset: the span that the trigger looks back over
_LATE_NS: Final = 300_000_000
_LOOSE: Final = {"delta_v_kmh": 5.0, "stationary_delta_v_kmh": 2.0}

Job = tuple[str, int, int]
"""Class of the library, seed, rate in Hz."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pulse: whether it truly was a collision of the car, and whether the rules take it for one."""

    kind: str
    seed: int
    rate_hz: int
    features: tuple[int, ...]
    true: bool
    told: bool


def find_candidates(jobs: Sequence[Job], *, workers: int, loosened: bool = False) -> list[Candidate]:
    """Of the scenes, in their order, on so many processes.

    loosened: with limits far below the true ones where nothing hit the car, so that there is more to learn from.
    """
    chunks = [jobs[first : first + _CHUNK] for first in range(0, len(jobs), _CHUNK)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [candidate for found in pool.map(partial(_find_some, loosened=loosened), chunks) for candidate in found]


def candidates_of(scene: Scene, *, loosened: bool = False) -> list[Candidate]:
    """Pulses of one scene. What opens long after the true blow is left out: nobody knows what it should be called."""
    cases: list[Case] = []

    def listen(*given: Any, **named: Any) -> Case:
        cases.append(make_case(*given, **named))
        return cases[-1]

    limits = scene.limits()
    if loosened and scene.blow is None:
        limits = msgspec.structs.replace(limits, collision=msgspec.structs.replace(limits.collision, **_LOOSE))
    with patch.object(room, "make_case", listen):  # the detector tells of what it takes for crashes alone
        watch(room.CollisionDetector(limits), scene.signals, window_s=_WINDOW_S)
    return [candidate for case in cases if (candidate := _candidate(scene, case, limits.collision)) is not None]


def _candidate(scene: Scene, case: Case, limits: CollisionLimits) -> Candidate | None:
    true = False
    if scene.blow is not None:
        since_ns = case.pulse.t0_ns - scene.blow.t_ns
        true = -_EARLY_NS <= since_ns <= _LATE_NS
        if not true and since_ns > 0:
            return None
    told = case.kind(limits) == "collision"
    return Candidate(scene.kind, scene.seed, scene.conditions.rate_hz, tuple(case.features), true, told)


def _find_some(jobs: Sequence[Job], *, loosened: bool) -> list[Candidate]:
    scenes = (draw(kind, seed, rate_hz=rate_hz) for kind, seed, rate_hz in jobs)
    return [candidate for scene in scenes for candidate in candidates_of(scene, loosened=loosened)]
