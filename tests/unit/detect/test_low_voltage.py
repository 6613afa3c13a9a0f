import numpy as np
import pytest

from agent.core import vss
from agent.core.events import LowVoltageAlarm
from agent.detect.low_voltage import LowVoltageDetector
from tests.unit.detect.feed import LIMITS, NS, Floats, Recording, run, series


def _told(t_s: Floats, volt: Floats, *, driving: bool = True, volts: float = 1.0) -> list[tuple[str, float, bool]]:
    recording: Recording = {
        vss.LOW_VOLTAGE: series(t_s, volt * volts),
        vss.SPEED: series(t_s, 40.0 if driving else 0.0),
    }
    events = run(LowVoltageDetector(LIMITS), recording, window_s=7)
    return [(e.alarm, round(e.t_ns / NS, 1), e.cleared) for e in events if isinstance(e, LowVoltageAlarm)]


def _grid(seconds: float, hz: float = 10.0) -> Floats:
    return np.arange(0, seconds, 1 / hz, dtype=np.float64)


def test_a_smart_alternator_is_no_fault() -> None:
    t_s = _grid(1800, 2)
    volt = 12.5 + 2.3 * (np.sin(t_s / 40) > 0.8).astype(np.float64)
    assert _told(t_s, volt) == []
    assert _told(t_s, np.full(len(t_s), 12.6, np.float64)) == []  # half an hour at 12.6 V may be meant


def test_an_alternator_that_died_is_told_after_minutes_and_dated_at_its_death() -> None:
    t_s = _grid(900, 2)
    volt = np.where(t_s < 100, 14.2, 12.7 - 0.004 * (t_s - 100))
    assert _told(t_s, volt)[0] == ("not_charging", 99.5, False)
    at_once = np.where(t_s < 100, 14.2, 12.2)
    assert _told(t_s, at_once) == [("not_charging", 99.5, False)]
    back = np.where((t_s > 100) & (t_s < 500), 12.2, 14.2)
    assert [(alarm, cleared) for alarm, _, cleared in _told(t_s, back)] == [
        ("not_charging", False),
        ("not_charging", True),
    ]


def test_a_parked_battery_is_low_then_flat() -> None:
    t_s = _grid(3600, 0.5)
    assert [told[0] for told in _told(t_s, 12.7 - t_s / 3600, driving=False)] == ["low", "flat"]


@pytest.mark.parametrize(("lowest_v", "lasts_s", "weak"), [(7.9, 0.15, True), (9.0, 1.2, True), (10.2, 1.0, False)])
def test_a_starter_that_pulls_too_low(lowest_v: float, lasts_s: float, *, weak: bool) -> None:
    t_s = _grid(60)
    volt = np.where(t_s < 5, 12.6, 14.2)
    since = t_s - 5.0
    volt = np.where((since >= 0) & (since < lasts_s), lowest_v, volt)
    volt = np.where((since >= lasts_s) & (since < lasts_s + 0.5), 11.0, volt)
    assert _told(t_s, volt) == ([("weak_crank", 5.0, False)] if weak else [])


def test_a_single_wrong_sample_is_no_starter() -> None:
    t_s = _grid(60)
    assert _told(t_s, np.where(np.abs(t_s - 20) < 0.01, 3.0, 14.2)) == []
    assert _told(t_s, np.where(np.abs(t_s - 20) < 0.01, 0.0, 14.2)) == []


def test_trucks_have_twice_the_volts() -> None:
    t_s = _grid(900, 2)
    volt = np.where(t_s < 100, 14.2, 12.2)
    assert _told(t_s, volt, volts=2.0) == [("not_charging", 99.5, False)]
    assert _told(t_s, np.full(len(t_s), 14.2), volts=2.0) == []


def test_too_much_voltage_and_gaps() -> None:
    t_s = _grid(300, 2)
    assert _told(t_s, np.where(t_s > 100, 15.6, 14.2)) == [("over_voltage", 100.5, False)]
    gaps = np.arange(0, 80_000, 100.0)  # a sample every hundred seconds says nothing about minutes
    assert _told(gaps, np.full(len(gaps), 11.0)) == []
