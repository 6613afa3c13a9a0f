"""Who is not heard, by the driver or by the box: silence after that proves nothing, and nothing is lost by it."""

import pytest
from msgspec.structs import replace

from agent.core.errors import InputError, SourceLost
from agent.core.events import Collision, Purpose
from agent.core.occasions import PartnerVisit
from agent.core.ports import Heard, Language
from agent.core.privacy_events import ErasureRequested
from agent.voice.consent_talk import ConsentTalk
from agent.voice.consent_words import load_consent_words
from simulators.clock import ManualClock
from simulators.driver_person import Answer, SimulatedDriver
from tests.held_state import HeldState
from tests.scenario.test_conversation import DeafSpeaker, LostMicrophone, Room, crash, hot, room
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


class LooseMicrophone(SimulatedDriver):
    """A SimulatedDriver whose plug is out at times."""

    plugged = True

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:
        if not self.plugged:
            raise SourceLost("it is unplugged")
        if timeout_s < 1:  # a trial, not a question
            return None
        return await super().listen(timeout_s=timeout_s, language=language, keep_sound=keep_sound)


def visit() -> PartnerVisit:
    return PartnerVisit(t_ns=0, place="老王修车", offers=["service"], minutes=52)


async def test_without_an_ear_a_question_waits_and_its_rest_does_not_begin() -> None:
    ears: list[LooseMicrophone] = []

    def open_ears(clock: ManualClock) -> LooseMicrophone:
        ears.append(LooseMicrophone(clock, [Answer("满意")]))
        return ears[0]

    async with room(microphone=open_ears) as r:
        ears[0].plugged = False
        await drive(r, 3, 50.0)
        r.talk.on_event(visit())
        await drive(r, 60, 0.0)
        assert len(r.texts("asked")) == 1, "by the first question it is known"
        assert r.texts("said") == ["刚才车在老王修车停了52分钟。"]
        assert r.feedback() == [], "nobody knows what the driver would have said"
        ears[0].plugged = True
        await drive(r, 90, 0.0)
        assert [(f.question, f.intent) for f in r.feedback()] == [("service", "fine")]
        await drive(r, 3, 50.0)
        r.talk.on_event(visit())
        await drive(r, 60, 0.0)
        assert len(r.texts("asked")) == 2, "now it rests"


async def test_a_question_that_waits_for_an_ear_is_forgotten_when_it_is_stale() -> None:
    async with room(microphone=lambda _: LostMicrophone()) as r:
        await drive(r, 3, 50.0)
        r.talk.on_event(visit())
        await drive(r, 60, 0.0)
        await drive(r, 7300, 50.0)
        await drive(r, 10, 0.0)
        assert r.talk.counters()["stale"] == 1
        r.talk.on_event(visit())
        await drive(r, 60, 0.0)
        assert r.talk.counters()["refused"] == 0, "it was never put"
        assert r.talk.page.newest("zh") is not None


@pytest.mark.parametrize("there_is_one", [True, False])
async def test_while_the_ear_is_known_to_be_lost_the_event_is_told_and_nothing_asked(*, there_is_one: bool) -> None:
    async with room(microphone=lambda _: LostMicrophone() if there_is_one else None) as r:
        r.talk.on_event(crash(r.clock))  # after it the ear is known to be lost
        await r.clock.advance(120)
        asked = len(r.texts("asked"))
        assert asked == there_is_one
        assert [(f.question, f.intent, f.confidence) for f in r.feedback()] == [("all_right", "none", 0.0)]
        for level in (2, 3):
            r.talk.on_event(hot(r.clock, level=level))
            await drive(r, 30, 50.0)
        assert [text[:5] for text in r.texts("said") if text.startswith("第5号")] == ["第5号电芯"] * 2
        assert len(r.texts("asked")) == asked
        assert len(r.feedback()) == 1
        shown = r.talk.page.newest("en")
        assert shown is not None
        assert (shown.name, shown.text) == ("rescue", "Do you need roadside assistance?")


async def test_a_trial_of_the_ear_is_silent_and_says_the_phrase_once() -> None:
    ears: list[LooseMicrophone] = []

    def open_ears(clock: ManualClock) -> LooseMicrophone:
        ears.append(LooseMicrophone(clock, [Answer("要")]))
        return ears[0]

    async with room(microphone=open_ears) as r:
        ears[0].plugged = False
        r.talk.on_event(hot(r.clock))
        await drive(r, 20, 50.0)
        assert (len(r.texts("said")), len(r.texts("asked")), ears[0].questions) == (1, 1, 0)
        ears[0].plugged = True
        await drive(r, 60, 50.0)
        assert [(f.question, f.intent) for f in r.feedback()] == [("rescue", "yes")]
        assert len([text for text in r.texts("said") if text.startswith("第5号")]) == 1
        assert r.talk.counters()["microphone_outages"] == 1


