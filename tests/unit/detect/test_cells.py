import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from agent.core import vss
from agent.core.config import BatteryLimits, Detect
from agent.core.events import BatteryAdvice, Event, PackSensorFault
from agent.core.signals import Series
from agent.detect.cell_days import CellDays
from agent.detect.cell_figures import apart, nanmedian, spread_of
from agent.detect.cell_rows import CELLS_MAX, CellRows, Row
from agent.detect.cell_state import dump_days, load_days
from agent.detect.cell_trend import CellTrend
from agent.detect.cell_verdicts import note, since_days
from agent.detect.cells import CellDetector
from agent.detect.ocv import volts_per_percent
from tests.unit.detect.feed import LIMITS, NS, Floats, Recording, run, series, windows

DAY_S = 86_400.0
CELLS = 24


def _offsets(seed: int = 1, cells: int = CELLS) -> Floats:
    """Half a percent of charge of spread, in V."""
    return 0.004 * np.random.default_rng(seed).standard_normal(cells)


def make_row(t_s: float, volt: Floats, *, ampere: float = 0.0) -> Row:
    wide = np.full(CELLS_MAX, np.nan)
    wide[: len(volt)] = volt
    return Row(round(t_s * NS), wide, np.full(CELLS_MAX, np.nan), ampere, 70.0, np.nan, 0.0)


def _days(trend: CellTrend, days: range, lacks: dict[int, float], *, seed: int = 1, cells: int = CELLS) -> list[Event]:
    """Rest for ten minutes a day, a row every half minute, at 3.9 V."""
    rng = np.random.default_rng(days.start)
    events: list[Event] = []
    for day in days:
        for row in range(20):
            volt = 3.9 + _offsets(seed, cells) + 0.0005 * rng.standard_normal(cells)
            for cell, less in lacks.items():
                volt[cell] = 3.9 - less
            told = trend.feed(make_row(day * DAY_S + row * 30, np.round(volt, 3)))
            for event in told:
                if isinstance(event, BatteryAdvice) and event.cell is not None:
                    assert trend.days is not None
                    assert note(trend.days, event.fault, event.cell, event.level)
            events += told
    return events


def _named(events: list[Event]) -> list[tuple[str, int | None]]:
    return [(event.level, event.cell) for event in events if isinstance(event, BatteryAdvice)]


def test_a_cell_that_lacks_charge_for_days_is_named_and_then_raised() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    events = _days(trend, range(6), {7: 0.035})
    assert _named(events) == [("advice", 7)]
    assert trend.days is not None
    assert not note(trend.days, "weak_cell", 7, "advice")
    assert _named(_days(trend, range(6, 12), {7: 0.075})) == [("service_soon", 7)]
    assert since_days(trend.days, 7) == 11


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_pack_has_no_weak_cell(seed: int) -> None:
    assert _days(CellTrend("nmc", epoch_ns=0), range(20), {}, seed=seed) == []


def test_days_without_use_and_weeks_of_gap_do_not_hide_it() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    assert _named(_days(trend, range(2), {7: 0.035})) == []
    assert _named(_days(trend, range(30, 33), {7: 0.035})) == [("advice", 7)]


def test_a_flat_curve_says_nothing_about_charge() -> None:
    trend = CellTrend("lfp", epoch_ns=0)
    rows = (make_row(day * DAY_S + k * 30, np.full(CELLS, 3.33) - 0.03 * (np.arange(CELLS) == 5))
            for day in range(8) for k in range(20))  # fmt: skip  # one generator
    assert [event for row in rows for event in trend.feed(row)] == []
    assert volts_per_percent("lfp", 3.33) < 0.003 < volts_per_percent("lfp", 3.1)


def test_what_is_learnt_survives_a_boot_and_stays_small() -> None:
    whole, first = CellTrend("nmc", epoch_ns=0), CellTrend("nmc", epoch_ns=0)
    _days(whole, range(2), {7: 0.035})
    _days(first, range(2), {7: 0.035})
    again = CellTrend("nmc", state=first.dump(), epoch_ns=0)
    assert again.dump() == first.dump()
    assert _days(again, range(2, 9), {7: 0.035}) == _days(whole, range(2, 9), {7: 0.035})


