import numpy as np
import pytest

from agent.core import vss
from agent.core.config import BatteryLimits, Detect
from agent.core.events import BatteryAlarm, PackSensorFault
from agent.core.signals import Series
from agent.detect.battery import BatteryDetector
from agent.detect.heat import DropWatch, RiseWatch
from agent.detect.probes import JumpWatch
from tests.unit.detect.feed import LIMITS, NS, Recording, run, series


def _detect(recording: Recording, limits: Detect = LIMITS) -> list[BatteryAlarm]:
    events = run(BatteryDetector(limits), recording, window_s=0.5)
    assert all(isinstance(event, BatteryAlarm | PackSensorFault) for event in events)
    return [event for event in events if isinstance(event, BatteryAlarm)]


def _steps(*parts: tuple[float, float], hz: float = 2.0) -> Series:
    """Values held from each time on, until 100 s."""
    t_s = np.arange(0, 100, 1 / hz)
    value = np.zeros(len(t_s))
    for start_s, level in parts:
        value[t_s >= start_s] = level
    return series(t_s, value)


def _heat(*parts: tuple[float, float], hz: float = 2.0) -> Series:
    """The same for temperatures, which take their time: 0.8 degrees a second, below the rate of a runaway."""
    wanted = _steps(*parts, hz=hz)
    value = wanted.value.copy()
    for k in range(1, len(value)):
        value[k] = value[k - 1] + np.clip(wanted.value[k] - value[k - 1], -0.8 / hz, 0.8 / hz)
    return Series(wanted.t_ns, value)


def _told(events: list[BatteryAlarm]) -> list[tuple[str, int, int | None, bool]]:
    return [(e.alarm, e.level, e.cell, e.cleared) for e in events]


@pytest.mark.parametrize(
    ("limits", "volt", "alarm"),
    [
        (LIMITS, 4.3, "cell_over_voltage"),
        (LIMITS, 2.7, "cell_under_voltage"),
        (Detect(battery=BatteryLimits(chemistry="lfp")), 3.7, "cell_over_voltage"),
        (Detect(battery=BatteryLimits(chemistry="lfp")), 2.4, "cell_under_voltage"),
        (Detect(battery=BatteryLimits(cell_over_voltage_v=4.0)), 4.05, "cell_over_voltage"),
    ],
)
def test_a_cell_beyond_its_chemistrys_voltage_is_named_and_cleared(limits: Detect, volt: float, alarm: str) -> None:
    recording = {vss.cell_voltage(7): _steps((0, 3.3), (20, volt), (60, 3.3))}
    events = _detect(recording, limits)
    assert _told(events) == [(alarm, 2, 7, False), (alarm, 2, 7, True)]
    assert [e.t_ns for e in events] == [20 * NS, 60 * NS]
    assert events[0].value == volt


def test_hysteresis_keeps_an_alarm_until_its_release() -> None:
    recording = {vss.cell_temperature(3): _heat((0, 40), (20, 56), (44, 52), (55, 56), (65, 49))}
    assert _told(_detect(recording)) == [("over_temperature", 2, 3, False), ("over_temperature", 2, 3, True)]


def test_a_loose_probe_does_not_ring() -> None:
    flapping = [(float(t_s), 34.0 if t_s % 6 < 3 else 58.0) for t_s in range(20, 90)]
    recording = {vss.cell_temperature(3): _steps((0, 34), *flapping)}
    assert _told(_detect(recording)) == []


def test_a_worse_level_is_told_again() -> None:
    recording = {vss.cell_temperature(3): _heat((0, 45), (5, 56), (25, 66), (45, 40))}
    assert _told(_detect(recording)) == [
        ("over_temperature", 2, 3, False),
        ("over_temperature", 3, 3, False),
        ("over_temperature", 3, 3, True),
    ]


@pytest.mark.parametrize("wrong", [66.535, 65.535, 8.191, 0.0, -1.0])
def test_sentinels_are_no_voltages(wrong: float) -> None:
    assert _detect({vss.cell_voltage(0): _steps((0, 3.7), (20, wrong), (60, 3.7))}) == []


