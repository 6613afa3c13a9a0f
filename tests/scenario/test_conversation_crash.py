"""What is said and asked after a collision: by severity, once a crash, to somebody who is there."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pytest

from agent.core.config import Voice
from agent.core.events import BatteryAlarm, Collision, CrashRecord, DeviceShock, EmergencyData, Purpose, Rollover
from agent.core.signals import EMPTY_SERIES, Series
from agent.core.vss import SPEED
from simulators.clock import ManualClock
from simulators.driver_person import Answer
from tests.scenario.test_conversation import Room, applied, brake, room

ENGLISH: Final = Voice(language="en")


@dataclass
class SpeedWindow:
    """One sample of the speed."""

    t_ns: int
    speed_kmh: float = 20.0

    def paths(self) -> list[str]:
        return [SPEED]

    def new(self, path: str) -> Series:
        if path != SPEED:
            return EMPTY_SERIES
        return Series(np.array([self.t_ns]), np.array([self.speed_kmh]))

    def recent(self, path: str, seconds: float) -> Series:  # noqa: ARG002 - the gate keeps its own past
        return self.new(path)

    def latest(self, path: str) -> float | None:
        return self.speed_kmh if path == SPEED else None


def hit(
    clock: ManualClock,
    severity: Literal["minor", "moderate", "severe"] = "moderate",
    *,
    stationary: bool = False,
    number: int = 1,
) -> Collision:
    return Collision(
        t_ns=clock.monotonic_ns() - 200_000_000,
        delta_v_kmh=30,
        duration_ms=100,
        peak_mps2=200,
        stationary=stationary,
        severity=severity,
        multi_event=number,
    )


def answers(r: Room) -> list[tuple[str, str]]:
    return [(feedback.question, feedback.intent) for feedback in r.feedback()]


async def test_whoever_is_fine_is_offered_a_garage() -> None:
    async with room(config=ENGLISH, answers=(Answer("I'm fine"), Answer("yes please"))) as r:
        blow = hit(r.clock, "minor")
        r.talk.on_event(blow)
        await r.clock.advance(60)
        assert r.texts("said")[0] == "I felt a jolt."
        assert r.texts("asked")[1].startswith("Shall I ask your insurer")
        assert answers(r) == [("all_right", "fine"), ("garage", "yes")]
        assert "I tell you when I hear of it" in r.texts("said")[-1], "no time is made up"
        assert {(feedback.about, feedback.about_ns) for feedback in r.feedback()} == {("collision", blow.t_ns)}


@pytest.mark.parametrize("said", ["救命", "没撞，过了个坑", None])
async def test_nothing_more_is_asked_of_whoever_needs_help_felt_nothing_or_is_silent(said: str | None) -> None:
    async with room(answers=(Answer(said), Answer("要"))) as r:
        r.talk.on_event(hit(r.clock))
        await r.clock.advance(60)
        assert [question for question, _ in answers(r)] == ["all_right"]


async def test_a_false_alarm_is_told_as_one() -> None:
    async with room(answers=(Answer("是我把盒子碰掉了"),)) as r:
        blow = hit(r.clock, "minor")
        r.talk.on_event(blow)
        await r.clock.advance(40)
        (feedback,) = r.feedback()
        assert (feedback.intent, feedback.about_ns, feedback.confidence) == ("false_alarm", blow.t_ns, 0.9)


async def test_a_severe_blow_is_spoken_of_as_one_and_silence_is_told_beside_it() -> None:
    async with room(config=ENGLISH, answers=(Answer(None),)) as r:
        r.talk.on_event(hit(r.clock, "severe"))
        await r.clock.advance(60)
        assert r.texts("said")[0].startswith("A severe collision. Keep calm, I am reporting it")
        assert answers(r) == [("all_right_severe", "none")]
        assert r.texts("said")[-1].startswith("I heard no answer, and report that too.")


@pytest.mark.parametrize("sent", [True, False])
async def test_whoever_is_fine_after_a_severe_blow_is_asked_whether_that_is_right(*, sent: bool) -> None:
    purposes: tuple[Purpose, ...] = ("claims", "feedback") if sent else ("claims",)
    async with room(config=ENGLISH, answers=(Answer("I'm fine"), Answer("yes"), Answer("no")), sent=purposes) as r:
        r.talk.on_event(hit(r.clock, "severe"))
        await r.clock.advance(60)
        assert r.texts("asked")[:2] == ["Are you all right?", "You said you are fine. Is that right?"]
        assert r.texts("asked")[2].startswith("Shall I ask your insurer")
        assert answers(r) == [("all_right_severe", "fine"), ("garage", "no")]
        assert r.feedback()[0].transcript == "I'm fine / yes"
        assert r.texts("said")[1].startswith("Good, I pass that on." if sent else "Good. Please get to")


async def test_who_is_cut_short_when_asked_back_is_asked_from_the_start() -> None:
    async with room(answers=(Answer("没事"), Answer("是的", reaction_s=5), Answer("没事"))) as r:
        r.talk.on_event(hit(r.clock, "severe"))
        while len(r.texts("asked")) < 2:
            await r.clock.advance(0.5)
        await r.clock.advance(4)
        r.talk.on_event(
            BatteryAlarm(
                t_ns=r.clock.monotonic_ns(), alarm="thermal_runaway", level=4, value=90, limit=60, unit="celsius"
            )
        )
        await r.clock.advance(120)
        assert r.texts("asked") == ["您还好吗？", "您说您没事，对吗？"] * 2
        assert answers(r) == [("all_right_severe", "unclear")]
        assert r.feedback()[0].transcript == "没事", "what was said before is forgotten, as in any talk"


async def test_a_second_impact_asks_no_second_time() -> None:
    async with room(answers=(Answer("没事"), Answer("不用"))) as r:
        r.talk.on_event(hit(r.clock))
        await r.clock.advance(3)
        r.talk.on_event(hit(r.clock, "minor", number=2))
        await r.clock.advance(120)
        assert answers(r) == [("all_right", "fine"), ("garage", "no")]
        assert r.talk.counters()["cooled"] == 1


@pytest.mark.parametrize("seconds", [0.5, 3.0, 4.5])
async def test_a_graver_impact_takes_over_from_the_lesser_one(seconds: float) -> None:
    async with room(answers=(Answer("没事", reaction_s=5), Answer("是的"))) as r:
        r.talk.on_event(hit(r.clock, "minor"))
        await r.clock.advance(seconds)
        graver = hit(r.clock, "severe", number=2)
        r.talk.on_event(graver)
        await r.clock.advance(120)
        assert answers(r) == [("all_right_severe", "fine"), ("garage", "none")]
        assert {feedback.about_ns for feedback in r.feedback()} == {graver.t_ns}
        assert "那就好，我会一并上报。碰撞情况仍会上报。请先到安全的地方。" in r.texts("said")


async def test_a_car_that_rolls_after_the_blow_is_asked_as_one_that_rolled() -> None:
    async with room(config=ENGLISH, answers=(Answer("help", reaction_s=5),)) as r:
        r.talk.on_event(hit(r.clock))
        await r.clock.advance(3)
        r.talk.on_event(Rollover(t_ns=r.clock.monotonic_ns(), roll_deg=180.0))
        await r.clock.advance(60)
        assert [(f.question, f.intent, f.about) for f in r.feedback()] == [("all_right_severe", "help", "rollover")]


async def test_a_parked_car_is_asked_about_when_its_driver_is_back() -> None:
    async with room(config=ENGLISH, answers=(Answer("there is a scratch"), Answer("no thanks"))) as r:
        blow = hit(r.clock, "minor", stationary=True)
        r.talk.on_event(blow)
        await r.clock.advance(3600)
        assert r.notices == []
        r.talk.on_event(applied(1))
        await r.clock.advance(10)
        assert r.texts("said") == ["The settings were updated."], "it keeps nothing else waiting"
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(60)
        assert r.texts("said")[1].startswith("While the car was parked")
        assert answers(r) == [("parked_hit", "damage"), ("garage", "no")]
        assert r.feedback()[0].about_ns == blow.t_ns


async def test_a_day_later_the_parked_car_is_not_asked_about_any_more() -> None:
    async with room() as r:
        r.talk.on_event(hit(r.clock, "minor", stationary=True))
        await r.clock.advance(86_401)
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(10)
        assert r.notices == []
        assert r.talk.counters()["stale"] == 1


@pytest.mark.parametrize("seconds", [5, 100])
async def test_at_a_red_light_the_driver_is_asked_at_once(seconds: float) -> None:
    async with room(answers=(Answer("没事"), Answer("不用"))) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(seconds)
        r.talk.on_event(hit(r.clock, stationary=True))
        await r.clock.advance(30)
        assert r.texts("said")[0] == "停着的车好像被撞了一下。"


async def test_a_severe_blow_is_spoken_into_a_parked_car_too() -> None:
    async with room() as r:
        r.talk.on_event(hit(r.clock, "severe", stationary=True))
        await r.clock.advance(10)
        assert r.texts("said")[0].startswith("发生了严重碰撞")


async def test_no_garage_is_offered_to_whoever_brakes_hard() -> None:
    async with room(answers=(Answer("没事", reaction_s=1), Answer("要"))) as r:
        r.talk.on_event(hit(r.clock, "minor"))
        await brake(r, 20, -6.0)
        await r.clock.advance(60)
        assert answers(r) == [("all_right", "fine")]
        assert r.talk.counters()["forgone"] == 1


async def test_records_shocks_and_emergency_data_are_not_spoken_of() -> None:
    async with room() as r:
        r.talk.on_event(CrashRecord(t_ns=0, record=1, fragment=0, part="trigger", from_ns=0, until_ns=0))
        r.talk.on_event(EmergencyData(t_ns=0, msd=bytes(140)))
        r.talk.on_event(DeviceShock(t_ns=0, what="drop", peak_mps2=90))
        await r.clock.advance(60)
        assert r.notices == []
