"""Engines that run as they should, and some that do not; one sample a second where nothing else is said."""

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.diagnosis_events import EngineAdvice
from agent.detect.engine import EngineDetector
from tests.unit.detect.feed import LIMITS, Recording, run, series

RNG = np.random.default_rng(5)


def drive(minutes: float, **signals: object) -> Recording:
    """Town and country at changing speeds, warm, closed loop; signals by short name replace its own."""
    t_s = np.arange(round(minutes * 60)).astype(float)
    throttle = 20 + 8 * np.sin(t_s / 40) + 4 * np.sin(t_s / 11)
    speed = 50 + 30 * np.sin(t_s / 60)
    rpm = 1800 + 20 * speed + 10 * throttle + RNG.normal(0, 4, len(t_s))
    own = {
        vss.ENGINE_SPEED: rpm,
        vss.THROTTLE: throttle,
        vss.SPEED: np.rint(speed),
        vss.MASS_AIR_FLOW: throttle * rpm / 4000,
        vss.MANIFOLD_PRESSURE: 30 + 1.2 * throttle,
        vss.COOLANT_TEMPERATURE: np.full(len(t_s), 89.0),
        vss.INTAKE_TEMPERATURE: np.full(len(t_s), 30.0),
        vss.SHORT_TERM_FUEL_TRIM: RNG.normal(0, 2, len(t_s)),
        vss.LONG_TERM_FUEL_TRIM: np.full(len(t_s), 3.0),
    }
    for name, values in signals.items():
        own[getattr(vss, name)] = np.broadcast_to(np.asarray(values, float), t_s.shape)
    return {path: series(t_s, values) for path, values in own.items()}


def told(recording: Recording) -> list[EngineAdvice]:
    events = run(EngineDetector(LIMITS), recording, window_s=10.0)
    assert all(isinstance(event, EngineAdvice) for event in events)
    return [event for event in events if isinstance(event, EngineAdvice)]


def names(recording: Recording) -> list[tuple[str, str]]:
    return [(advice.fault, advice.level) for advice in told(recording)]


def test_nothing_is_told_of_a_healthy_drive() -> None:
    assert told(drive(20)) == []


@pytest.mark.parametrize(("percent", "expected"), [
    (17.0, []),
    (21.0, [("lean_mixture", "advice")]),
    (34.0, [("lean_mixture", "service_soon")]),
    (-24.0, [("rich_mixture", "advice")]),
])  # fmt: skip
def test_the_mixture_is_told_by_both_trims_together(percent: float, expected: list[tuple[str, str]]) -> None:
    assert names(drive(6, LONG_TERM_FUEL_TRIM=percent - 5.0, SHORT_TERM_FUEL_TRIM=5.0)) == expected


def test_trims_of_a_cold_engine_do_not_count() -> None:
    assert names(drive(6, LONG_TERM_FUEL_TRIM=40.0, COOLANT_TEMPERATURE=40.0)) == []


