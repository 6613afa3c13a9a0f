import pytest

from agent.core import vss
from agent.core.events import Anomaly, EngineAdvice, LowVoltageAlarm
from tests.eval.drive_model import figures
from tests.eval.drive_sweep import KINDS


def _hint(signal: str, fault: str) -> Anomaly:
    return Anomaly(t_ns=0, model="drive-2", score=0.9, threshold=0.5, signal=signal, fault=fault)


def test_a_hint_counts_where_it_names_the_signal_and_of_trims_the_way() -> None:
    assert KINDS["lean, 28 %"].is_told(_hint(vss.LONG_TERM_FUEL_TRIM, "lean_mixture"))
    assert not KINDS["lean, 28 %"].is_told(_hint(vss.LONG_TERM_FUEL_TRIM, "rich_mixture"))
    assert KINDS["throttle stuck"].is_told(_hint(vss.THROTTLE, "sensor_implausible"))
    assert not KINDS["throttle stuck"].is_told(_hint(vss.ENGINE_SPEED, "misfire"))
    assert not KINDS["healthy"].is_told(_hint(vss.ENGINE_SPEED, "misfire"))


def test_rules_count_by_the_fault_that_they_name() -> None:
    advice = EngineAdvice(
        t_ns=0,
        level="advice",
        fault="sensor_stuck",
        signal=vss.THROTTLE,
        value=1,
        expected=1,
        unit="percent",
        seconds=1,
    )
    assert KINDS["throttle stuck"].is_told(advice)
    assert not KINDS["air flow stuck"].is_told(advice)
    assert KINDS["not charging"].is_told(LowVoltageAlarm(t_ns=0, alarm="not_charging", value=12.0, limit=12.8))


def test_precision_by_the_bound_is_lower_than_by_the_count() -> None:
    found = figures([3.0, 4.0], [1.0, 2.0, 3.5, 1.0], 2, 0)
    assert found["auroc"] == pytest.approx(7 / 8)
    assert found["precision"] == 1.0
    assert found["precision_low"] == pytest.approx(0.013, abs=0.002)
    assert figures([], [1.0], 0, 0) == {}
