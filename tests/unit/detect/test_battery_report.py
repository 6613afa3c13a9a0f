from typing import Any

import numpy as np
import pytest

from agent.core import vss
from agent.core.battery_report_events import REPORT_ADVICE
from agent.core.config import BatteryLimits, Detect
from agent.core.events import (
    BatteryAdvice,
    BatteryAlarm,
    BatteryHealth,
    BatteryReport,
    ChargeSession,
    Event,
    PackSensorFault,
)
from agent.core.signals import SignalSpec, interleave
from agent.decode.profile import load_profile
from agent.detect.battery_diary import CHARGES_MAX, Diary, load_diary
from agent.detect.battery_report import BatteryReports, look_at_cells, make_report
from agent.detect.cell_days import CellDays
from agent.pipeline import Pipeline
from tests.held_state import HeldState
from tests.unit.detect.feed import LIMITS, NS, Floats, Recording, series, windows

DAY_S = 86_400
CELLS = 24


def charge(day: float, **more: Any) -> ChargeSession:
    told: dict[str, Any] = {
        "mode": "ac",
        "energy_kwh": 10.0,
        "charge_ah": 30.0,
        "power_max_kw": 7.0,
        "soc_start": 40.0,
        "soc_end": 80.0,
        "temperature_max_c": 25.0,
        "tapered": False,
        "interrupted": 0,
        "ended": "unplugged",
    }
    return ChargeSession(t_ns=_ns(day), started_ns=_ns(day), **(told | more))


def health(day: float, soh: float = 91.0) -> BatteryHealth:
    return BatteryHealth(
        t_ns=_ns(day),
        segments=8,
        capacity_ah=soh,
        capacity_low_ah=soh - 2,
        capacity_high_ah=soh + 2,
        soh_percent=soh,
        soh_low_percent=soh - 2,
        soh_high_percent=soh + 2,
        spread_percent=0.5,
        weakest=3,
        weakest_lacks_percent=1.0,
    )


def advice(day: float, cell: int | None, level: Any = "advice", fault: Any = "weak_cell") -> BatteryAdvice:
    return BatteryAdvice(
        t_ns=_ns(day),
        level=level,
        fault=fault,
        cell=cell,
        feature="rest_voltage",
        value=-0.04,
        spread=0.005,
        unit="V",
        since_days=3.0,
        confidence=0.8,
        action="none",
    )


def alarm(day: float, level: int, *, cleared: bool = False) -> BatteryAlarm:
    return BatteryAlarm(
        t_ns=_ns(day), alarm="over_temperature", level=level, value=60, limit=55, unit="Celsius", cleared=cleared
    )


def _ns(day: float) -> int:
    return round(day * DAY_S * NS)


def use(*days: float) -> Recording:
    """An hour of driving on each of the days."""
    t_s = np.concatenate([day * DAY_S + np.arange(0.0, 3600.0, 30.0) for day in days])
    return {vss.STATE_OF_CHARGE: series(t_s, 60.0)}


def told(reports: BatteryReports, recording: Recording, events: list[Event], cuts_ns: list[int]) -> list[Event]:
    """Run the detector over windows; it hears each event in the window in which it happened."""
    found: list[Event] = []
    for window in windows(recording, cuts_ns):
        reports.hear([event for event in events if window.start_ns < event.t_ns <= window.t_ns])
        found += reports.update(window)
    end_ns = max(int(s.t_ns[-1]) for s in recording.values())
    return found + reports.finish(end_ns)


def month(events: list[Event], *, cells: CellDays | None = None, days: int = 30) -> BatteryReport:
    reports = BatteryReports(LIMITS, days=lambda: cells, epoch_ns=0)
    cuts = [_ns(day / 2) for day in range(2 * days + 2)]
    (report,) = told(reports, use(*range(days + 1)), events, cuts)
    assert isinstance(report, BatteryReport)
    return report


def _pack(lacks: Floats, days: int) -> CellDays:
    """One cell, number 5, lacks so many percent of charge, by day."""
    pack = CellDays(CELLS)
    rng = np.random.default_rng(1)
    fixed = 0.4 * rng.standard_normal(CELLS)
    for day in range(days):
        pack.begin(day)
        assert pack.open is not None
        for _ in range(8):
            charge_percent = fixed - lacks[day] * (np.arange(CELLS) == 5) + 0.05 * rng.standard_normal(CELLS)
            pack.open.add(charge_percent * 0.008, 0.008, 60.0)
        assert pack.close(6)
    return pack


