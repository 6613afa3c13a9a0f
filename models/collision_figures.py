"""How well a collision model tells pulses apart, for its card."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.model_card import Metric
from models.candidates import Candidate, Job
from simulators.blows import NEGATIVES, POSITIVES

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_HOURS: Final = 10_000
_BINS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def measure(candidates: Sequence[Candidate], probability: Floats, jobs: Sequence[Job]) -> list[Metric]:
    """Discrimination, alarms and calibration; jobs are all scenes that were drawn for the candidates."""
    true = np.array([candidate.true for candidate in candidates])
    told = np.array([candidate.told for candidate in candidates])
    both = told & (probability >= 0.5)
    brier = float(((probability - true) ** 2).mean())
    return [
        Metric(what="scenes, pulses in them, of these collisions", value=f"{len(jobs)}, {len(true)}, {true.sum()}"),
        Metric(what="AUROC over pulses", value=f"{auroc(probability, true):.4f}"),
        *_alarms("rules alone", candidates, told, jobs),
        *_alarms("rules, and the model at 0.5 or above", candidates, both, jobs),
        *_alarms("model alone at 0.5 or above", candidates, probability >= 0.5, jobs),
        *_recall_without_alarms(candidates, probability, told, jobs),
        Metric(what="Brier score", value=f"{brier:.4f}"),
        *_reliability(probability, true),
    ]


def auroc(score: Floats, true: Flags) -> float:
    """Chance that a true one scores above another; ties count half."""
    over = score[true][:, None] - score[~true][None, :]
    return float((over > 0).mean() + 0.5 * (over == 0).mean())


def false_alarms(candidates: Sequence[Candidate], said: Flags, jobs: Sequence[Job]) -> float:
    """Scenes with an alarm though nothing hit the car, as often as the library says they come in 10,000 h of each."""
    drawn = Counter(kind for kind, _, _ in jobs)
    wrong = {(c.kind, c.seed) for c, yes in zip(candidates, said, strict=True) if yes and not c.true}
    alarmed = Counter(kind for kind, _ in wrong if kind in NEGATIVES)
    return sum(_HOURS * NEGATIVES[kind].per_hour * count / drawn[kind] for kind, count in alarmed.items())


def recall(candidates: Sequence[Candidate], said: Flags, jobs: Sequence[Job], kind: str) -> float:
    """Share of the scenes of a class in which the collision was told."""
    found = {(c.seed, c.rate_hz) for c, yes in zip(candidates, said, strict=True) if yes and c.true and c.kind == kind}
    return len(found) / sum(job[0] == kind for job in jobs)


def _alarms(who: str, candidates: Sequence[Candidate], said: Flags, jobs: Sequence[Job]) -> Iterator[Metric]:
    recalls = ", ".join(f"{kind} {recall(candidates, said, jobs, kind):.1%}" for kind in POSITIVES)
    yield Metric(what=f"{who}: recall", value=recalls)
    rate = false_alarms(candidates, said, jobs)
    yield Metric(what=f"{who}: false alarms in 10,000 h of driving and of parking", value=f"{rate:.1f}")


def _recall_without_alarms(
    candidates: Sequence[Candidate], probability: Floats, told: Flags, jobs: Sequence[Job]
) -> Iterator[Metric]:
    """What is left of the recall where the model's limit is so high that alarms end."""
    for allowed in (0.0, 1.0):
        limits = [0.0, *np.unique(probability[[not c.true for c in candidates]]).tolist()]
        limit = next(x for x in limits if false_alarms(candidates, told & (probability > x), jobs) <= allowed)
        recalls = ", ".join(
            f"{kind} {recall(candidates, told & (probability > limit), jobs, kind):.1%}" for kind in POSITIVES
        )
        what = f"rules, and the model above {limit:.3f}, where at most {allowed:g} false alarms are seen: recall"
        yield Metric(what=what, value=recalls)


def _reliability(probability: Floats, true: Flags) -> Iterator[Metric]:
    for low, high in pairwise(_BINS):
        inside = (probability >= low) & ((probability < high) | (high == 1.0))
        if inside.any():
            value = f"{true[inside].mean():.0%} were, of {inside.sum()}"
            yield Metric(what=f"it says {low:.0%} to {high:.0%}: collisions", value=value)