async def test_words_typed_for_an_open_question_become_its_answer() -> None:
    async with room(microphone=lambda _: None) as r:
        await drive(r, 3, 50.0)
        r.talk.on_event(visit())
        await drive(r, 30, 0.0)
        shown = r.talk.page.newest("en")
        assert shown is not None
        assert (shown.name, shown.said[:5], shown.again) == ("service", "刚才车在老", "")
        assert "fine" in shown.intents
        r.talk.page.answer(shown.number, "lorem ipsum", "en")
        again = r.talk.page.newest("en")
        assert again is not None
        assert (again.number, again.again[:8]) == (shown.number, "I did no")
        r.talk.page.answer(shown.number, "it was bad", "en")
        answer = r.feedback()[0]
        assert (answer.question, answer.intent, answer.language) == ("service", "bad", "en")
        assert (answer.transcript, answer.confidence, answer.about) == ("it was bad", 1.0, "partner_visit")
        follow_up = r.talk.page.newest("zh")
        assert follow_up is not None
        assert follow_up.name == "service_trouble"
        assert r.talk.page.reply_to(shown.number)
        with pytest.raises(InputError, match="answered already"):
            r.talk.page.answer(shown.number, "fine", "en")
        r.talk.on_event(visit())
        await drive(r, 60, 0.0)
        assert r.talk.counters()["refused"] == 1, "it was put, and rests"


async def test_words_typed_after_a_severe_collision_are_asked_back_too() -> None:
    async with room(microphone=lambda _: None) as r:
        r.talk.on_event(severe(r.clock))
        await r.clock.advance(30)
        assert [f.intent for f in r.feedback()] == ["none"], "nobody could hear"
        shown = r.talk.page.newest("en")
        assert shown is not None
        r.talk.page.answer(shown.number, "I'm fine", "en")
        back = r.talk.page.newest("en")
        assert back is not None
        assert (back.number, back.again) == (shown.number, "You said you are fine. Is that right?")
        assert len(r.feedback()) == 1
        r.talk.page.answer(shown.number, "yes", "en")
        assert [(f.intent, f.transcript) for f in r.feedback()[1:]] == [("fine", "I'm fine / yes")]


async def test_an_answer_on_the_page_ends_the_listening_and_what_was_said_meanwhile_does_not_count_twice() -> None:
    async with room(answers=(Answer("要", reaction_s=9),)) as r:
        r.talk.on_event(hot(r.clock))
        while not r.texts("asked"):
            await r.clock.advance(0.5)
        await r.clock.advance(4)
        shown = r.talk.page.newest("zh")
        assert shown is not None
        assert shown.said.startswith("第5号电芯")
        r.talk.page.answer(shown.number, "先不用", "zh")
        await r.clock.advance(60)
        assert [(f.intent, f.transcript) for f in r.feedback()] == [("no", "先不用")]
        assert len(r.texts("asked")) == 1
        assert r.talk.counters()["interrupted"] == 0


async def test_a_question_answered_by_voice_is_open_no_more_and_silence_leaves_it_open() -> None:
    async with room(answers=(Answer("不用"), Answer(None))) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(20)
        assert r.talk.page.newest("zh") is None
        await r.clock.advance(3600)
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        assert [f.intent for f in r.feedback()] == ["no", "none"]
        shown = r.talk.page.newest("zh")
        assert shown is not None
        r.talk.page.answer(shown.number, "需要", "zh")
        assert r.feedback()[-1].intent == "yes"
        await r.clock.advance(3600)
        r.talk.on_event(hot(r.clock, level=3))
        await r.clock.advance(40)
        assert r.talk.page.newest("zh") is not None
        await r.clock.advance(3700)
        assert r.talk.page.newest("zh") is None, "too old"


async def test_words_about_consents_typed_for_a_question_are_done_and_answer_nothing() -> None:
    agreed: set[Purpose] = {"claims", "feedback"}
    consents = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    async with room(microphone=lambda _: None, consents=consents, sent=agreed) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(20)
        shown = r.talk.page.newest("zh")
        assert shown is not None
        r.talk.page.answer(shown.number, "撤回全部同意", "zh")
        assert agreed == set()
        still = r.talk.page.newest("zh")
        assert still is not None
        assert still.again.startswith("好的，所有数据都不再收集")
        assert r.feedback() == []


async def test_an_erasure_takes_the_open_question_along() -> None:
    async with room(microphone=lambda _: None) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(20)
        span: dict[str, None] = dict.fromkeys(("from_ns", "until_ns", "asked_ns", "deadline_ns"))
        r.talk.on_event(ErasureRequested(t_ns=0, request="a", boot=1, of_purposes=[], by="page", **span))
        assert r.talk.page.newest("zh") is None
