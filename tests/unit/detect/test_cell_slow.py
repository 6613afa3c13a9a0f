import numpy as np
import pytest

from agent.core.events import BatteryAdvice
from agent.detect.cell_days import CellDays
from agent.detect.cell_slow import Leak, estimate_leak, find_grown, find_leak
from agent.detect.cell_verdicts import judge, note
from tests.unit.detect.feed import Floats

CELLS = 24
SLOPE = 0.009  # V a percent


def _fill(
    days: CellDays,
    numbers: range,
    *,
    seed: int = 1,
    lacks: Floats | None = None,
    bent: dict[int, float] | None = None,
    ohm: dict[int, list[float]] | None = None,
) -> CellDays:
    """Days of rest. lacks float64[day, cells] in percent; bent: percent a percent of charge; ohm: by day, of 1 mOhm."""
    rng = np.random.default_rng(seed)
    usual = 0.4 * rng.standard_normal(CELLS)
    for row, number in enumerate(numbers):
        days.begin(number)
        assert days.open is not None
        soc = float(rng.uniform(30, 90))
        charge = usual + 0.15 * rng.standard_normal(CELLS) - (0 if lacks is None else lacks[row])
        for cell, bend in (bent or {}).items():
            charge[cell] += bend * (soc - 60)
        for _ in range(10):
            days.open.add(charge * SLOPE, SLOPE, soc)
        beyond = 2e-5 * rng.standard_normal(CELLS)
        for cell, shares in (ohm or {}).items():
            beyond[cell] += 1e-3 * shares[row]
        days.open.add_resistance(beyond, 1e-3)
        assert days.close(6)
    days.begin(numbers.stop)
    return days


def _lost(rate: float, days: int, *, cell: int = 7, first: float = 0.0) -> Floats:
    lacks = np.zeros((days, CELLS))
    lacks[:, cell] = first + rate * np.arange(days)
    return lacks


def _leak(lacks: Floats, *, seed: int = 1) -> Leak | None:
    return find_leak(_fill(CellDays(CELLS), range(len(lacks)), lacks=lacks, seed=seed), len(lacks))


def test_nine_leaks_in_ten_lie_within_their_interval() -> None:
    found = [_leak(_lost(0.3, 14, first=1.0), seed=seed) for seed in range(40)]
    leaks = [leak for leak in found if leak is not None]
    assert len(leaks) >= 38
    assert {leak.cell for leak in leaks} == {7}
    assert sum(leak.low <= 0.3 <= leak.high for leak in leaks) >= 0.9 * len(leaks)
    assert float(np.median([leak.rate for leak in leaks])) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("seed", range(20))
def test_healthy_cells_leak_not(seed: int) -> None:
    assert _leak(_lost(0.0, 30), seed=seed) is None


def test_a_smaller_cell_and_one_that_is_bled_leak_not() -> None:
    small = _fill(CellDays(CELLS), range(20), bent={7: 0.05}, lacks=_lost(0.0, 20, first=2.0))
    assert find_leak(small, 20) is None
    assert _leak(_lost(0.3, 10, first=-4.0)) is None  # it had too much, and balancing takes it


def test_a_leak_is_found_across_days_without_use() -> None:
    days = CellDays(CELLS)
    _fill(days, range(6), lacks=_lost(0.3, 6))
    _fill(days, range(18, 26), lacks=_lost(0.3, 8, first=18 * 0.3))
    leak = find_leak(days, 26)
    assert leak is not None
    assert leak.low <= 0.3 <= leak.high


def _advice(days: CellDays, number: int, *, capacity_ah: float | None = None) -> list[BatteryAdvice]:
    events = judge(days, 0, number, capacity_ah=capacity_ah)
    return [e for e in events if isinstance(e, BatteryAdvice) and e.fault == "micro_short"]


def test_a_leak_is_told_in_ampere_where_the_capacity_is_known() -> None:
    days = _fill(CellDays(CELLS), range(14), lacks=_lost(0.3, 14, first=1.0))
    known = _advice(days, 14, capacity_ah=100.0)[0]
    assert (known.unit, known.level, known.action) == ("A", "advice", "mention_at_service")
    assert known.low is not None
    assert known.high is not None
    assert known.low < known.value < known.high
    assert known.value == pytest.approx(0.3 / 24, rel=0.15)  # 100 Ah * 0.3 % a day
    unknown = _advice(days, 14)[0]
    assert unknown.unit == "percent/h"
    assert unknown.value == pytest.approx(0.3 / 24, rel=0.15)


def test_a_worse_leak_is_told_again_and_the_same_is_not() -> None:
    days = _fill(CellDays(CELLS), range(14), lacks=_lost(0.3, 14, first=1.0))
    assert note(days, "micro_short", 7, _advice(days, 14)[0].level)
    assert _advice(days, 14) == []
    _fill(days, range(14, 26), lacks=_lost(1.2, 12, first=5.2))
    assert [event.level for event in _advice(days, 26)] == ["service_soon"]


def _worn(shares: dict[int, list[float]], *, lacks: float = 0.0) -> list[BatteryAdvice]:
    days = _fill(CellDays(CELLS), range(12), ohm=shares, lacks=_lost(0.0, 12, first=lacks))
    return [
        event
        for event in judge(days, 0, 12, capacity_ah=None)
        if isinstance(event, BatteryAdvice) and event.feature == "resistance"
    ]


def test_a_contact_that_gets_worse_is_advice_long_before_it_is_hot() -> None:
    told = _worn({7: np.linspace(0, 0.6, 12).tolist()})
    assert [(e.fault, e.cell, e.level, e.unit) for e in told] == [("contact_resistance", 7, "advice", "Ohm")]
    assert told[0].value == pytest.approx(0.49e-3, rel=0.1)


def test_what_has_always_been_so_is_the_packs_design() -> None:
    assert _worn({7: [0.6] * 12}) == []


def test_a_cell_that_lacks_charge_too_is_a_weak_one_and_a_joint_is_none() -> None:
    grown = np.linspace(0, 0.6, 12)
    assert [(e.fault, e.cell) for e in _worn({7: grown.tolist()}, lacks=3.0)] == [("weak_cell", 7)]
    joint = {7: grown.tolist(), 8: (0.5 * grown).tolist()}
    assert [(e.fault, e.cell, e.confidence) for e in _worn(joint, lacks=3.0)] == [("contact_resistance", 7, 0.9)]
    days = _fill(CellDays(CELLS), range(12), ohm={7: grown.tolist(), 12: grown.tolist()})
    assert find_grown(days, 12, since=0) is None  # two apart are no joint, and no outlier


def test_too_few_days_say_nothing() -> None:
    days = _fill(CellDays(CELLS), range(5), lacks=_lost(2.0, 5))
    assert estimate_leak(days, 5, span=30) is None
    assert find_grown(days, 5, since=0) is None
    assert find_leak(CellDays(CELLS), 5) is None
