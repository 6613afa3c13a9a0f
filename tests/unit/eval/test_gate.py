"""The judge of the gate must see what the gate would like to hide."""

import msgspec

from agent.core.events import Collision as CollisionEvent
from simulators.world import simulate
from simulators.world.happenings import Reversing
from simulators.world.scenario import Collision, HarshBrake, Leg, Scenario
from tests.eval.gate import crash_spans, judge, manoeuvre_spans
from tests.eval.gate_draws import draw
from tests.eval.gate_drives import Played, Sound, play

NS = 1_000_000_000
SCENARIO = Scenario(
    name="judged",
    description="braking at 10, reversing at 20, a crash at 40",
    duration_s=60,
    legs=[Leg(at_s=0, speed_kmh=60)],
    events=[
        HarshBrake(at_s=10, deceleration_mps2=6, duration_s=1),
        Reversing(at_s=20, duration_s=3),
        Collision(at_s=40, delta_v_kmh=30),
    ],
)


def sound(begun_s: float, ended_s: float, urgency: int = 2, text: str = "") -> Sound:
    return Sound(round(begun_s * NS), round(ended_s * NS), urgency, text, cut=False)


def told(t_s: float) -> tuple[int, CollisionEvent]:
    t_ns = round(t_s * NS)
    return t_ns, CollisionEvent(t_ns=t_ns, delta_v_kmh=30, duration_ms=90, peak_mps2=200, stationary=False)


def test_the_judge_finds_what_sounds_while_the_world_brakes_reverses_or_has_crashed() -> None:
    drive = simulate(SCENARIO, 1)
    spans = sorted([*manoeuvre_spans(Played(drive)), *crash_spans(Played(drive))])
    assert {round(since) for since, _ in spans} == {10, 20, 40}
    assert {16, 28, 70} <= {round(until) for _, until in spans}
    open_sounds = [sound(5, 10.2), sound(17, 19), sound(30, 39), sound(41, 44, 0), sound(45, 46, 0)]
    verdict = judge(Played(drive, open_sounds, [told(40.4)]))
    assert (verdict.inside, verdict.late, verdict.overlaps) == ([], [], 0)
    closed_sounds = [sound(9, 12), sound(24, 26), sound(45, 46, 1), sound(45.5, 47, 0)]
    verdict = judge(Played(drive, closed_sounds, [told(40.4)]))
    assert (len(verdict.inside), len(verdict.late), verdict.overlaps) == (3, 1, 1)


def test_what_the_driver_began_himself_is_answered_after_a_crash_and_in_no_manoeuvre() -> None:
    played = Played(simulate(SCENARIO, 1), [sound(58, 59, 1, "请讲。"), sound(62, 63)], [], own={"请讲。"})
    verdict = judge(played)
    assert [line.partition(" s")[0] for line in verdict.inside] == ["62.00-63.00"]
    assert verdict.own_after_crash == 1
    played.sounds[:] = [sound(12, 13, 1, "请讲。")]
    verdict = judge(played)
    assert (len(verdict.inside), verdict.own_after_crash) == (1, 0)


def test_a_second_impact_of_one_crash_is_covered_and_a_later_one_is_not() -> None:
    drive = simulate(msgspec.structs.replace(SCENARIO, events=[]), 1)
    verdict = judge(Played(drive, [sound(10.5, 12, 0)], [told(10), told(12), told(45)]))
    assert verdict.critical == 2
    assert [text.partition(",")[0] for text in verdict.late] == ["collision told at 45.00 s"]


def test_drawn_drivers_press_and_talk_and_take_back_their_consents() -> None:
    begun = play(0, 60.0).begun + play(5, 60.0).begun
    assert begun.keys() == {"talk_wanted", "free_words", "taken_back"}


def test_a_drawn_drive_is_the_same_every_time_and_keeps_the_bar() -> None:
    assert draw(7, 40.0) == draw(7, 40.0)
    verdict = judge(play(7, 40.0))
    assert verdict.begun > 0
    assert (verdict.inside, verdict.late, verdict.overlaps) == ([], [], 0)
