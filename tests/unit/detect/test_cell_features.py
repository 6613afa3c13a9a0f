import numpy as np
import pytest

from agent.detect.cell_days import CellDays
from agent.detect.cell_features import DAYS_MIN, FEATURES, GROUPS, STEPS, CellHistory, kept_of, look_back, without

CELLS = 12


def make_days(
    numbers: list[int], *, charge: dict[int, list[float]], ohm: dict[int, float] | None = None, gap_v: float = 0.0
) -> CellDays:
    """Days of ten rests at 3.9 V; charge: percent beside the others by cell and day; gap_v: what it is on the last."""
    days = CellDays(CELLS)
    pattern = 0.2 * np.sin(np.arange(CELLS))
    for place, number in enumerate(numbers):
        days.begin(number)
        assert days.open is not None
        beside = pattern.copy()
        for cell, percents in charge.items():
            beside[cell] = percents[place]
        for row in range(30):
            if row < 10:
                days.open.add(0.009 * beside, 0.009, 60.0)
            days.open.add_gap(float(row), gap_v if place == len(numbers) - 1 else 0.0)
        if ohm is not None:
            days.open.add_resistance(np.array([ohm.get(cell, 0.0) for cell in range(CELLS)]), 0.001)
        assert days.close(6)
    return days


def look(days: CellDays) -> CellHistory:
    history = look_back(kept_of(days))
    assert history is not None
    return history


def _of(steps: np.ndarray, name: str) -> np.ndarray:
    return steps[:, FEATURES.index(name)]


def test_a_cell_is_told_beside_the_others_newest_day_last() -> None:
    history = look(make_days([3, 4, 7, 8], charge={5: [0.0, -1.0, -4.0, -6.0]}))
    steps = history.steps(5)
    assert steps is not None
    assert steps.shape == (STEPS, len(FEATURES))
    assert not steps[:-4].any()
    assert _of(steps, "charge")[-4:] == pytest.approx([0.0, -1.0, -4.0, -6.0], abs=0.02)
    assert _of(steps, "charge_per_day")[-4:] == pytest.approx([0.0, -1.0, -1.0, -2.0], abs=0.02)
    assert _of(steps, "charge_moved")[-4:] == pytest.approx([1.0, 0.0, -3.0, -5.0], abs=0.03)
    assert _of(steps, "charge_sigmas")[-1] < -5
    assert _of(steps, "days_apart")[-4:] == pytest.approx([0.0, 0.0, np.log(3), 0.0])
    assert _of(steps, "at_rest")[-4:].tolist() == [1, 1, 1, 1]
    assert not _of(steps, "under_load").any()


def test_it_can_be_told_as_it_stood_days_ago() -> None:
    history = look(make_days([0, 1, 2, 3], charge={5: [0.0, 0.0, 0.0, -6.0]}))
    before = history.steps(5, before=1)
    assert before is not None
    assert _of(before, "charge")[-1] == pytest.approx(0.0, abs=0.01)
    assert history.steps(5, before=2) is None
    assert len(history.numbers) - 1 == DAYS_MIN


def test_the_newest_days_alone_are_the_same_days() -> None:
    kept = kept_of(make_days([0, 1, 2, 5, 6, 7], charge={5: [0.0, 0.0, -1.0, -2.0, -4.0, -6.0]}))
    whole, newest = look_back(kept), look_back(kept, newest=2)
    assert whole is not None
    assert newest is not None
    assert newest.numbers.tolist() == [6, 7]
    assert (newest.features == whole.features[-2:]).all()
    assert (newest.volt == whole.volt[-2:]).all()


def test_a_resistance_is_told_in_shares_of_the_packs_own() -> None:
    steps = look(make_days([0, 1, 2], charge={}, ohm={4: 0.0004})).steps(4)
    assert steps is not None
    assert _of(steps, "ohm")[-1] == pytest.approx(0.4)
    assert _of(steps, "under_load")[-3:].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("gap_v", "denied"), [(0.0, 0.0), (0.054, 1.0)])
def test_what_the_packs_voltage_knows_nothing_of_is_denied(gap_v: float, denied: float) -> None:
    steps = look(make_days([0, 1, 2, 3], charge={5: [0.0, 0.0, 0.0, -6.0]}, gap_v=gap_v)).steps(5)
    assert steps is not None
    assert _of(steps, "pack_denies")[-1] == pytest.approx(denied, abs=0.05)


def test_a_group_left_out_is_as_the_others_have_it() -> None:
    steps = look(make_days([0, 1, 2], charge={5: [-3.0, -3.0, -3.0]}, ohm={5: 0.001})).steps(5)
    assert steps is not None
    blank = without(steps, "resistance")
    assert not _of(blank, "ohm").any()
    assert (_of(blank, "charge") == _of(steps, "charge")).all()
    assert {name for group in GROUPS.values() for name in group} < set(FEATURES)


def test_few_cells_and_no_days_have_no_history() -> None:
    assert look_back(kept_of(CellDays(4))) is None
    nothing = look_back(kept_of(CellDays(CELLS)))
    assert nothing is not None
    assert nothing.steps(0) is None
