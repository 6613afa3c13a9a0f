"""What is asked after a charge: once somebody is back in the car, by what the box itself saw of it."""

from typing import Any

import pytest

from agent.core.config import Voice
from agent.core.events import ChargeSession
from simulators.clock import ManualClock
from simulators.driver_person import Answer
from tests.scenario.test_conversation import brake, room
from tests.scenario.test_conversation_crash import SpeedWindow, answers

ENGLISH = Voice(language="en")


def charged(clock: ManualClock, **more: Any) -> ChargeSession:
    told: dict[str, Any] = {
        "mode": "dc",
        "energy_kwh": 31.4,
        "charge_ah": 90.0,
        "power_max_kw": 60.0,
        "soc_start": 20.0,
        "soc_end": 80.0,
        "temperature_max_c": 30.0,
        "tapered": False,
        "interrupted": 0,
        "ended": "unplugged",
    }
    now_ns = clock.monotonic_ns()
    return ChargeSession(t_ns=now_ns, started_ns=now_ns, **(told | more))


async def test_the_driver_is_asked_once_he_is_back_and_only_then() -> None:
    async with room(answers=(Answer("挺好的"),)) as r:
        session = charged(r.clock)
        r.talk.on_event(session)
        await r.clock.advance(600)
        assert r.texts("said") == [], "nobody is in the car"
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(60)
        assert r.texts("said") == ["刚才充了31度电。", "那就好。"]
        assert r.texts("asked") == ["这次充电感觉怎么样？"]
        (feedback,) = r.feedback()
        assert (feedback.question, feedback.intent, feedback.about) == ("charge", "fine", "charge_session")
        assert feedback.about_ns == session.t_ns


async def test_no_question_while_the_driver_brakes() -> None:
    async with room(answers=(Answer("挺好的"),)) as r:
        r.talk.on_event(charged(r.clock))
        await brake(r, 2.0, -5.0)
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        assert r.texts("said") == []
        await r.clock.advance(60)
        assert len(r.texts("asked")) == 1


@pytest.mark.parametrize(
    ("seen", "said", "asked", "expected"),
    [
        (
            {"interrupted": 2},
            "that was me",
            "Was that you, or did the charger stop?",
            [("charge_interrupted", "by_driver")],
        ),
        ({"faults": ["slow"]}, "just slow", "How was this charge?", [("charge_slow", "slow")]),
        ({"faults": ["grid", "slow"]}, "nothing special", "What did you notice", [("charge_faulty", "fine")]),
        ({"faults": ["charger"], "energy_kwh": 0.0}, "all good", "What did you notice", [("charge_faulty", "fine")]),
    ],
)
async def test_what_the_box_saw_is_asked_about(
    seen: dict[str, Any], said: str, asked: str, expected: list[tuple[str, str]]
) -> None:
    async with room(config=ENGLISH, answers=(Answer(said),)) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock, **seen))
        await r.clock.advance(60)
        assert r.texts("asked")[0].startswith(asked)
        assert answers(r) == expected


async def test_a_bad_charge_is_followed_up_by_two_questions_at_most() -> None:
    script = (Answer("not good"), Answer("it kept stopping"), Answer("at home"), Answer("anything"))
    async with room(config=ENGLISH, answers=script) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock))
        await r.clock.advance(120)
        assert answers(r) == [("charge", "bad"), ("charge_trouble", "charger_fault"), ("charge_where", "home")]
        assert {feedback.about for feedback in r.feedback()} == {"charge_session"}


async def test_a_hot_plug_is_warned_of_and_its_place_is_asked() -> None:
    async with room(config=ENGLISH, answers=(Answer("the plug was hot"), Answer(None))) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock))
        await r.clock.advance(120)
        assert answers(r) == [("charge", "hot"), ("charge_where", "none")]
        assert r.texts("said")[1].startswith("Please do not use that charger or socket again")


async def test_a_small_charge_and_a_second_one_on_the_same_day_are_not_asked_about() -> None:
    async with room(answers=(Answer("挺好的"), Answer("慢"))) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock, energy_kwh=0.4))
        r.talk.on_event(charged(r.clock))
        await r.clock.advance(60)
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock))
        await r.clock.advance(60)
        assert answers(r) == [("charge", "fine")]


async def test_half_a_day_later_nobody_is_asked() -> None:
    async with room(answers=(Answer("挺好的"),)) as r:
        r.talk.on_event(charged(r.clock))
        await r.clock.advance(13 * 3600)
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(60)
        assert r.texts("asked") == []
