import numpy as np
import pytest

from agent.core.events import BatteryAdvice, PackSensorFault
from simulators.packs import Life, Lived, live
from tests.eval.battery_sweep import auroc, figures, level_figures, sweep, tell


def test_a_life_is_a_function_of_its_seed() -> None:
    one, other = ([s.value for s in live(Life("weak_cell", seed, 2), Lived())] for seed in (3, 3))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], next(live(Life("weak_cell", 4, 2), Lived())).value)
    assert any((value == 65.535).any() for value in one)  # sentinels are in place


def test_a_healthy_pack_names_nobody() -> None:
    story = tell(Life("healthy", 5, 4))
    assert (story.stops(), story.named(), story.score()) == (0, set(), 0.0)


def test_a_stepped_reading_is_the_sensors_and_a_weak_cell_is_the_cells() -> None:
    lying = tell(Life("volt_offset", 1, 8))
    assert lying.lie_named()
    assert not [event for event in lying.events if isinstance(event, BatteryAdvice)]
    weak = tell(Life("weak_cell", 1, 18))
    assert weak.named() == {weak.lived.cell}
    assert not [event for event in weak.events if isinstance(event, PackSensorFault)]


def test_a_short_that_heats_is_warned_of_before_it_burns() -> None:
    story = tell(Life("micro_short_fast", 4, 1, 10.0))
    assert story.lived.runaway_s is not None
    assert (story.warned_s() or 0.0) >= 300


def test_auroc_counts_ties_half() -> None:
    assert auroc([2, 3], [0, 1]) == 1.0
    assert auroc([1, 1], [1, 1]) == 0.5
    assert auroc([], [1]) is None


def test_precision_is_that_of_the_real_prevalence() -> None:
    found = level_figures("advice", 1, [1, 1, 1, 0], [1] + [0] * 99)
    assert found["found"] == 0.75
    assert found["precision"] == pytest.approx(0.0005 * 0.75 / (0.0005 * 0.75 + 0.9995 * 0.01), abs=1e-4)
    assert isinstance(found["cost"], dict)
    assert found["cost"]["10"] == pytest.approx(1e4 * (0.9995 * 0.01 + 0.0005 * 0.25 * 10), abs=0.1)


def test_the_figures_say_how_many_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"healthy": (1, 2, 60.0), "volt_stuck": (1, 4, 60.0)}
    monkeypatch.setattr("tests.eval.battery_sweep._SIZES", sizes)
    told: list[str] = []
    found = figures(sweep(progress=told.append))
    assert told == list(sizes)
    assert (found["healthy_packs"], found["sensors"], found["runaways"]) == (1, 1, 0)
