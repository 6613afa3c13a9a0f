import numpy as np
import pytest

from agent.core import vss
from agent.core.battery_events import ALARM_BITS
from agent.core.config import BatteryLimits, Detect
from agent.core.events import BatteryAlarm
from agent.core.signals import Series
from agent.detect.pack_alarms import PackAlarmDetector
from tests.unit.detect.feed import LIMITS, NS, Recording, run, series

LONG_S = 120


def _steps(*parts: tuple[float, float], hz: float = 2.0) -> Series:
    t_s = np.arange(0, LONG_S, 1 / hz)
    value = np.zeros(len(t_s))
    for start_s, level in parts:
        value[t_s >= start_s] = level
    return series(t_s, value)


def _told(recording: Recording, limits: Detect = LIMITS) -> list[tuple[str, int, bool]]:
    events = run(PackAlarmDetector(limits), recording, window_s=3)
    return [(e.alarm, e.level, e.cleared) for e in events if isinstance(e, BatteryAlarm)]


def test_the_bits_are_those_of_the_standard() -> None:
    assert sorted(ALARM_BITS.values()) == list(range(28))
    assert [name for name, bit in sorted(ALARM_BITS.items(), key=lambda item: item[1])][8:12] == [
        "soc_jump",
        "pack_mismatch",
        "poor_cell_consistency",
        "insulation",
    ]


@pytest.mark.parametrize(
    ("path", "good", "bad", "alarm", "level"),
    [
        (vss.HVIL_CLOSED, 1, 0, "hvil", 2),
        (vss.DCDC_OK, 1, 0, "dcdc_status", 1),
        (vss.BRAKE_SYSTEM_OK, 1, 0, "brake_system", 2),
        (vss.DCDC_TEMPERATURE, 60, 97, "dcdc_temperature", 1),
        (vss.DCDC_TEMPERATURE, 60, 120, "dcdc_temperature", 2),
        (vss.MOTOR_TEMPERATURE, 60, 155, "motor_temperature", 1),
        (vss.MOTOR_CONTROLLER_TEMPERATURE, 60, 91, "motor_controller_temperature", 1),
        (vss.STATE_OF_CHARGE, 50, 4, "soc_low", 1),
        (vss.INSULATION_RESISTANCE, 900, 90, "insulation", 2),
        (vss.INSULATION_RESISTANCE, 900, 15, "insulation", 3),
    ],
)
def test_a_value_beyond_its_band_is_told_and_taken_back(
    path: str, good: float, bad: float, alarm: str, level: int
) -> None:
    told = _told({path: _steps((0, good), (30, bad), (60, good))})
    assert [entry for entry in told if entry[0] != "soc_jump"] == [(alarm, level, False), (alarm, level, True)]


def test_one_sample_and_a_short_return_are_nothing() -> None:
    assert _told({vss.HVIL_CLOSED: _steps((0, 1), (30, 0), (30.5, 1))}) == []
    flapping = [(t, float(t % 6 < 3)) for t in range(30, 100)]
    assert _told({vss.HVIL_CLOSED: _steps((0, 1), *flapping)}) == [("hvil", 2, False)]


def test_insulation_is_judged_by_the_packs_voltage() -> None:
    recording = {vss.PACK_VOLTAGE: _steps((0, 350)), vss.INSULATION_RESISTANCE: _steps((0, 900), (30, 150))}
    assert _told(recording) == [("insulation", 2, False)]
    recording[vss.PACK_VOLTAGE] = _steps((0, 90))
    assert _told(recording) == []


def test_a_jump_of_charge_is_more_than_any_current_could_do() -> None:
    assert _told({vss.STATE_OF_CHARGE: _steps((0, 60), (30, 48))}) == [("soc_jump", 1, False), ("soc_jump", 1, True)]
    t_s = np.arange(0, 7200, 30.0)
    assert _told({vss.STATE_OF_CHARGE: series(t_s, np.linspace(90, 10, len(t_s)))}) == []
    gap = np.where(t_s > 600, t_s + 5000, t_s)
    assert _told({vss.STATE_OF_CHARGE: series(gap, np.where(t_s > 600, 40, 80))}) == []


def test_overcharge_and_a_full_pack_want_a_charging_current() -> None:
    recording = {vss.CELL_VOLTAGE_MAX: _steps((0, 4.1), (30, 4.3)), vss.PACK_CURRENT: _steps((0, 30))}
    assert _told(recording) == [("overcharge", 3, False)]
    recording[vss.PACK_CURRENT] = _steps((0, -30))
    assert _told(recording) == []
    full = {vss.STATE_OF_CHARGE: _steps((0, 99), (20, 100)), vss.PACK_CURRENT: _steps((0, 30))}
    assert _told(full) == [("soc_high", 1, False)]
    assert _told({**full, vss.PACK_CURRENT: _steps((0, 0.5))}) == []


def test_a_current_through_open_contactors_is_a_welded_one() -> None:
    recording = {path: _steps((0, 1), (30, 0)) for path in vss.CONTACTORS}
    assert _told({**recording, vss.PACK_CURRENT: _steps((0, -20))}) == [("contactor", 2, False)]
    assert _told({**recording, vss.PACK_CURRENT: _steps((0, -20), (29, 0))}) == []


def test_pack_size_and_chemistry_set_the_packs_limits() -> None:
    recording = {vss.PACK_VOLTAGE: _steps((0, 360), (30, 412))}
    assert _told(recording) == []
    nmc = Detect(battery=BatteryLimits(cells_in_series=96, motor_speed_rpm=12_000, motor_current_a=400))
    assert _told(recording, nmc) == [("pack_over_voltage", 2, False)]
    lfp = Detect(battery=BatteryLimits(cells_in_series=112, chemistry="lfp"))
    assert _told({vss.PACK_VOLTAGE: _steps((0, 360), (30, 270))}, lfp) == [("pack_under_voltage", 2, False)]
    fast = {vss.MOTOR_SPEED: _steps((0, 9000), (30, 12_500)), vss.MOTOR_CURRENT: _steps((0, 100), (50, 420))}
    assert _told(fast, nmc) == [("motor_over_speed", 1, False), ("motor_over_current", 1, False)]


@pytest.mark.parametrize(("alarm", "bit"), sorted(ALARM_BITS.items()))
def test_what_the_car_raises_itself_is_told_by_name(alarm: str, bit: int) -> None:
    recording = {vss.ALARM_FLAGS: _steps((0, 0), (30, 1 << bit), (60, 0)), vss.ALARM_LEVEL: _steps((0, 2))}
    level = 4 if alarm == "thermal_runaway" else 2
    assert _told(recording) == [(alarm, level, False), (alarm, level, True)]


@pytest.mark.parametrize("invalid", [0xFFFF_FFFF, 0xFFFF_FFFE, -1])
def test_flags_that_say_nothing_are_nothing(invalid: int) -> None:
    assert _told({vss.ALARM_FLAGS: _steps((0, invalid))}) == []


def test_new_limits_keep_what_is_known() -> None:
    detector = PackAlarmDetector(LIMITS)
    assert len(run(detector, {vss.DCDC_TEMPERATURE: _steps((0, 97))}, window_s=1)) == 1
    detector.configure(Detect(battery=BatteryLimits(dcdc_temperature_c=150)))
    later = {vss.DCDC_TEMPERATURE: series(np.arange(130, 150, 0.5), 97.0)}
    (event,) = run(detector, later, window_s=1)
    assert isinstance(event, BatteryAlarm)
    assert (event.cleared, event.t_ns) == (True, 130 * NS)