def test_a_mixture_is_told_once_a_drive_and_again_after_a_rest() -> None:
    lean = drive(6, LONG_TERM_FUEL_TRIM=25.0)
    later = {
        path: series(np.concatenate([s.t_ns / 1e9, s.t_ns / 1e9 + 7200]), np.tile(s.value, 2))
        for path, s in lean.items()
    }
    assert [advice.t_ns // 10**9 for advice in told(later)] == [90, 7290]


def test_a_misfire_shakes_a_steady_engine() -> None:
    steady = {"THROTTLE": 18.0, "SPEED": 60.0}
    assert names(drive(4, ENGINE_SPEED=RNG.normal(2000, 5, 240), **steady)) == []
    assert names(drive(4, ENGINE_SPEED=RNG.normal(2000, 90, 240), **steady)) == [("misfire", "service_soon")]


def test_gear_changes_are_no_misfire() -> None:
    gears = np.where(np.arange(600) // 7 % 2, 3000.0, 1800.0)
    pedal = np.where(np.arange(600) // 7 % 2, 60.0, 5.0)
    assert "misfire" not in {fault for fault, _ in names(drive(10, ENGINE_SPEED=gears, THROTTLE=pedal))}


def test_boiling_says_stop_now() -> None:
    slow = np.minimum(89 + np.arange(900) * 0.1, 121)
    assert names(drive(15, COOLANT_TEMPERATURE=slow)) == [("overheating", "stop_now")]


def test_a_coolant_that_heats_faster_than_fuel_burns_is_a_sensor() -> None:
    fast = np.where(np.arange(900) > 300, np.minimum(89 + (np.arange(900) - 300) * 0.6, 140), 89.0)
    found = told(drive(15, COOLANT_TEMPERATURE=fast, MASS_AIR_FLOW=RNG.uniform(7, 9, 900), INTAKE_TEMPERATURE=np.nan))
    assert [(advice.fault, advice.signal) for advice in found] == [("sensor_implausible", vss.COOLANT_TEMPERATURE)]
    assert found[0].value > found[0].expected


@pytest.mark.parametrize(("celsius", "minutes", "expected"), [
    (np.minimum(15 + np.arange(1800) * 0.02, 52), 30, ["thermostat"]),  # never warm
    (np.minimum(15 + np.arange(1800) * 0.15, 89), 30, []),
    (np.where(np.arange(3000) < 900, 88.0, 58.0), 50, ["thermostat"]),  # cools down again
    (np.full(800, 40.0), 800 / 60, []),  # too short to say
])  # fmt: skip
def test_a_thermostat_is_told_after_a_quarter_of_an_hour(
    celsius: npt.NDArray[np.float64], minutes: float, expected: list[str]
) -> None:
    assert [fault for fault, _ in names(drive(minutes, COOLANT_TEMPERATURE=celsius))] == expected


def test_a_cold_engine_that_idles_has_no_broken_thermostat() -> None:
    assert names(drive(40, COOLANT_TEMPERATURE=45.0, SPEED=0.0)) == []


@pytest.mark.parametrize("name", ["THROTTLE", "MANIFOLD_PRESSURE", "MASS_AIR_FLOW", "SPEED"])
def test_a_sensor_that_stands_still_among_moving_ones(name: str) -> None:
    found = told(drive(11, **{name: 47.0}))
    assert ("sensor_stuck", getattr(vss, name)) in {(advice.fault, advice.signal) for advice in found}


def test_a_standing_car_whose_driver_plays_with_the_pedal_has_a_sound_speed() -> None:
    assert names(drive(11, SPEED=0.0)) == []


def test_full_pressure_behind_a_shut_throttle() -> None:
    shut = np.where(np.arange(900) > 500, 8.0, 30 - 20 * np.sin(np.arange(900) / 30))
    kpa = np.where(np.arange(900) > 500, 99.0, 25 + shut)
    found = told(drive(15, THROTTLE=shut, MANIFOLD_PRESSURE=kpa))
    assert ("sensor_implausible", vss.MANIFOLD_PRESSURE) in {(advice.fault, advice.signal) for advice in found}


def test_a_diesel_has_no_vacuum_and_no_fault() -> None:
    assert names(drive(15, THROTTLE=RNG.uniform(8, 9, 900), MANIFOLD_PRESSURE=RNG.uniform(98, 130, 900))) == []


def test_air_that_strays_from_what_the_cylinders_take() -> None:
    rpm, throttle = np.full(900, 2500.0) + RNG.normal(0, 4, 900), 20 + 5 * np.sin(np.arange(900) / 9)
    flow = throttle * rpm / 4000 * np.where(np.arange(900) > 400, 0.5, 1.0)
    found = told(drive(15, ENGINE_SPEED=rpm, THROTTLE=throttle, MASS_AIR_FLOW=flow, MANIFOLD_PRESSURE=2.5 * throttle))
    assert [(advice.fault, advice.signal) for advice in found] == [("sensor_implausible", vss.MASS_AIR_FLOW)]


def test_a_stopped_engine_is_not_judged() -> None:
    assert names(drive(20, ENGINE_SPEED=0.0, COOLANT_TEMPERATURE=125.0, LONG_TERM_FUEL_TRIM=40.0)) == []


def test_a_hundred_hertz_say_no_more_than_one() -> None:
    t_s = np.arange(0, 300, 0.01)
    shaky = RNG.normal(2000, 90, len(t_s))
    found = told({vss.ENGINE_SPEED: series(t_s, shaky), vss.SPEED: series(t_s, 60.0), vss.THROTTLE: series(t_s, 18.0)})
    assert [advice.fault for advice in found] == ["misfire"]


def test_not_a_number_is_no_value() -> None:
    """Decoding drops them; what comes through all the same must not decide anything."""
    trims = np.where(np.arange(360) % 50 == 0, np.nan, 3.0)
    assert names(drive(6, LONG_TERM_FUEL_TRIM=trims)) == []


def test_a_stuck_throttle_makes_no_misfire_of_a_hasty_driver() -> None:
    second = np.arange(1200)
    hasty = np.where(second % 4 < 2, 1800.0, 2100.0)
    road = 60 + 20 * np.sin(second / 30)
    blind = {"THROTTLE": 40.0, "SPEED": road, "INTAKE_TEMPERATURE": np.nan, "MANIFOLD_PRESSURE": np.nan}
    alone = told(drive(20, ENGINE_SPEED=hasty, MASS_AIR_FLOW=np.nan, **blind))
    assert "misfire" in {advice.fault for advice in alone}  # nothing tells that the throttle lies
    air = np.where(second % 300 < 290, 12.0, 25.0)
    rpm = np.where(second < 400, 2000 + road * 20, hasty)
    found = told(drive(20, ENGINE_SPEED=rpm, MASS_AIR_FLOW=air, **blind))
    assert [(advice.fault, advice.signal) for advice in found] == [("sensor_stuck", vss.THROTTLE)]
