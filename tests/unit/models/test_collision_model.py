import numpy as np
import pytest

from agent.core.manifest import load_feature_manifest
from agent.core.paths import MODELS
from agent.detect.crash_features import FEATURES
from models.candidates import Candidate, candidates_of, find_candidates
from models.collision_figures import auroc, false_alarms, recall
from simulators.blows import NEGATIVES, draw


def _candidate(kind: str, seed: int, *, true: bool) -> Candidate:
    return Candidate(kind, seed, 400, (0,), true, told=True)


def test_the_shipped_model_knows_the_detectors_features() -> None:
    manifest = load_feature_manifest(MODELS / "collision.toml")
    assert tuple(feature.name for feature in manifest.features) == FEATURES
    assert manifest.profiles == []


def test_a_crash_gives_a_true_candidate_and_a_fall_only_false_ones() -> None:
    (crash,) = candidates_of(draw("crash", 4, rate_hz=400))
    assert crash.true
    assert crash.told
    assert len(crash.features) == len(FEATURES)
    falls = [candidate for seed in range(4) for candidate in candidates_of(draw("drop_parked", seed))]
    assert falls
    assert not any(candidate.true for candidate in falls)


def test_loosened_limits_show_more_of_what_is_no_crash() -> None:
    scenes = [draw("hard_launch", seed) for seed in range(6)]
    usual = [c for scene in scenes for c in candidates_of(scene)]
    loosened = [c for scene in scenes for c in candidates_of(scene, loosened=True)]
    assert len(loosened) > len(usual)
    assert not any(candidate.true for candidate in loosened)


def test_candidates_do_not_depend_on_the_processes() -> None:
    jobs = [("crash", 1, 400), ("drop_parked", 2, 100)]
    assert find_candidates(jobs, workers=1) == [c for k, s, r in jobs for c in candidates_of(draw(k, s, rate_hz=r))]


def test_figures_are_those_of_a_small_example() -> None:
    score, true = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert auroc(score, true) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    jobs = [("crash", n, 400) for n in range(4)] + [("kerb", n, 400) for n in range(10)]
    told = [_candidate("crash", 0, true=True), _candidate("crash", 0, true=True), _candidate("crash", 1, true=True)]
    told += [_candidate("kerb", 7, true=False), _candidate("kerb", 7, true=False)]
    said = np.ones(len(told), np.bool_)
    assert recall(told, said, jobs, "crash") == 0.5
    assert false_alarms(told, said, jobs) == pytest.approx(10_000 * NEGATIVES["kerb"].per_hour / 10)