@pytest.mark.parametrize("wrong", [255.0, 511.0, 215.0, -100.0])
def test_sentinels_are_no_temperatures(wrong: float) -> None:
    assert _detect({vss.cell_temperature(0): _steps((0, 30), (20, wrong), (60, 30))}) == []


def test_one_wrong_sample_is_no_alarm() -> None:
    recording = {vss.cell_voltage(0): _steps((0, 3.7), (20, 5.0), (20.5, 3.7)), vss.cell_voltage(1): _steps((0, 3.7))}
    assert _detect(recording) == []


def test_spreads_name_the_low_cell_and_the_hot_probe() -> None:
    recording = {vss.cell_voltage(i): _steps((0, 3.7)) for i in range(4)}
    recording[vss.cell_voltage(2)] = _steps((0, 3.7), (30, 3.3))
    recording |= {vss.cell_temperature(i): _steps((0, 30)) for i in range(4)}
    recording[vss.cell_temperature(1)] = _heat((0, 30), (50, 47))
    assert _told(_detect(recording)) == [
        ("poor_cell_consistency", 1, 2, False),
        ("temperature_difference", 1, 1, False),
    ]


def test_the_packs_extremes_are_enough() -> None:
    recording = {
        vss.CELL_VOLTAGE_MAX: _steps((0, 3.7)),
        vss.CELL_VOLTAGE_MIN: _steps((0, 3.69), (30, 3.3)),
        vss.PACK_TEMPERATURE_MAX: _heat((0, 30), (55, 58)),
        vss.PACK_TEMPERATURE_MIN: _steps((0, 29)),
    }
    assert sorted(_told(_detect(recording))) == [
        ("over_temperature", 2, None, False),
        ("poor_cell_consistency", 1, None, False),
        ("temperature_difference", 1, None, False),
    ]


def test_logs_of_one_sample_in_half_a_minute_alarm_too() -> None:
    t_s = np.arange(0, 1800, 30.0)
    recording = {vss.PACK_TEMPERATURE_MAX: series(t_s, np.where(t_s > 600, 58.0, 30.0))}
    assert _told(_detect(recording)) == [("over_temperature", 2, None, False)]


@pytest.mark.parametrize("hz", [1.0, 2.0, 10.0])
def test_a_runaway_is_a_fast_rise_and_a_limit(hz: float) -> None:
    t_s = np.arange(0, 100, 1 / hz)
    celsius = np.rint(30 + 2.0 * np.clip(t_s - 30, 0, 25))
    (runaway,) = [e for e in _detect({vss.cell_temperature(5): series(t_s, celsius)}) if e.alarm == "thermal_runaway"]
    assert (runaway.level, runaway.cell) == (4, 5)
    assert 42 * NS < runaway.t_ns < 45 * NS


def test_a_slow_rise_to_the_limit_is_no_runaway() -> None:
    t_s = np.arange(0, 200, 0.5)
    celsius = np.rint(30 + 0.5 * np.clip(t_s - 30, 0, 60))
    assert _told(_detect({vss.cell_temperature(5): series(t_s, celsius)})) == [("over_temperature", 2, 5, False)]


def test_a_jump_is_no_runaway_but_a_collapsed_voltage_with_a_rise_is() -> None:
    assert "thermal_runaway" not in {e.alarm for e in _detect({vss.cell_temperature(5): _steps((0, 30), (40, 60))})}
    t_s = np.arange(0, 60, 1.0)
    recording = {
        vss.cell_voltage(5): series(t_s, np.where(t_s > 32, 2.85, 3.9)),
        vss.cell_temperature(5): series(t_s, 30 + 2.0 * np.clip(t_s - 30, 0, 10)),
    }
    assert ("thermal_runaway", 4, 5, False) in _told(_detect(recording))


def test_new_limits_keep_what_is_known() -> None:
    detector = BatteryDetector(LIMITS)
    recording = {vss.cell_temperature(0): _steps((0, 56))}
    assert len(run(detector, recording, window_s=0.5)) == 1
    detector.configure(Detect(battery=BatteryLimits(over_temperature_c=80, over_temperature_release_c=70)))
    later = {vss.cell_temperature(0): series(np.arange(100, 115, 0.5), 56.0)}
    assert [e.cleared for e in run(detector, later, window_s=0.5) if isinstance(e, BatteryAlarm)] == [True]


