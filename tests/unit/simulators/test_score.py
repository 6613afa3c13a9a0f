"""The judge is judged by reports made by hand."""

import json
from typing import Literal

import msgspec
import pytest

from agent.core.events import BatteryAlarm, Collision, Event, HarshDriving, RoadImpact, TripStarted
from simulators.report_table import table_json, table_text, tabulate
from simulators.score import NS, Report, Run, can_tell, judge
from simulators.world import Truth


def crash(t_s: float) -> Event:
    return Collision(t_ns=round(t_s * NS), delta_v_kmh=20, duration_ms=100, peak_mps2=100, stationary=False)


def alarm(
    name: Literal["over_temperature", "temperature_difference", "thermal_runaway"], t_s: float, *, cleared: bool = False
) -> Event:
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


def test_a_second_impact_is_a_collision_that_says_it_is_the_second() -> None:
    truths = [Truth("collision", 30 * NS, {}), Truth("second_impact", 32 * NS, {})]
    again = msgspec.structs.replace(crash(32.1), multi_event=2, since_first_s=2.1)
    outcome = judge("crash", "x", 60, truths, told(crash(30), again))
    assert [report.event for _, report in outcome.found] == [crash(30), again]
    outcome = judge("crash", "x", 60, truths, told(crash(30), crash(32.1)))
    assert [truth.kind for truth in outcome.missed] == ["second_impact"]
    assert len(outcome.false) == 1


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
    truths = [Truth("trip_started", NS, {}), Truth("collision", 5 * NS, {})]
    reports = told(TripStarted(t_ns=NS), RoadImpact(t_ns=9 * NS, peak_mps2=11))
    rows = tabulate([judge("box", "x", 60, truths, reports)])
    assert [(row.family, row.found, row.missed.total(), row.false.total()) for row in rows] == [
        ("box", 0, 1, 1),
        ("trips", 1, 0, 0),
    ]
    text = table_text(rows)
    assert "missed: collision 1" in text
    assert "false: road_impact 1" in text
    assert json.loads(json.dumps(table_json(rows)))[0]["recall"] == 0


def test_truths_without_an_event_are_told_apart_from_misses() -> None:
    truths = [
        Truth("levitation", NS, {}),
        Truth("battery_alarm", NS, {"alarm": "alien_abduction"}),
        Truth("collision", 5 * NS, {}),
    ]
    outcome = judge("box", "x", 60, truths, told(crash(5)))
    assert (len(outcome.found), outcome.missed, len(outcome.unable)) == (1, (), 2)
    row = tabulate([outcome])[0]
    assert row.recall == 1
    assert row.recall_of_all == pytest.approx(1 / 3)
    text = table_text([row])
    assert "no event for this yet: levitation 1, battery_alarm:alien_abduction 1" in text
    assert "missed: nothing" in text
    assert table_json([row])[0]["no_event"] == {"levitation": 1, "battery_alarm:alien_abduction": 1}


def test_every_kind_the_agent_can_say_counts() -> None:
    assert can_tell(Truth("harsh_driving", 0, {"maneuver": "braking", "peak_mps2": 6.0}))
    assert not can_tell(Truth("harsh_driving", 0, {"maneuver": "moonwalk"}))
    assert not can_tell(Truth("levitation", 0, {}))


def test_a_nearer_report_is_not_taken_where_that_costs_a_match() -> None:
    """10.0 is nearest to 10.2, but then 10.3 would have nothing within 0.3 s."""
    truths = [Truth("collision", 10 * NS, {}), Truth("collision", round(10.3 * NS), {})]
    outcome = judge("crash", "x", 60, truths, told(crash(9.75), crash(10.2)))
    assert [(truth.t_ns / NS, report.event.t_ns / NS) for truth, report in outcome.found] == [(10, 9.75), (10.3, 10.2)]
    assert (outcome.missed, outcome.false) == ((), ())