def test_a_month_of_charging_is_added_up() -> None:
    events: list[Event] = [
        charge(1.01),
        charge(2.01, mode="dc", energy_kwh=30.0, interrupted=2),
        charge(3.01, mode="unknown", energy_kwh=20.0, faults=["grid"]),
        charge(4.01, energy_kwh=5.5),
        charge(30.01, energy_kwh=99.0),  # the next month's
    ]
    report = month(events)
    assert (report.days, report.sessions_ac, report.sessions_dc, report.sessions_unknown) == (30, 2, 1, 1)
    assert (report.energy_ac_kwh, report.energy_dc_kwh, report.energy_unknown_kwh) == (15.5, 30.0, 20.0)
    assert (report.interrupted, report.charging_faults) == (1, 1)
    assert report.advice == ["charger_check"]
    assert (report.capacity_ah, report.soh_percent, report.weakest, report.level) == (None, None, None, None)


def test_health_comes_with_its_interval_and_a_worn_pack_is_told() -> None:
    report = month([health(3.01, 91.0), health(20.01, 76.0)])
    assert (report.soh_low_percent, report.soh_percent, report.soh_high_percent) == (74.0, 76.0, 78.0)
    assert report.advice == ["capacity_low"]
    assert month([health(3.01, 79.0)]).advice == ["nothing"], "its interval reaches 80 %"


def test_alarms_count_by_level_and_sensors_that_lie_are_named_once() -> None:
    lie = PackSensorFault(t_ns=_ns(5.01), signal="S", fault="stuck", value=1, expected=2, unit="V")
    report = month([alarm(2.01, 1), alarm(2.02, 3), alarm(2.03, 3, cleared=True), alarm(9.01, 2), lie, lie])
    assert (report.alarms, report.sensors) == ([1, 1, 1, 0], ["S"])
    assert report.advice == ["sensor_check", "alarm_check"]
    assert month([alarm(2.01, 1)]).advice == ["nothing"]


def test_advice_stays_open_until_the_cell_is_back_or_the_pack_is_another() -> None:
    weak = _pack(np.full(31, 4.0), 31)
    events: list[Event] = [advice(4.01, 5), advice(6.01, 5, "service_soon"), advice(7.01, 9)]
    report = month(events, cells=weak)
    assert (report.cells, report.level, report.advice) == ([5], "service_soon", ["weak_cell_garage"])
    assert month(events, cells=_pack(np.zeros(31), 31)).cells == []
    assert month([*events, advice(8.01, None, fault="pack_changed")], cells=weak).cells == []
    leak = month([advice(4.01, 9, "stop_now", "micro_short")], cells=weak)
    assert (leak.cells, leak.advice) == ([9], ["leave_the_car"])


def test_the_weakest_cell_has_its_trend() -> None:
    report = month([], cells=_pack(np.linspace(2.0, 5.0, 31), 31))
    assert report.weakest == 5
    assert report.weakest_trend == pytest.approx(-3.0, abs=0.2)
    assert report.weakest_v == pytest.approx(-0.028, abs=0.004)
    assert report.spread_v == pytest.approx(0.0032, abs=0.0012)
    assert look_at_cells(_pack(np.zeros(31), 31), since=40, until=60) is None


@pytest.mark.parametrize("seed", range(6))
def test_any_windows_give_the_same_reports(seed: int) -> None:
    rng = np.random.default_rng(seed)
    used = sorted(rng.choice(100, 40, replace=False).tolist())
    events: list[Event] = [charge(day + 0.01, energy_kwh=float(day)) for day in used]
    events += [health(day + 0.02) for day in used[::5]] + [advice(used[7] + 0.01, 5)]
    events.sort(key=lambda event: event.t_ns)
    whole = told(BatteryReports(LIMITS, epoch_ns=0), use(*used), events, [])
    cuts = sorted(rng.integers(0, _ns(100), 200).tolist())
    assert told(BatteryReports(LIMITS, epoch_ns=0), use(*used), events, cuts) == whole
    assert len(whole) in {2, 3}


