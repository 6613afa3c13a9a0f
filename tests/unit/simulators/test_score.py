"""The judge is judged: by reports made by hand, and by drives through the real pipeline."""

import json
from typing import Literal

import pytest

from agent.core.events import BatteryAlarm, Collision, Event, HarshDriving, RoadImpact, TripStarted
from simulators.__main__ import main
from simulators.score import NS, Report, judge, table_json, table_text, tabulate
from simulators.sweep import score_drive, watch, with_parameter
from simulators.world import Truth, load_scenario, simulate


def crash(t_s: float) -> Event:
    return Collision(t_ns=round(t_s * NS), delta_v_kmh=20, duration_ms=100, peak_mps2=100, stationary=False)


def alarm(name: Literal["over_temperature", "temperature_difference"], t_s: float, *, cleared: bool = False) -> Event:
    return BatteryAlarm(t_ns=round(t_s * NS), alarm=name, level=2, value=60, limit=55, unit="Celsius", cleared=cleared)


def told(*events: Event, late_s: float = 0.2) -> list[Report]:
    return [Report(event, event.t_ns + round(late_s * NS)) for event in events]


def test_a_report_near_the_truth_is_found_and_its_latency_counts() -> None:
    outcome = judge("crash", "x", 60, [Truth("collision", 30 * NS, {})], told(crash(30.01), late_s=0.3))
    assert (len(outcome.found), outcome.missed, outcome.false) == (1, (), ())
    row = tabulate([outcome])[0]
    assert row.recall == 1
    assert row.latency_ms == [pytest.approx(310)]


def test_a_report_far_from_the_truth_is_a_miss_and_a_false_alarm() -> None:
    outcome = judge("crash", "x", 3600, [Truth("collision", 30 * NS, {})], told(crash(31)))
    row = tabulate([outcome])[0]
    assert row.recall == 0
    assert row.missed == {"collision": 1}
    assert row.false == {"collision": 1}
    assert row.false_per_1000_h == pytest.approx(1000)


def test_one_report_answers_for_one_truth() -> None:
    truths = [Truth("collision", 30 * NS, {}), Truth("collision", 30 * NS + 1, {})]
    outcome = judge("crash", "x", 60, truths, told(crash(30)))
    assert (len(outcome.found), len(outcome.missed)) == (1, 1)


def test_alarms_are_told_apart_and_their_end_is_no_alarm() -> None:
    truths = [Truth("battery_alarm", 30 * NS, {"alarm": "over_temperature", "cell": 7})]
    outcome = judge("battery", "x", 60, truths, told(alarm("temperature_difference", 30)))
    assert len(outcome.missed) == len(outcome.false) == 1
    on, still = alarm("over_temperature", 31), alarm("over_temperature", 45)
    off = alarm("over_temperature", 50, cleared=True)
    outcome = judge("battery", "x", 60, truths, told(on, still, off))
    assert (len(outcome.found), outcome.false) == (1, ())


def test_harsh_driving_needs_the_right_maneuver() -> None:
    event = HarshDriving(t_ns=NS, maneuver="braking", peak_mps2=6, duration_s=1)
    outcome = judge("driving", "x", 60, [Truth("harsh_driving", NS, {"maneuver": "cornering"})], told(event))
    assert outcome.found == ()


def test_trips_have_a_row_of_their_own_and_the_table_tells_what_was_missed() -> None:
    truths = [Truth("trip_started", NS, {}), Truth("tow", 5 * NS, {})]
    reports = told(TripStarted(t_ns=NS), RoadImpact(t_ns=9 * NS, peak_mps2=11))
    rows = tabulate([judge("box", "x", 60, truths, reports)])
    assert [(row.family, row.found, row.missed.total(), row.false.total()) for row in rows] == [
        ("box", 0, 1, 1),
        ("trips", 1, 0, 0),
    ]
    text = table_text(rows)
    assert "missed: tow 1" in text
    assert "false: road_impact 1" in text
    assert json.loads(json.dumps(table_json(rows)))[0]["recall"] == 0


@pytest.mark.parametrize("name", ["commute", "speed_bumps"])
def test_the_real_agent_finds_all_of_it_and_nothing_else(name: str) -> None:
    outcome = score_drive(simulate(load_scenario(name), 7), family="x")
    assert (outcome.missed, outcome.false) == ((), ())


def test_the_same_drive_is_told_the_same_whatever_the_window() -> None:
    drive = simulate(load_scenario("harsh_brake"), 7)
    coarse, fine = watch(drive, window_ns=NS // 4), watch(drive, window_ns=NS // 10)
    assert [report.event for report in coarse] == [report.event for report in fine]


def test_a_sweep_varies_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "crash_light", "--param", "events.0.delta_v_kmh=5,12", "--param", "mass=1500", "--json"]
    assert main([*arguments, "--seeds", "1..1"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["family"], row["drives"]) for row in rows] == [("crash", 2), ("trips", 2)]
    assert rows[0]["found"] == 1
    heavy = with_parameter(load_scenario("commute"), "mass", "2500")
    assert heavy.car.mass_kg == 2500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown scenario 'nope'"),
        (["commute", "--param", "mass"], "--param mass: write KEY=VALUE"),
        (["commute", "--param", "a=1"], r"--param a: [car] has mass_kg"),
        (["commute", "--param", "car.wings=2"], "--param car.wings: the scenario commute has no such key"),
        (["commute", "--param", "events.9.cell=2"], "--param events.9.cell: the scenario commute has no such key"),
        (["commute", "--param", "mass=-3"], "--param mass=-3: Expected `float` >= 500"),
        (["commute", "--seeds", "9..1"], "from 1 to 10000 seeds"),
    ],
)
def test_a_sweep_that_cannot_be_is_told_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["sweep", *arguments])
    except SystemExit as exc:
        code = int(exc.code or 0)
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