def test_of_two_reports_in_the_window_the_nearer_is_the_match_and_the_other_false() -> None:
    outcome = judge("crash", "x", 60, [Truth("collision", 10 * NS, {})], told(crash(9.8), crash(10.1)))
    assert [report.event.t_ns / NS for _, report in outcome.found] == [10.1]
    assert [report.event.t_ns / NS for report in outcome.false] == [9.8]


@pytest.mark.parametrize(("t_s", "found"), [(29.69, False), (29.71, True), (30.29, True), (30.31, False)])
def test_the_window_is_as_wide_as_it_says(t_s: float, *, found: bool) -> None:
    outcome = judge("crash", "x", 60, [Truth("collision", 30 * NS, {})], told(crash(t_s)))
    assert bool(outcome.found) is found


def test_percentiles_and_false_alarms_over_several_drives() -> None:
    """Latencies of 100, 200, ... 1,000 ms: NumPy's linear percentiles 550 and 991; 3 false in 2 h: 1,500 in 1,000 h."""
    outcomes = [
        judge("crash", "x", 720, [Truth("collision", 30 * NS, {})], told(crash(30), late_s=n / 10))
        for n in range(1, 11)
    ]
    outcomes[0] = judge(
        "crash", "x", 720, [Truth("collision", 30 * NS, {})], told(crash(30), *map(crash, (9, 50, 70)), late_s=0.1)
    )
    row = tabulate(outcomes)[0]
    assert row.seconds == 7200
    assert row.p50_p99_ms is not None
    assert list(row.p50_p99_ms) == pytest.approx([550, 991])
    assert row.false == {"collision": 3}
    assert row.false_per_1000_h == pytest.approx(1500)
    assert table_json([row])[0]["latency_ms"] == [550.0, 991.0]


def test_nothing_at_all_divides_by_nothing() -> None:
    (row, trips) = tabulate([judge("road", "x", 0, [], [])])
    assert (row.recall, row.recall_of_all, row.p50_p99_ms, row.lead_p50_s, row.false_per_1000_h) == (None,) * 4 + (0,)
    assert trips.drives == 1
    assert table_text([row]).splitlines()[1].split()[-1] == "-"


RUNAWAY = Truth("battery_alarm", 90 * NS, {"alarm": "thermal_runaway", "cell": 7})


def test_lead_is_from_the_first_true_warning_to_the_hazard() -> None:
    """Told at 60.5 and 71 s, hazard at 90 s."""
    truths = [
        Truth("battery_alarm", 60 * NS, {"alarm": "over_temperature", "cell": 7}),
        Truth("battery_alarm", 70 * NS, {"alarm": "temperature_difference", "cell": 7}),
        RUNAWAY,
    ]
    reports = told(alarm("over_temperature", 60.2), alarm("temperature_difference", 70.7), late_s=0.3)
    outcome = judge("battery", "x", 120, truths, reports)
    assert [lead.hazard for lead in outcome.leads] == ["battery_alarm:thermal_runaway"]
    assert tabulate([outcome])[0].lead_p50_s == pytest.approx(29.5)


def test_the_hazard_itself_told_late_is_a_negative_lead() -> None:
    outcome = judge("battery", "x", 120, [RUNAWAY], told(alarm("thermal_runaway", 90), late_s=2))
    assert [lead.seconds for lead in outcome.leads] == [pytest.approx(-2)]


def test_a_false_warning_or_one_after_the_hazard_is_no_lead() -> None:
    truths = [RUNAWAY, Truth("battery_alarm", 100 * NS, {"alarm": "over_temperature", "cell": 7})]
    outcome = judge("battery", "x", 120, truths, told(alarm("over_temperature", 10), alarm("over_temperature", 100)))
    assert [lead.seconds for lead in outcome.leads] == [None]
    assert tabulate([outcome])[0].unwarned == 1


def test_a_run_says_how_to_get_it_again() -> None:
    outcome = judge("crash", "x", 60, [], [])
    assert Run(outcome, "crash_light", 3, (("mass", "1200"),)).command == (
        "./run sweep crash_light --param mass=1200 --seeds 3"
    )
    assert Run(outcome, "--commutes 12", 12).command == "./run sweep --commutes 12"
