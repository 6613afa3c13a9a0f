"""What no battery can send: borne by every detector of the battery, and never told as a figure."""

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import BatteryAdvice, BatteryAlarm, ChargeSession, Event
from agent.detect import Detector
from agent.detect.battery import BatteryDetector
from agent.detect.battery_report import BatteryReports
from agent.detect.cells import CellDetector
from agent.detect.charging import ChargingDetector
from agent.detect.low_voltage import LowVoltageDetector
from agent.detect.pack_alarms import PackAlarmDetector
from tests.unit.detect.feed import LIMITS, Recording, run, series

GARBAGE = np.array([np.nan, np.inf, -np.inf, 65.535, -40.0, 0.0, 255.0, 1e300, -1e300])
DETECTORS: tuple[Callable[[Detect], Detector], ...] = (
    BatteryDetector,
    PackAlarmDetector,
    ChargingDetector,
    LowVoltageDetector,
    CellDetector,
    BatteryReports,
)
CELLS = 24
WEEKS_S = 5 * 7 * 86_400.0


def _numbers(event: Event) -> list[float]:
    values = [value for value in msgspec.structs.asdict(event).values() if isinstance(value, float)]
    return [value for value in values if not math.isfinite(value)]


def _garbage(inputs: tuple[str, ...], seed: int) -> Recording:
    """A minute of nothing but garbage, five weeks of nothing at all, and another minute."""
    rng = np.random.default_rng(seed)
    t_s = np.concatenate([np.arange(0, 60, 0.5), WEEKS_S + np.arange(0, 60, 0.5)])
    few = inputs if len(inputs) < 64 else (*inputs[:24], *inputs[-8:])
    return {path: series(t_s, rng.choice(GARBAGE, len(t_s))) for path in few}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", DETECTORS)
def test_garbage_and_weeks_without_data_are_borne(make: Callable[[Detect], Detector], seed: int) -> None:
    detector = make(LIMITS)
    events = run(detector, _garbage(detector.inputs, seed), window_s=40_000)
    assert [event for event in events if _numbers(event)] == []


def test_a_charge_with_holes_in_it_has_its_energy() -> None:
    t_s = np.arange(0, 3600, 1.0)
    ampere = np.full(len(t_s), 20.0)
    ampere[::50] = np.nan
    recording = {
        vss.PACK_CURRENT: series(t_s, ampere),
        vss.PACK_VOLTAGE: series(t_s, np.where(t_s % 70 == 0, np.inf, 350.0)),
        vss.SPEED: series(t_s, 0.0),
        vss.STATE_OF_CHARGE: series(t_s, 50.0),
    }
    (session,) = [e for e in run(ChargingDetector(LIMITS), recording, window_s=17) if isinstance(e, ChargeSession)]
    assert session.energy_kwh == pytest.approx(7.0, rel=0.02)


def _pack(cells: int, *, days: int, first: int, low: int | None = None) -> Recording:
    """Half an hour of rest a day, of cells that differ by some millivolts; cell `low` lacks charge."""
    rng = np.random.default_rng(cells)
    usual = 0.004 * rng.standard_normal(cells)
    t_s = np.concatenate([(first + day) * 86_400.0 + np.arange(0, 1800, 30.0) for day in range(days)])
    volt = 3.9 + usual + 0.0005 * rng.standard_normal((len(t_s), cells))
    if low is not None:
        volt[:, low] = 3.86
    recording = {vss.cell_voltage(cell): series(t_s, np.round(volt[:, cell], 3)) for cell in range(cells)}
    return {**recording, vss.PACK_CURRENT: series(t_s, 0.0), vss.STATE_OF_CHARGE: series(t_s, 70.0)}


def _join(*parts: Recording) -> Recording:
    paths = sorted({path for part in parts for path in part})
    return {
        path: series(
            np.concatenate([part[path].t_ns for part in parts if path in part]) / 1e9,
            np.concatenate([part[path].value for part in parts if path in part]),
        )
        for path in paths
    }


def _advice(recording: Recording) -> list[tuple[str, int | None]]:
    events = run(CellDetector(LIMITS, epoch_ns=0), recording, window_s=40_000)
    return [(event.fault, event.cell) for event in events if isinstance(event, BatteryAdvice)]


def test_a_replaced_pack_is_told_and_learnt_anew_after_weeks_in_the_workshop() -> None:
    before = _pack(CELLS, days=5, first=0, low=7)
    after = _pack(CELLS - 4, days=9, first=40, low=3)
    assert _advice(_join(before, after)) == [("weak_cell", 7), ("pack_changed", None), ("weak_cell", 3)]


def test_cells_that_come_and_go_name_nobody_and_a_weak_one_is_named_among_them() -> None:
    healthy = dict(_pack(CELLS, days=7, first=0))
    rng = np.random.default_rng(5)
    for cell in range(0, CELLS, 5):
        path = vss.cell_voltage(cell)
        kept = rng.random(len(healthy[path])) < 0.5
        healthy[path] = series(healthy[path].t_ns[kept] / 1e9, healthy[path].value[kept])
    assert _advice(healthy) == []
    weak = dict(healthy)
    weak[vss.cell_voltage(6)] = _pack(CELLS, days=7, first=0, low=6)[vss.cell_voltage(6)]
    assert _advice(weak) == [("weak_cell", 6)]


def test_an_alarm_does_not_hang_over_weeks_without_data() -> None:
    t_s = np.concatenate([np.arange(0, 20, 0.5), WEEKS_S + np.arange(0, 60, 0.5)])
    value = np.where(t_s < 100, 70.0, 25.0)
    events = run(BatteryDetector(LIMITS), {vss.PACK_TEMPERATURE_MAX: series(t_s, value)}, window_s=40_000)
    told = [(event.alarm, event.cleared) for event in events if isinstance(event, BatteryAlarm)]
    assert told == [("over_temperature", False), ("over_temperature", True)]
