"""Trims at idle, under load, before and now."""

import numpy as np
import pytest

from agent.core import vss
from agent.diagnosis.trends import Trends
from tests.unit.detect.feed import NS, Recording, series, windows


def learn(recording: Recording) -> dict[str, float]:
    trends = Trends()
    for window in windows(recording, range(0, 4000 * NS, 7 * NS)):
        trends.update(window)
    return trends.figures()


def drive(
    long: "np.ndarray[tuple[int], np.dtype[np.float64]]", idle: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> Recording:
    t_s = np.arange(len(long)).astype(float)
    return {
        vss.ENGINE_SPEED: series(t_s, np.where(idle, 800.0, 2200.0)),
        vss.SPEED: series(t_s, np.where(idle, 0.0, 60.0)),
        vss.COOLANT_TEMPERATURE: series(t_s, 90.0),
        vss.LONG_TERM_FUEL_TRIM: series(t_s, long),
        vss.SHORT_TERM_FUEL_TRIM: series(t_s, 1.0),
    }


def test_nothing_is_known_at_first() -> None:
    assert learn(drive(np.full(40, 5.0), np.zeros(40, bool))) == {}


def test_idle_and_load_are_told_apart() -> None:
    idle = np.arange(600) % 200 < 100
    figures = learn(drive(np.where(idle, 20.0, 4.0), idle))
    assert figures["trim_idle"] == pytest.approx(21.0)
    assert figures["trim_load"] == pytest.approx(5.0)
    assert figures["trim_idle_excess"] == pytest.approx(16.0)


def test_a_change_is_told_against_many_hours_before() -> None:
    long = np.where(np.arange(3000) < 2400, 2.0, 22.0)
    figures = learn(drive(long, np.zeros(3000, bool)))
    assert figures["trim_change"] == pytest.approx(22.7 - 6.9, abs=1.0)
    assert learn(drive(np.full(3000, 22.0), np.zeros(3000, bool)))["trim_change"] == pytest.approx(0.0, abs=1e-9)
    assert "trim_change" not in learn(drive(np.full(1000, 22.0), np.zeros(1000, bool)))


def test_what_held_before_outlives_a_start() -> None:
    healthy = Trends()
    for window in windows(drive(np.full(2000, 2.0), np.zeros(2000, bool)), []):
        healthy.update(window)
    again = Trends(healthy.state())
    assert again.seconds == healthy.seconds > 1900
    assert again.figures() == {}
    for window in windows(drive(np.full(120, 22.0), np.zeros(120, bool)), []):
        again.update(window)
    assert again.figures()["trim_change"] == pytest.approx(19.0, abs=1.5)


@pytest.mark.parametrize("state", [b"", b"{", b"\xff", b'{"v": 9}', b'{"seconds": -1}', b'{"percent": 1e9}', b"[]"])
def test_a_spoilt_state_is_forgotten(state: bytes) -> None:
    assert Trends(state).seconds == 0


def test_a_cold_engine_teaches_nothing() -> None:
    recording = drive(np.full(600, 30.0), np.zeros(600, bool))
    assert learn({**recording, vss.COOLANT_TEMPERATURE: series(np.arange(600.0), 20.0)}) == {}
