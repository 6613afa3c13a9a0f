"""Attacks on the simulated car's bus through the real pipeline, by the habits that its profile pins."""

import pytest

from agent.core.events import BusAnomaly
from agent.core.frames import EXTENDED_KEY
from agent.decode.profile import load_pinned, load_profile
from agent.detect.bus_guard import load_habits
from agent.detect.bus_habits import HabitLearner
from simulators.hardware import PROFILE
from simulators.score import can_tell, judge
from simulators.sweep import watch
from simulators.world import load_scenario, simulate, simulate_commute
from simulators.world.frames import load_database

SEED, NS = 7, 1_000_000_000


@pytest.mark.parametrize(
    ("name", "finding", "can_id"),
    [("bus_flood", "flood", 0), ("bus_fuzz", "unknown_identifier", None), ("bus_replay_beside", "injected", 0xB4)],
)
def test_what_does_not_belong_is_told_within_two_seconds(name: str, finding: str, can_id: int | None) -> None:
    drive = simulate(load_scenario(name), SEED)
    reports = [report for report in watch(drive) if isinstance(report.event, BusAnomaly)]
    first = reports[0].event
    assert isinstance(first, BusAnomaly)
    (truth,) = [truth for truth in drive.truth if truth.kind == "bus_anomaly"]
    assert first.finding == finding == truth.details["finding"]
    assert 0 <= first.first_ns - truth.t_ns < NS // 10
    assert reports[0].told_ns - truth.t_ns < 2 * NS
    assert can_id is None or first.identifiers == [can_id]
    assert len(reports) <= 2  # as it is found, and what came after it


@pytest.mark.parametrize("name", ["bus_replay", "bus_masquerade", "bus_suspension"])
def test_what_the_car_might_have_said_itself_is_not_seen(name: str) -> None:
    drive = simulate(load_scenario(name), SEED)
    (truth,) = [truth for truth in drive.truth if truth.kind == "bus_anomaly"]
    assert not can_tell(truth)  # the score says so, too
    reports = watch(drive)
    assert not [report for report in reports if isinstance(report.event, BusAnomaly)]
    assert judge("bus", name, 95, drive.truth, reports).unable == (truth,)


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_healthy_commutes_raise_nothing(seed: int) -> None:
    assert not [report for report in watch(simulate_commute(seed, 300)) if isinstance(report.event, BusAnomaly)]


def test_the_pinned_habits_know_every_message_of_the_car() -> None:
    profile = load_profile(PROFILE)
    state = load_pinned(profile.habits)
    learner = HabitLearner.load(load_habits(state)[0].habits)
    assert learner is not None
    database = load_database()
    assert set(learner.habits()) == {
        message.frame_id | EXTENDED_KEY * message.is_extended_frame for message in database.messages
    }
