"""Sweeps through the real pipeline, and the report they write."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.core.events import Collision, HarshDriving
from simulators.__main__ import main
from simulators.report import Title, render
from simulators.report_html import seconds
from simulators.score import NS, Report, Run, judge
from simulators.sweep import falls_short, run_jobs, score_drive, watch
from simulators.sweep_plan import plan, swept, with_parameter
from simulators.world import Truth, load_scenario, simulate


@pytest.mark.parametrize("name", ["commute", "speed_bumps"])
def test_the_real_agent_finds_all_of_it_and_nothing_else(name: str) -> None:
    outcome = score_drive(simulate(load_scenario(name), 7), family="x")
    assert (outcome.missed, outcome.unable, outcome.false) == ((), (), ())


def test_the_same_drive_is_told_the_same_whatever_the_window() -> None:
    drive = simulate(load_scenario("harsh_brake"), 7)
    coarse, fine = watch(drive, window_ns=NS // 4), watch(drive, window_ns=NS // 10)
    assert [report.event for report in coarse] == [report.event for report in fine]


def test_a_sweep_varies_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "crash_light", "--param", "events.0.delta_v_kmh=5,12", "--param", "mass=1500", "--json"]
    assert main([*arguments, "--seeds", "1..1", "--jobs", "1"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["family"], row["drives"]) for row in rows] == [("crash", 2), ("trips", 2)]
    assert rows[0]["found"] == 1
    heavy = with_parameter(load_scenario("commute"), "mass", "2500")
    assert heavy.car.mass_kg == 2500


def test_processes_change_nothing() -> None:
    jobs = plan(["parked_hit", "door_slam"], [], seeds=range(2))
    done: list[int] = []
    assert run_jobs(jobs, workers=2, tell=done.append) == run_jobs(jobs, workers=1, tell=lambda _: None)
    assert done == [1, 2, 3, 4]


def test_the_plan_of_a_full_sweep_is_bounded_and_of_a_small_one_one_seed_each() -> None:
    small, full = plan([], [], small=True), plan([], [])
    assert len({job.source for job in small}) == len(small)
    hours = sum(job.scenario.duration_s for job in full) / 3600
    assert len(full) > len(small)
    assert 20 < hours < 60
    assert [job.source for job in plan([], [], commutes=range(3, 5))] == ["--commutes 3", "--commutes 4"]
    both = plan(["commute"], ["mass=1200,1300", "air=4,9"], seeds=range(2))
    assert [job.parameters for job in both[::2]] == [
        (("mass", mass), ("air", air)) for mass in ("1200", "1300") for air in ("4", "9")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown scenario 'nope'"),
        (["commute", "--param", "mass"], "--param mass: write KEY=VALUE"),
        (["commute", "--param", "a=1"], "--param a fits air_c, "),
        (["commute", "--param", "wings=1"], "--param wings is no key of [car], which has "),
        (["commute", "--param", "car.wings=2"], "--param car.wings: the scenario commute has no such key"),
        (["commute", "--param", "events.9.cell=2"], "--param events.9.cell: the scenario commute has no such key"),
        (["commute", "--param", "mass=-3"], "--param mass=-3: Expected `float` >= 500"),
        (["commute", "--seeds", "9..1"], "from 1 to 10000 seeds"),
        (["commute", "--jobs", "none"], "argument --jobs"),
        (["commute", "--report", "/proc/no/x.html"], "--report /proc/no/x.html: cannot be written"),
    ],
)
def test_a_sweep_that_cannot_be_is_told_and_exit_code_2(
    arguments: list[str], message: str, refusal: Callable[[Sequence[str]], str]
) -> None:
    assert message in refusal(["sweep", *arguments])


def crash(t_s: float) -> Report:
    event = Collision(t_ns=round(t_s * NS), delta_v_kmh=20, duration_ms=100, peak_mps2=100, stationary=False)
    return Report(event, event.t_ns + NS // 5)


def made_runs() -> list[Run]:
    """Two masses, two seeds: one found, one missed, one false alarm, one without an event."""
    truth, brake = Truth("collision", 30 * NS, {}), HarshDriving(t_ns=NS, maneuver="braking", peak_mps2=6, duration_s=1)
    runs = []
    for seed, reports in enumerate([[crash(30.0)], [Report(brake, 2 * NS)]]):
        for mass in ("1200", "2400"):
            truths = [truth, Truth("levitation", 40 * NS, {})]
            outcome = judge("crash", "pile<up>", 60, truths, reports)
            runs.append(Run(outcome, "pileup.toml", seed, (("mass", mass),)))
    return runs


def test_the_report_is_one_file_that_shows_every_miss_and_how_to_get_it_again() -> None:
    page = render(made_runs(), Title("./run sweep <x>", took_s=3, processes=2))
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "pile&lt;up&gt;" in page
    assert "<x>" not in page
    assert page.count("./run sweep pileup.toml --param mass=2400 --seeds 1") == 2  # a miss, a false alarm
    assert "harsh_driving:braking" in page
    assert "levitation" in page
    charts = re.findall(r"<svg.*?</svg>", page)
    assert len(charts) == 3 + 3  # recall, latency, false alarms; three panels for the mass
    for chart in charts:
        ET.fromstring(chart)  # noqa: S314  # our own text
        assert "nan" not in chart


def test_a_report_of_nothing_has_no_plot_and_no_error() -> None:
    page = render([Run(judge("road", "x", 60, [], []), "x", 1)], Title("x", took_s=0.1, processes=1))
    assert "<svg" not in page
    assert page.count("None.") == 3


@pytest.mark.parametrize(
    ("family", "truths", "reports", "short"),
    [
        ("crash", [], [], False),
        ("crash", [Truth("collision", NS, {})], [], True),
        ("crash", [Truth("levitation", NS, {})], [], False),
        ("sensors", [], [crash(1)], False),
        ("commute", [], [crash(1)], True),
    ],
)
def test_what_a_strict_sweep_minds(family: str, truths: list[Truth], reports: list[Report], *, short: bool) -> None:
    assert falls_short([Run(judge(family, "x", 60, truths, reports), "x", 1)]) is short


def test_parameters_that_took_one_value_are_not_swept() -> None:
    assert swept(made_runs()) == ["mass"]
    assert swept(made_runs()[::2]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (-2.25, "-2.2 s"),
        (99.96, "1.7 min"),
        (5400, "90 min"),
        (9000, "2.5 h"),
    ],
)
def test_seconds_are_read_at_a_glance(value: float, text: str) -> None:
    assert seconds(value) == text


def test_the_command_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "x.html"
    assert main(["sweep", "parked_hit", "--jobs", "1", "--report", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {path}"
    assert "./run sweep parked_hit --jobs 1" in path.read_text()
