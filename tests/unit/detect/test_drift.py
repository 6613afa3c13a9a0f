import msgspec
import numpy as np
import pytest

from agent.core import vss
from agent.core.events import ModelReport
from agent.core.model_inputs import ModelInput
from agent.detect.drift import Drift, bins, psi
from agent.detect.tally import Tally
from tests.unit.detect.feed import NS
from tests.unit.detect.test_anomaly import MANIFEST

DAY_NS = 86_400 * NS


def _trained(values: np.ndarray) -> ModelInput:
    edges, shares = bins(values)
    return ModelInput(path=vss.SPEED, unit="km/h", mean=50.0, scale=20.0, age_max_s=1.0, edges=edges, shares=shares)


def _index(training: np.ndarray, seen: np.ndarray) -> float:
    signal = _trained(training)
    drift = Drift([signal])
    for value in seen:
        drift.add(np.array([(value - signal.mean) / signal.scale], np.float32))
    return drift.psi()[vss.SPEED]


def test_the_index_is_the_textbooks() -> None:
    seen, trained = np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4])
    assert psi(seen, trained) == pytest.approx(0.1 * np.log(1.5) + 0.1 * np.log(1.25))
    assert psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(2 * 0.999 * np.log(1000))


def test_what_is_like_the_training_has_not_drifted_and_what_moved_has() -> None:
    rng = np.random.default_rng(5)
    training = rng.normal(50, 20, 10_000)
    assert _index(training, rng.normal(50, 20, 5_000)) < 0.01
    assert 0.1 < _index(training, rng.normal(60, 20, 5_000)) < 0.4
    assert _index(training, np.full(5_000, 50.0)) > 2


def test_what_was_not_told_has_not_drifted() -> None:
    signal = msgspec.structs.replace(_trained(np.random.default_rng(5).normal(50, 20, 10_000)), optional=True)
    drift = Drift([signal])
    for _ in range(100):
        drift.add(np.array([0.0, 0.0], np.float32))
    assert drift.psi() == {}
    drift.add(np.array([0.0, 1.0], np.float32))
    assert list(drift.psi()) == [vss.SPEED]


def test_many_equal_values_are_one_bin() -> None:
    rng = np.random.default_rng(6)
    training = np.where(rng.random(10_000) < 0.6, 0.0, rng.uniform(700, 3000, 10_000))
    edges, shares = bins(training)
    assert edges[0] == 0.0
    assert len(shares) == len(edges) + 1 < 10
    assert shares[0] == pytest.approx(0.6, abs=0.02)
    assert _index(training, training[:4_000]) < 0.01  # an edge is on the same side after scaling to float32


@pytest.mark.parametrize(
    ("edges", "shares", "reason"), [([1.0, 2.0], [0.5, 0.5], "2 edges part 3"), ([1.0, 1.0], [0.1] * 3, "must rise")]
)
def test_bins_that_make_no_sense_are_refused(edges: list[float], shares: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        msgspec.structs.replace(MANIFEST.inputs[0], edges=edges, shares=shares)


def _tally(*, shadow: bool = False) -> Tally:
    speed, engine = MANIFEST.inputs
    speed = msgspec.structs.replace(speed, edges=[40.0, 50.0, 60.0], shares=[0.25] * 4)
    manifest = msgspec.structs.replace(MANIFEST, inputs=[speed, engine])
    return Tally(manifest, msgspec.structs.replace(MANIFEST, name="other", threshold=1.0) if shadow else None)


def _feed(tally: Tally, speed_kmh: float, *, first: int, count: int = 7_200) -> list[ModelReport]:
    inputs = np.full((1, 4, 2), (speed_kmh - 50) / 10, np.float32)
    output = np.array([[0.1, 1.5]], np.float32)
    told = []
    for second in range(first, first + count):
        over = tally.take(inputs, output)
        tally.compare(over=over, output=output)
        if report := tally.due(second * NS):
            told.append(report)
    return told


def test_drift_is_told_from_two_hours_on_and_once_a_day() -> None:
    tally = _tally()
    assert _feed(tally, 100.0, first=0, count=7_199) == []
    (report,) = _feed(tally, 100.0, first=7_199, count=50_000)
    assert report.t_ns == 7_199 * NS
    assert (report.windows, report.over, report.drifted, report.shadow) == (7_200, 0, [vss.SPEED], "")
    assert report.psi_max is not None
    assert report.psi_max > 1
    assert tally.close(60_000 * NS) is None
    (again,) = _feed(tally, 100.0, first=7_199 + 86_400, count=10)
    assert again.windows == 50_000  # the 49,999 since the first look, and this one


def test_what_has_not_drifted_is_not_told_and_counting_begins_anew() -> None:
    tally = _tally()
    first = 0
    for speed in (35.0, 45.0, 55.0, 65.0):
        assert _feed(tally, speed, first=first, count=1_800) == []
        first += 1_800
    (report,) = _feed(tally, 100.0, first=86_400 + 7_200)
    assert report.windows == 7_200


def test_a_shadow_is_reported_at_the_end_of_even_a_short_drive() -> None:
    tally = _tally(shadow=True)
    assert _feed(tally, 50.0, first=0, count=100) == []
    report = tally.close(100 * NS)
    assert report == ModelReport(
        t_ns=100 * NS,
        model="tiny-3",
        windows=100,
        over=0,
        shadow="other-3",
        compared=100,
        shadow_over=100,
        disagreed=100,
    )