def test_rise_watch_wants_both_halves() -> None:
    watch = RiseWatch()
    assert not any(watch.feed(k * NS, 30.0) for k in range(5))
    assert not watch.feed(5 * NS, 45.0)
    assert [watch.feed((6 + k) * NS, 47.0 + 2 * k) for k in range(3)] == [False, True, True]


def test_drop_watch_compares_with_the_last_minute() -> None:
    watch = DropWatch()
    for second in range(200):
        watch.feed(second * NS, 4.0 - second * 0.01)
    assert watch.dropped_ns < 0
    watch.feed(201 * NS, 1.4)
    assert watch.dropped_ns < 0
    watch.feed(202 * NS, 1.4)
    assert watch.dropped_ns == 202 * NS


@pytest.mark.parametrize("wrong", [0.5, 5.9])
def test_one_wrong_voltage_is_no_collapse(wrong: float) -> None:
    watch = DropWatch()
    for second in range(100):
        watch.feed(second * NS, wrong if second % 20 == 5 else 3.9)
    assert watch.dropped_ns < 0


def test_the_last_sample_alone_is_no_runaway() -> None:
    watch = RiseWatch()
    slow = [(second * NS, 50.0 + second * 0.7) for second in range(10)]
    assert not any(watch.feed(t_ns, celsius) for t_ns, celsius in slow)
    assert not watch.feed(10 * NS, 90.0)


@pytest.mark.parametrize("hz", [1.0, 2.0, 5.0])
def test_a_thermistor_that_jumps_and_stays_is_a_sensor_fault(hz: float) -> None:
    t_s = np.arange(0, 90, 1 / hz)
    recording = {vss.cell_temperature(k): series(t_s, 31.0) for k in range(6)}
    recording[vss.cell_temperature(4)] = series(t_s, np.where((t_s >= 30) & (t_s < 70), 61.0, 31.0))
    events = run(BatteryDetector(LIMITS), recording, window_s=0.5)
    assert [(type(e), e.signal, e.fault, e.expected) for e in events if isinstance(e, PackSensorFault)] == [
        (PackSensorFault, vss.cell_temperature(4), "offset", 31.0)
    ]
    assert len(events) == 1


@pytest.mark.parametrize("rate", [9.0, 20.0, 50.0])
def test_a_burning_cell_is_believed_however_fast_it_heats(rate: float) -> None:
    t_s = np.arange(0, 60, 0.5)
    recording = {vss.cell_temperature(k): series(t_s, 31.0) for k in range(6)}
    recording[vss.cell_temperature(4)] = series(t_s, np.minimum(31 + rate * np.clip(t_s - 30, 0, None), 190))
    told = {e.alarm: e.t_ns for e in _detect(recording)}
    assert told["over_temperature"] <= 30 * NS + round((24 / rate + 2.1) * NS)


def test_a_probe_that_comes_back_is_believed_again() -> None:
    watch = JumpWatch()
    values = [30.0] * 5 + [60.0] * 5 + [31.0] * 3
    assert [watch.feed(k * NS, v) for k, v in enumerate(values)] == [True] * 5 + [False] * 5 + [True] * 3
    assert not watch.lying


@pytest.mark.parametrize(("probe", "fault"), [("still", "stuck"), ("cold", "drift")])
def test_a_probe_that_does_what_no_cell_can_is_told_once(probe: str, fault: str) -> None:
    t_s = np.arange(0, 1500, 5.0)
    warming = np.rint(20 + t_s / 60)
    recording = {vss.cell_temperature(k): series(t_s, warming + k % 2) for k in range(6)}
    lies = np.full(len(t_s), 20.0) if probe == "still" else warming - np.rint(np.minimum(t_s / 20, 15))
    recording[vss.cell_temperature(2)] = series(t_s, lies)
    events = run(BatteryDetector(LIMITS), recording, window_s=7)
    assert [(e.signal, e.fault) for e in events if isinstance(e, PackSensorFault)] == [(vss.cell_temperature(2), fault)]