def test_the_diary_outlives_starts_and_a_clock_that_is_not_set() -> None:
    store, events = HeldState(), list[Event]()
    for start in range(4):  # ten days each, times from zero
        reports = BatteryReports(LIMITS, store=store, epoch_ns=None if start else _ns(1000))
        events += told(reports, use(*range(11)), [charge(5.01)], [_ns(day) for day in range(12)])
    (report,) = events
    assert isinstance(report, BatteryReport)
    assert (report.days, report.sessions_ac) == (30, 3), "the fourth charge came in the next month"
    assert len(store.state) < 4_000


def test_the_period_is_configured_and_a_parked_car_reports_when_it_is_used() -> None:
    weekly = Detect(battery=BatteryLimits(report_days=7))
    recording = use(*range(8), 60)
    reports = told(BatteryReports(weekly, epoch_ns=0), recording, [], [_ns(day) for day in range(61)])
    assert [(event.days, event.t_ns // _ns(1)) for event in reports if isinstance(event, BatteryReport)] == [
        (7, 7),
        (53, 60),
    ]


@pytest.mark.parametrize("state", [b"", b"\x81", b"rubbish", Diary(version=99).dump()])
def test_a_damaged_diary_begins_anew(state: bytes) -> None:
    assert load_diary(state) == Diary()


def test_a_diary_is_bounded() -> None:
    diary = Diary()
    for day in range(3 * CHARGES_MAX):
        for event in (charge(day), health(day), advice(day, day), alarm(day, day)):
            assert diary.note(event, day)
        diary.note(PackSensorFault(t_ns=0, signal=f"{day}", fault="stuck", value=1, expected=2, unit="V"), day)
    assert len(diary.dump()) < 60_000
    assert load_diary(diary.dump()) == diary


def test_every_advice_that_a_report_gives_is_known() -> None:
    assert REPORT_ADVICE[-1] == "nothing"
    assert len(set(REPORT_ADVICE)) == len(REPORT_ADVICE)


def test_the_pipeline_lets_reports_hear_what_others_found() -> None:
    class Charger:
        name = "charger"
        specs = tuple(SignalSpec(path) for path in (vss.PACK_CURRENT, vss.PACK_VOLTAGE, vss.SPEED, vss.STATE_OF_CHARGE))

    store, events = HeldState(), list[Event]()
    pipeline = Pipeline(
        load_profile("generic"),
        [],
        limits=LIMITS,
        sample_sources=[Charger()],  # type: ignore[list-item]  # as much of a source as is asked here
        on_events=events.extend,
        on_window=lambda _: None,
        diary_store=store,
        epoch_ns=0,
    )
    for minute in range(120):
        t_ns = np.array([_ns(3) + minute * 60 * NS])
        ampere = 20.0 if 10 <= minute < 70 else 0.0
        values = np.array([[ampere, 350.0, 0.0, 50.0 + min(minute, 70)]])
        pipeline.on_samples("charger", interleave(t_ns, values))
    pipeline.finish()
    assert [event.kind for event in events if isinstance(event, ChargeSession)] == ["charge_session"]
    (row,) = load_diary(store.state).charges
    assert (row.day, row.mode) == (3, "ac")
    assert row.energy_kwh == pytest.approx(7.0, rel=0.03)


def test_a_leak_and_a_worn_contact_are_in_the_report() -> None:
    cells, rng = CellDays(24), np.random.default_rng(4)
    for day in range(20):
        cells.begin(day)
        assert cells.open is not None
        charge = 0.1 * rng.standard_normal(24) - 0.3 * day * (np.arange(24) == 5)
        for _ in range(8):
            cells.open.add(charge * 0.008, 0.008, 60.0)
        cells.open.add_resistance(1e-5 * rng.standard_normal(24) + 5e-5 * day * (np.arange(24) == 9), 1e-3)
        assert cells.close(6)
    report = make_report(0, Diary(), look_at_cells(cells, since=0, until=20), since=0, until=20)
    assert (report.leaking, report.resistive) == (5, 9)
    assert report.leak_percent == pytest.approx(0.3, abs=0.05)
    assert report.leak_low_percent is not None
    assert report.leak_high_percent is not None
    assert report.leak_low_percent < 0.3 < report.leak_high_percent
    assert report.resistive_percent == pytest.approx(85, abs=8)
    pack = _pack(np.zeros(20), 20)
    healthy = make_report(0, Diary(), look_at_cells(pack, since=0, until=20), since=0, until=20)
    assert (healthy.leaking, healthy.leak_percent, healthy.resistive) == (None, None, None)