def test_a_boot_without_a_date_goes_on_where_the_last_one_ended() -> None:
    first = CellTrend("nmc", epoch_ns=20_000 * 86_400 * NS)
    _days(first, range(2), {7: 0.035})
    again = CellTrend("nmc", state=first.dump())
    assert _named(_days(again, range(4), {7: 0.035})) != []


def test_108_cells_for_200_days_take_less_than_200_kb() -> None:
    days, rng = CellDays(108), np.random.default_rng(3)

    def use(number: int) -> None:
        days.begin(number)
        assert days.open is not None
        for row in range(120):
            beside = 0.01 * rng.standard_normal(108)
            days.open.add(beside, 0.009, 50.0)
            days.open.add_resistance(1e-4 * rng.standard_normal(108), 0.001)
            days.open.motion.feed(row * NS, 3.7 + 0.1 * (row % 2) + beside, 3.7 + 0.1 * (row % 2))

    for number in range(200):
        use(number)
        assert days.close(6)
    use(200)
    assert len(dump_days(days)) < 200_000
    numbers, values = days.by_day()
    assert numbers.tolist() == list(range(72, 200))
    assert values.shape == (128, 108, 5)
    assert not np.isnan(values).any()


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x80", b"\x00" * 100])
def test_a_damaged_state_is_learnt_again(state: bytes) -> None:
    assert load_days(state) is None
    assert CellTrend("nmc", state=state).cells == 0


def test_a_cut_state_is_learnt_again() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    _days(trend, range(3), {})
    whole = trend.dump()
    assert all(load_days(whole[:size]) is None for size in range(0, len(whole), 97))


