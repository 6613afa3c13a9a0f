"""Rebuild models/collision.onnx, its manifest and card: `python -m models.train_collision`. Minutes; seeded.

Trains on every pulse that opens in scenes of the library (simulators/blows), taken for a crash by the rules or not;
calibrates on other scenes; then tells, on scenes of held-out seeds, how well it and the rules tell them apart.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.manifest import FeatureManifest, Golden
from agent.core.model_card import Card
from agent.core.model_inputs import Feature
from agent.detect.crash_features import FEATURES
from models.candidates import Candidate, Job, find_candidates
from models.classifier import Classifier
from models.collision_figures import measure
from models.writing import write_model
from simulators.blows import HELD_OUT, KINDS, TRAINING, TUNING

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NAME: Final = "collision"
VERSION: Final = 1
SEED: Final = 20261128
OPSET: Final = 17
CLIP: Final = 30.0
LAYERS: Final = (len(FEATURES), 16, 8)
EPOCHS: Final = 60
# What opens pulses most often is drawn most often; of the rest enough to see that it opens none.
OPENS: Final[Mapping[str, int]] = {
    "crash": 500,
    "parked_hit": 400,
    "hard_launch": 40,
    "knock_driving": 100,
    "seat_beside": 30,
    "cable_tugged": 250,
    "loose_box": 100,
    "handling_driving": 300,
    "drop_driving": 100,
    "bumped_lightly": 150,
    "loading": 30,
    "knock_parked": 300,
    "handling_parked": 300,
    "drop_parked": 100,
}
QUIET: Final = 12
MIRRORED: Final = FEATURES.index("lateral_kmh")

CARD: Final = Card(
    does="says how likely the car itself was hit, of a pulse that passed the collision trigger",
    how=f"a dense net ({len(FEATURES)}-16-8-1, asinh then tanh) over a pulse's shape, calibrated by Platt's scaling",
    trained_on="pulses that open in simulated scenes of simulators/blows (seeds below 1,000,000), each also mirrored",
    threshold_from="equal odds; training weighs collisions and all else alike, so no prior of the road is in it",
    rebuilt_by="python -m models.train_collision",
    measured_on="simulated scenes of held-out seeds (from 15,000,000 on), at 400 and 100 Hz.",
    metrics=[],
    limits=[
        "All of its training is simulated: no real crash, and how often anything happens on a road is our guess.",
        "It speaks of pulses that passed the trigger of the rules, and of nothing else.",
        "It never takes a collision back. The confidence told is the mean of both log-odds, between rules and model.",
        "Few scenes were drawn of what opens no pulse: `./run eval collision --sweep` has the alarms, with bounds.",
        "Its probability is for equal odds. Real collisions are far rarer, so a lone 0.9 is no proof.",
        "Another processor or BLAS may train slightly different weights; hash and vectors belong to what is shipped.",
    ],
)


def main() -> None:
    """Draw, train, calibrate, measure, write."""
    rng = np.random.default_rng(SEED)
    workers = os.cpu_count() or 1
    training = find_candidates(jobs_of(TRAINING.start), workers=workers, loosened=True)
    tuning = find_candidates(jobs_of(TUNING.start + 500_000, share=0.25), workers=workers)
    held_out = jobs_of(HELD_OUT.start + 5_000_000, share=0.5)
    test = find_candidates(held_out, workers=workers)
    print(f"{len(training)} pulses to train on, {len(tuning)} to calibrate on, {len(test)} to measure on")
    scaling = scaling_of(training)
    net = fit(training, tuning, scaling, rng)
    metrics = measure(test, net.probability(scaled(test, scaling)), held_out)
    for metric in metrics:
        print(f"{metric.what}: {metric.value}")
    blob = net.export(OPSET)
    manifest = FeatureManifest(
        name=NAME,
        version=VERSION,
        file=f"{NAME}.onnx",
        sha256=hashlib.sha256(blob).hexdigest(),
        opset=OPSET,
        threshold=0.5,
        golden_tolerance=1e-3,
        profiles=[],
        clip=CLIP,
        card=msgspec.structs.replace(CARD, metrics=metrics),
        features=[
            Feature(name=name, mean=float(mean), scale=float(scale))
            for name, mean, scale in zip(FEATURES, *scaling, strict=True)
        ],
        golden=golden(net, test, scaling),
    )
    write_model(manifest, blob)


def jobs_of(first: int, *, share: float = 1.0) -> list[Job]:
    """Scenes of every class from the seed first on, even seeds at 400 Hz."""
    counts = {kind: max(2, round(share * OPENS.get(kind, QUIET))) for kind in KINDS}
    return [(kind, first + n, (400, 100)[n % 2]) for kind, count in counts.items() for n in range(count)]


def scaling_of(candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Mean and spread a feature, rounded so that the manifest holds exactly what was used."""
    rows = _rows(candidates)
    return np.round(rows.mean(axis=0), 4), np.round(np.maximum(rows.std(axis=0), 1e-3), 4)


def scaled(candidates: Sequence[Candidate], scaling: tuple[Floats, Floats]) -> Floats:
    """What the model is given, float64[n, features]."""
    mean, scale = scaling
    return np.clip((_rows(candidates) - mean) / scale, -CLIP, CLIP)


def fit(
    training: Sequence[Candidate], tuning: Sequence[Candidate], scaling: tuple[Floats, Floats], rng: np.random.Generator
) -> Classifier:
    """A calibrated net."""
    both = [*training, *map(_mirrored, training)]
    net = Classifier(list(LAYERS), rng)
    x, true = scaled(both, scaling), _truth(both)
    net.train(x, true, evened(both), rng, epochs=EPOCHS, batch=64, rate=5e-3)
    net.calibrate(scaled(tuning, scaling), _truth(tuning), evened(tuning))
    return net


def evened(candidates: Sequence[Candidate]) -> Floats:
    """Weights that give collisions as much as all else together; their mean is 1."""
    true = _truth(candidates)
    weights: Floats = np.where(true, len(true) / (2 * true.sum()), len(true) / (2 * (~true).sum()))
    return weights


def golden(net: Classifier, candidates: Sequence[Candidate], scaling: tuple[Floats, Floats]) -> list[Golden]:
    """A sure collision, a sure nothing and the most doubtful pulse, and what the net says of them."""
    x = np.round(scaled(candidates, scaling), 4)
    p = net.probability(x)
    picked = (int(p.argmax()), int(p.argmin()), int(np.abs(p - 0.5).argmin()))
    return [Golden(input=x[row].tolist(), output=[round(float(p[row]), 6)]) for row in picked]


def _mirrored(candidate: Candidate) -> Candidate:
    """The same from the other side of the car."""
    features = list(candidate.features)
    features[MIRRORED] = -features[MIRRORED]
    return replace(candidate, features=tuple(features))


def _rows(candidates: Sequence[Candidate]) -> Floats:
    return np.array([candidate.features for candidate in candidates], np.float64) / 1000


def _truth(candidates: Sequence[Candidate]) -> Flags:
    return np.array([candidate.true for candidate in candidates])


if __name__ == "__main__":
    main()
