"""Who is not heard, by the driver or by the box: silence after that proves nothing, and nothing is lost by it."""

from msgspec.structs import replace

from agent.core.events import Collision
from simulators.clock import ManualClock
from simulators.driver_person import Answer
from tests.held_state import HeldState
from tests.scenario.test_conversation import DeafSpeaker, Room, crash, room
from tests.scenario.test_conversation_scenes import drive
from tests.unit.app.test_tickets import Box


def severe(clock: ManualClock) -> Collision:
    return replace(crash(clock), delta_v_kmh=45, severity="severe")


async def test_silence_after_a_question_that_nobody_heard_tells_nothing() -> None:
    async with room(speaker=lambda _: DeafSpeaker(), answers=(Answer(None),)) as r:
        r.talk.on_event(severe(r.clock))
        await r.clock.advance(60)
        assert [(f.question, f.intent, f.confidence) for f in r.feedback()] == [("all_right_severe", "none", 0.0)]


async def test_an_answer_to_a_question_that_was_only_shown_counts() -> None:
    async with room(speaker=lambda _: DeafSpeaker(), answers=(Answer("救命", confidence=0.8),)) as r:
        r.talk.on_event(severe(r.clock))
        await r.clock.advance(60)
        assert [(f.intent, f.confidence) for f in r.feedback()] == [("help", 0.8)]


async def test_an_answer_of_the_desk_is_told_once_it_has_sounded() -> None:
    box, speaker = Box(HeldState(), language="zh"), DeafSpeaker()
    box.take()
    async with room(speaker=lambda _: speaker, on_told=box.tickets.on_told) as r:
        await _told(r, box)
        assert r.texts("said")[0].endswith("答1"), "it is shown"
        assert [told for _, told in box.tickets.messages()] == [False]
        speaker.works = True
        await box.clock.advance(3700)
        await r.clock.advance(120)
        box.tickets.look()
        assert len(box.spoken) == 2, "offered anew"
        await _told(r, box)
        assert [told for _, told in box.tickets.messages()] == [True]


async def test_an_answer_of_the_desk_that_was_cut_short_is_not_told() -> None:
    box = Box(HeldState(), language="zh")
    box.take()
    async with room(on_told=box.tickets.on_told, answers=(Answer("没事"), Answer("不用"))) as r:
        await drive(r, 3, 50.0)
        r.talk.on_event(box.spoken[-1])
        await r.clock.advance(0.5)
        assert r.texts("said") == ["保险公司来消息：答1"]
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(20)
        assert [told for _, told in box.tickets.messages()] == [False], "the driver has yet to hear it"
        await drive(r, 60, 50.0)
        assert [told for _, told in box.tickets.messages()] == [True]


async def _told(r: Room, box: Box) -> None:
    """Have the newest message told to somebody in the car."""
    await drive(r, 3, 50.0)
    r.talk.on_event(box.spoken[-1])
    await r.clock.advance(40)