def test_another_pack_is_told_and_learnt_anew() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    wide = {cell: 0.02 * (cell % 3) for cell in range(CELLS)}
    assert _days(trend, range(8), wide) == []
    other = {cell: 0.02 * ((cell * 7 + 1) // 3 % 3) for cell in range(CELLS)}
    events = _days(trend, range(8, 18), other)
    assert [e.fault for e in events if isinstance(e, BatteryAdvice)] == ["pack_changed"]
    assert [e.fault for e in _days(trend, range(18, 20), {}, cells=30) if isinstance(e, BatteryAdvice)] == [
        "pack_changed"
    ]
    assert trend.cells == 30


def test_a_glitch_of_cells_that_a_pack_does_not_have_forgets_nothing() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    _days(trend, range(6), {})
    for row in range(10):
        wild = np.append(np.full(CELLS, 3.9), 3.5)
        assert trend.feed(make_row(6 * DAY_S + 60 * row, wild)) == []
        assert trend.feed(make_row(6 * DAY_S + 60 * row + 30, wild[:-1])) == []
    assert trend.cells == CELLS
    assert trend.days is not None
    assert len(trend.days.numbers) == 6


def test_a_pack_with_fewer_cells_is_told_and_learnt_anew() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    _days(trend, range(6), {})
    events = _days(trend, range(6, 12), {}, cells=CELLS - 4)
    assert [e.fault for e in events if isinstance(e, BatteryAdvice)] == ["pack_changed"]
    assert trend.cells == CELLS - 4


def test_a_wire_that_came_off_is_no_other_pack() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    _days(trend, range(6), {})
    assert _days(trend, range(6, 12), {}, cells=CELLS - 1) == []
    assert trend.cells == CELLS


def test_missing_cells_and_too_few_are_borne() -> None:
    trend = CellTrend("nmc", epoch_ns=0)
    volt = np.full(CELLS, np.nan)
    volt[:5] = 3.9
    assert trend.feed(make_row(0, volt)) == []
    assert trend.cells == 0
    volt[5:] = 3.9
    volt[3] = np.nan
    assert [e for k in range(4000) for e in trend.feed(make_row(k * 600, volt))] == []


def test_apart_wants_few_and_far() -> None:
    assert apart(np.array([0.1, 4.0, 0.2, -1.0])) == [1]
    assert apart(np.array([0.1, 4.0, 3.9, -1.0])) == [1, 2]
    assert apart(np.array([3.2, 4.0, 3.9, -1.0])) == []
    assert apart(np.array([0.1, 4.0, np.nan, -1.0])) == [1]
    assert spread_of(np.full(5, np.nan)) == 0.0


def test_nanmedian_is_numpys() -> None:
    rows = np.random.default_rng(0).standard_normal((7, 50))
    rows[rows > 0.8] = np.nan
    rows[0] = 0.0  # so that none is without
    assert np.allclose(nanmedian(rows), np.nanmedian(rows, axis=0))


def test_rows_take_the_last_plausible_value_of_a_second() -> None:
    t_s = np.array([0.1, 0.4, 0.8, 1.2])
    recording = {
        vss.cell_voltage(0): series(t_s, [3.7, 3.71, 66.535, 3.72]),
        vss.cell_voltage(1): series(t_s, [0.0, 5.0, 8.191, 3.8]),
        vss.cell_temperature(0): series(t_s, [20, -40, 215, 21]),
        vss.PACK_CURRENT: series([0.5], [-12.0]),
    }
    rows = CellRows()
    found = [row for window in windows(recording, [300_000_000]) for row in rows.feed(window)] + list(rows.flush())
    assert [row.t_ns for row in found] == [500_000_000, 1_200_000_000]
    assert found[0].volt[0] == 3.71
    assert np.isnan(found[0].volt[1])
    assert (found[0].celsius[0], found[0].ampere) == (20, -12)
    assert (found[1].volt[1], found[1].celsius[0]) == (3.8, 21)


def _drive(
    seconds: int,
    *,
    ohm: Mapping[int, float] | None = None,
    lost_v: Mapping[int, Floats] | None = None,
    lie_v: Mapping[int, Floats] | None = None,
    seed: int = 5,
) -> Recording:
    """24 cells of 0.9 mOhm at 1 Hz in traffic. ohm and lost_v are real, lie_v is the sensor's alone."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(seconds, dtype=np.float64)
    ampere = -40 + 35 * np.sin(t_s / 9) + 20 * np.sin(t_s / 31)
    middle = 3.9 - 0.02 * t_s / 600
    recording: dict[str, Series] = {vss.PACK_CURRENT: series(t_s, ampere)}
    pack_v = np.zeros(seconds)
    for cell in range(CELLS):
        resistance = 0.0009 * (1 + 0.05 * rng.standard_normal()) + (ohm or {}).get(cell, 0.0)
        volt = middle + _offsets()[cell] + resistance * ampere + 0.0006 * rng.standard_normal(seconds)
        volt = volt - (lost_v or {}).get(cell, np.zeros(seconds))
        pack_v += volt
        shown = volt + (lie_v or {}).get(cell, np.zeros(seconds))
        recording[vss.cell_voltage(cell)] = series(t_s, np.round(shown, 3))
    recording[vss.PACK_VOLTAGE] = series(t_s, np.round(pack_v, 1))
    return recording


def _advice(events: list[Event]) -> list[tuple[str, str, int | None]]:
    return [(event.fault, event.level, event.cell) for event in events if isinstance(event, BatteryAdvice)]


def _lies(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.signal, event.fault) for event in events if isinstance(event, PackSensorFault)]


@pytest.mark.parametrize("seed", range(6))
def test_a_healthy_drive_tells_nothing(seed: int) -> None:
    assert run(CellDetector(LIMITS), _drive(1800, seed=seed), window_s=7) == []


def test_a_loose_contact_is_a_resistance_and_nothing_else() -> None:
    events = run(CellDetector(LIMITS), _drive(120, ohm={14: 0.0016}), window_s=7)
    assert _advice(events) == [("contact_resistance", "advice", 14)]
    assert isinstance(events[0], BatteryAdvice)
    assert 0.0014 < events[0].value < 0.0018
    events = run(CellDetector(LIMITS), _drive(120, ohm={14: 0.003}), window_s=7)
    assert _advice(events) == [("contact_resistance", "service_soon", 14)]


def test_a_weak_cell_lacks_charge_too() -> None:
    lost = {11: np.full(120, 0.04)}
    assert _advice(run(CellDetector(LIMITS), _drive(120, ohm={11: 0.0024}, lost_v=lost), window_s=7)) == [
        ("weak_cell", "service_soon", 11)
    ]
    lost = {3: np.full(120, 0.12)}
    assert _advice(run(CellDetector(LIMITS), _drive(120, lost_v=lost), window_s=7)) == [
        ("weak_cell", "service_soon", 3)
    ]


def _leak(amperes: float) -> list[BatteryAdvice]:
    lost = {5: np.arange(1800) * amperes / 3600 * 0.0095}  # of 100 Ah, where a percent is 9.5 mV
    limits = Detect(battery=BatteryLimits(capacity_ah=100.0))
    events = run(CellDetector(limits), _drive(1800, lost_v=lost), window_s=7)
    return [e for e in events if isinstance(e, BatteryAdvice) and e.fault == "micro_short"]


def test_a_short_loses_charge_whatever_the_current_does() -> None:
    last = _leak(30.0)[-1]
    assert (last.cell, last.level, last.unit, last.action) == (5, "stop_now", "A", "leave_the_car")
    assert 25 < last.value < 35


def test_what_a_smaller_cell_would_do_too_is_no_short() -> None:
    assert _leak(3.0) == []


def test_a_sensor_lies_where_the_packs_voltage_knows_nothing() -> None:
    after = np.where(np.arange(600) >= 300, 1.0, 0.0)
    assert _lies(run(CellDetector(LIMITS), _drive(600, lie_v={9: -0.06 * after}), window_s=7)) == [
        (vss.cell_voltage(9), "offset")
    ]
    drift = {9: -np.arange(1800) / 1800 * 0.06}
    events = run(CellDetector(LIMITS), _drive(1800, lie_v=drift), window_s=7)
    assert _lies(events) == [(vss.cell_voltage(9), "drift")]
    assert _advice(events) == []


def test_a_cell_that_gains_charge_is_a_sensor_that_drifts() -> None:
    drift = {9: -np.arange(1800) / 1800 * 0.06}
    recording = _drive(1800, lost_v=drift)
    assert _lies(run(CellDetector(LIMITS), recording, window_s=7)) == [(vss.cell_voltage(9), "drift")]


def test_a_reading_that_stands_still_is_stuck() -> None:
    recording = _drive(300)
    held = recording[vss.cell_voltage(4)]
    recording = {**recording, vss.cell_voltage(4): Series(held.t_ns, np.where(held.t_ns > 60 * NS, 3.88, held.value))}
    assert _lies(run(CellDetector(LIMITS), recording, window_s=7)) == [(vss.cell_voltage(4), "stuck")]


def test_the_packs_own_voltage_tells_a_lying_sensor_from_a_weak_cell() -> None:
    def trend(*, gap_v: float) -> CellTrend:
        found = CellTrend("nmc", epoch_ns=0)
        for day in range(8):
            since = day >= 4
            for row in range(40):
                volt = 3.9 + _offsets()
                volt[7] = 3.9 - 0.05 * since
                pack_v = round(float(volt.sum()) + gap_v * since + 0.01 * (row * 7 % 10), 1)
                made = make_row(day * DAY_S + row * 30, volt, ampere=(0.0, 0.0, -15.0, -30.0, -15.0, -9.0)[row % 6])
                found.feed(dataclasses.replace(made, pack_v=pack_v))
        return found

    for at_once in (False, True):
        assert trend(gap_v=0.05).is_sensor(7, -0.05, at_once=at_once) is True
        assert trend(gap_v=0.0).is_sensor(7, -0.05, at_once=at_once) is False
    assert trend(gap_v=0.0).is_sensor(7, -0.004) is None
    assert CellTrend("nmc").is_sensor(7, -0.05) is False


@pytest.mark.parametrize(("gained_v", "lies"), [(0.0, False), (0.014, None), (0.045, True), (0.08, True), (0.2, False)])
def test_thirty_rows_in_tenths_of_a_volt_decide_what_is_clear(gained_v: float, *, lies: bool | None) -> None:
    days = CellDays(CELLS)
    for number in range(5):
        days.begin(number)
        assert days.open is not None
        for row in range(30):
            days.open.add(np.zeros(CELLS), 0.009, 60.0)
            days.open.add_gap(10.0 * (row % 5), 0.001 * (number % 2))
        assert days.close(6)
    days.begin(5)
    trend = CellTrend("nmc", state=dump_days(days), epoch_ns=0)
    for row in range(100):
        volt = np.full(CELLS, 3.7)
        volt[7] -= 0.045
        shown = dataclasses.replace(
            make_row(5 * DAY_S + row, volt, ampere=-40.0 * (row % 2)), pack_v=float(volt.sum()) + gained_v
        )
        trend.feed(shown)
    assert trend.is_sensor(7, -0.045, at_once=True) is lies
