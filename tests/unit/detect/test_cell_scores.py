from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from agent.core.events import BatteryAdvice, Event, ModelReport, TripStarted
from agent.core.manifest import Golden, SequenceManifest
from agent.core.model_inputs import SequenceFeature
from agent.core.odds import join_confidence
from agent.detect.cell_advice import advise, pack_changed
from agent.detect.cell_days import CellDays
from agent.detect.cell_features import FEATURES, STEPS
from agent.detect.cell_scores import Asking, CellScores
from tests.unit.detect.test_anomaly import MANIFEST as DRIVE
from tests.unit.detect.test_cell_features import make_days

KINDS = ["healthy", "weak_cell", "contact_resistance", "micro_short", "sensor"]
MANIFEST = SequenceManifest(
    name="battery",
    version=1,
    file="battery.onnx",
    sha256="0" * 64,
    opset=17,
    threshold=0.9,
    golden_tolerance=1e-3,
    profiles=[],
    card=DRIVE.card,
    golden=[Golden(input=[0.0] * STEPS * len(FEATURES), output=[1.0, 0, 0, 0, 0])],
    steps=STEPS,
    clip=30.0,
    kinds=KINDS,
    faults=KINDS[1:4],
    persistence=3,
    drift_psi=0.25,
    features=[SequenceFeature(name=name, unit="", scale=1.0) for name in FEATURES],
)
Said = Callable[[np.ndarray], list[float]]


def weak_below(percent: float) -> Said:
    """A model that knows a weak cell by the newest day's charge."""

    def say(steps: np.ndarray) -> list[float]:
        return (
            [0.02, 0.97, 0.0, 0.01, 0.0] if steps[0, -1, FEATURES.index("charge")] < percent else [0.99, 0.01, 0, 0, 0]
        )

    return say


def put(asking: Asking, say: Said) -> tuple[list[Event], int]:
    """Answer all that is asked: events, and how many questions there were."""
    asked = 0
    try:
        inputs = next(asking)
        while True:
            asked += 1
            assert inputs.shape == MANIFEST.input_shape
            assert inputs.dtype == np.float32
            inputs = asking.send(np.array([say(inputs)], np.float32))
    except StopIteration as done:
        return done.value, asked


def rules(cell: int | None, *, since_days: float = 4.0, level: str = "advice") -> BatteryAdvice:
    return advise(
        5,
        level=level,  # type: ignore[arg-type]
        fault="weak_cell",
        cell=cell,
        feature="rest_voltage",
        value=-0.04,
        spread=0.005,
        unit="V",
        since_days=since_days,
        confidence=0.8,
    )


@pytest.fixture
def days() -> CellDays:
    return make_days([0, 1, 2, 3, 4, 6, 7, 8], charge={5: [0.0, 0.0, -1.0, -4.0, -4.0, -4.0, -4.0, -4.0]})


def test_alone_it_gives_advice_and_says_which_cell_in_what_and_since_when(days: CellDays) -> None:
    scores = CellScores(MANIFEST)
    assert scores.is_due(days)
    (event,), _ = put(scores.look(days, 77), weak_below(-3.0))
    assert isinstance(event, BatteryAdvice)
    assert (event.t_ns, event.level, event.fault, event.cell, event.action) == (
        77,
        "advice",
        "weak_cell",
        5,
        "mention_at_service",
    )
    assert (event.feature, event.unit) == ("rest_voltage", "V")
    assert event.value == pytest.approx(-0.036, abs=0.001)
    assert event.since_days == 5  # day 3, the first on which it would have said so, to day 8
    assert (event.confidence_rules, event.confidence_model) == (None, 0.98)
    assert event.confidence == pytest.approx(join_confidence(0.5, 0.98), abs=0.01)
    assert days.told[:, 5].tolist() == [1, 0, 0]
    assert not scores.is_due(days)
    assert put(CellScores(MANIFEST).look(days, 78), weak_below(-3.0))[0] == []  # told once, whatever boots


def test_it_is_not_heard_before_three_days_in_a_row() -> None:
    days = make_days([0, 1, 2, 3, 4], charge={5: [0.0, 0.0, 0.0, -4.0, -4.0]})
    assert put(CellScores(MANIFEST).look(days, 1), weak_below(-3.0))[0] == []
    assert not days.told.any()


def test_what_lies_among_the_others_it_does_not_name() -> None:
    days = make_days([0, 1, 2, 3, 4], charge={5: [-0.5] * 5})
    assert put(CellScores(MANIFEST).look(days, 1), weak_below(-0.4))[0] == []


def test_a_pack_of_outliers_is_one_that_it_does_not_know(days: CellDays) -> None:
    assert put(CellScores(MANIFEST).look(days, 1), weak_below(9.0))[0] == []


def test_rules_wait_for_its_word_and_both_are_told(days: CellDays) -> None:
    scores = CellScores(MANIFEST)
    assert scores.hold(rules(5))
    assert scores.hold(rules(6))
    (five, six), asked = put(scores.look(days, 1), weak_below(-3.0))
    assert asked == days.cells  # what the rules have named it does not name again
    assert isinstance(five, BatteryAdvice)
    assert isinstance(six, BatteryAdvice)
    assert (five.confidence_rules, five.confidence_model) == (0.8, 0.98)
    assert five.confidence == pytest.approx(join_confidence(0.8, 0.98), abs=0.01)
    assert msgspec.structs.replace(five, confidence=0.8, confidence_model=None) == rules(5)
    assert six.level == "advice"  # taken back it is not, only less sure
    assert six.confidence < 0.5
    assert scores.release() == []


@pytest.mark.parametrize(
    "event",
    [rules(5, level="stop_now"), rules(5, since_days=0.0), pack_changed(1), TripStarted(t_ns=1)],
    ids=["urgent", "of today", "of the pack", "of something else"],
)
def test_what_hurries_or_is_none_of_its_business_does_not_wait(event: Event) -> None:
    scores = CellScores(MANIFEST)
    assert not scores.hold(event)
    assert scores.release() == []


def test_no_more_wait_than_there_is_room_for() -> None:
    scores = CellScores(MANIFEST)
    held = sum(scores.hold(rules(cell)) for cell in range(40))
    assert held == 16
    assert scores.release() == [rules(cell) for cell in range(16)]


def test_where_it_falls_silent_the_rules_word_goes_out_and_the_day_is_looked_at_again(days: CellDays) -> None:
    scores = CellScores(MANIFEST)
    assert scores.hold(rules(5))
    asking = scores.look(days, 1)
    next(asking)
    asking.close()
    assert scores.release() == [rules(5)]
    assert scores.is_due(days)


def test_days_of_an_earlier_boot_were_looked_at_when_they_ended(days: CellDays) -> None:
    scores = CellScores(MANIFEST)
    scores.begin(days)
    assert not scores.is_due(days)
    assert not scores.is_due(days)
    days.numbers[-1] += 1
    assert scores.is_due(days)


def test_another_pack_is_named_anew(days: CellDays) -> None:
    scores = CellScores(MANIFEST)
    scores.hold(rules(5, since_days=0.0))
    assert put(scores.look(days, 1), weak_below(-3.0))[0] == []
    scores.hold(pack_changed(2))
    other = make_days([10, 11, 12], charge={5: [-4.0, -4.0, -4.0]})
    assert put(scores.look(other, 3), weak_below(-3.0))[0] == []  # one day on which it could say so
    other = make_days([10, 11, 12, 13, 14], charge={5: [-4.0] * 5})
    assert [e.cell for e in put(scores.look(other, 3), weak_below(-3.0))[0] if isinstance(e, BatteryAdvice)] == [5]


def test_too_few_days_are_asked_about_by_nobody() -> None:
    scores = CellScores(MANIFEST)
    days = make_days([0, 1], charge={})
    assert scores.hold(rules(5))
    assert put(scores.look(days, 1), weak_below(-3.0)) == ([rules(5)], 0)
    assert not scores.is_due(days)
    assert put(scores.look(None, 1), weak_below(-3.0)) == ([], 0)


def test_inputs_unlike_the_training_are_told_once_a_month() -> None:
    charge = SequenceFeature(name="charge", unit="percent", scale=1.0, edges=[-20.0, 20.0], shares=[0.5, 0.0, 0.5])
    manifest = msgspec.structs.replace(MANIFEST, features=[charge, *MANIFEST.features[1:]])
    days = make_days([21, 22, 23, 24, 25, 26, 27, 28, 29, 30], charge={})
    (report,), _ = put(CellScores(manifest).look(days, 9), weak_below(-3.0))
    assert report == ModelReport(
        t_ns=9,
        model="battery-1",
        windows=12,
        over=0,
        drifted=["charge"],
        psi_max=report.psi_max,  # type: ignore[attr-defined]
    )
    assert put(CellScores(manifest).look(make_days([*range(21, 30)], charge={}), 9), weak_below(-3.0))[0] == []


def test_another_models_features_are_known_as_such() -> None:
    assert CellScores.knows(MANIFEST)
    assert not CellScores.knows(msgspec.structs.replace(MANIFEST, features=MANIFEST.features[::-1]))
    assert not CellScores.knows(msgspec.structs.replace(MANIFEST, faults=["sensor"]))
