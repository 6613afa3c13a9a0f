"""What a driver takes back by word of mouth: at once, without a network, and without a trace of his words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.core.config import Consent
from agent.core.events import ConsentChanged, Feedback, Purpose
from agent.core.ports import Heard, Language, Utterance
from agent.voice.consent_talk import ConsentTalk
from agent.voice.consent_words import load_consent_words
from simulators.driver_person import Answer, speech_s
from tests.scenario.consent_car import NS, Car, run_car
from tests.scenario.test_conversation import brake, crash, hot, room
from tests.unit.store.kit import make_config


class Button:
    """Pressed, and spoken into, whenever a test does so."""

    def tell_words(self, listener: Callable[[Heard], bool]) -> None:
        self.listener = listener

    def say(self, text: str) -> None:
        self.listener(Heard(text, 0.9))


class TalkingCar(Car):
    """Somebody presses a button in it; texts are what it says."""

    def __init__(self, folder: Path, *purposes: Purpose, language: Language = "zh") -> None:
        made = make_config(folder)
        voice = msgspec.structs.replace(made.voice, enabled=True, language=language)
        super().__init__(folder, msgspec.structs.replace(made, consent=Consent(purposes=list(purposes)), voice=voice))
        self.button = Button()
        self.texts: list[str] = []
        self.hardware = replace(
            self.hardware,
            words=[self.button],
            notify=lambda notice: self.texts.append(notice.text) if notice.topic == "said" else self.on_notice(notice),
        )


async def test_what_is_taken_back_by_voice_is_collected_no_more_a_second_later(tmp_path: Path) -> None:
    one = TalkingCar(tmp_path, "service", "feedback", "diagnostics")
    async with run_car(one):
        await one.drive(10)
        one.button.say("请停止收集保养数据")
        said_ns = one.clock.monotonic_ns()
        await one.drive(10)
    told = await one.events()
    assert [event for event in told if event.purpose == "service"] == [], "nor does what waited unsent leave"
    assert len([event for event in one.happened if event.purpose == "service" and event.t_ns > said_ns + NS]) > 30
    (proof,) = [event for event in told if isinstance(event, ConsentChanged)]
    assert (proof.of_purpose, proof.granted, proof.by) == ("service", False, "voice")
    assert proof.t_ns == said_ns
    assert [event for event in told if isinstance(event, Feedback)] == [], "the words were for the box"
    assert one.texts[-1:] == [
        "好的，不再收集保养和用车服务的数据，还没送出的已经删掉。想恢复的话，请看过同意说明再同意。"
    ]
    assert {event.kind for event in told} >= {"agent_started", "agent_stopped"}, "other consents stay"


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    one = TalkingCar(tmp_path, "service", "diagnostics", language="en")
    async with run_car(one):
        one.button.say("Stop sending my data")
        await one.drive(2)
    assert one.texts[0].startswith("Done. Nothing is collected any more")
    again = TalkingCar(tmp_path, "service", "diagnostics", language="en")
    async with run_car(again):
        await again.drive(3)
        again.button.say("What did I agree to?")
        await again.clock.advance(5)
    assert again.texts[-1:] == ["You have agreed to nothing at present."]
    assert {event.kind for event in await again.events()} == {"consent_changed", "records_erased"}


async def test_who_names_nothing_is_told_to_say_which_and_who_asks_is_told(tmp_path: Path) -> None:
    one = TalkingCar(tmp_path, "service", "ubi_score", language="en")
    async with run_car(one):
        one.button.say("I withdraw my consent")
        await one.clock.advance(12)
        one.button.say("what did I agree to")
        await one.clock.advance(5)
        one.button.say("my brakes squeal")
        await one.drive(2)
    assert one.texts[0].startswith("Please say which: claims, battery safety, maintenance and service, the driving")
    assert one.texts[1] == "You have agreed to maintenance and service, the driving score."
    told = await one.events()
    assert [event for event in told if isinstance(event, ConsentChanged)] == []
    assert [event.transcript for event in one.happened if isinstance(event, Feedback)] == ["my brakes squeal"]


@pytest.mark.parametrize("again", ["我没事", "别再上传我的数据"], ids=["an answer", "once more"])
async def test_said_to_a_question_it_is_done_and_the_question_is_put_again(again: str) -> None:
    agreed: set[Purpose] = {"claims", "feedback"}
    talk = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    answers = (Answer("别再上传我的数据"), Answer(again), Answer("不用"))
    async with room(answers=answers, consents=talk, sent=agreed) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(50)
    assert agreed == set()
    assert r.texts("asked")[:2] == ["您还好吗？"] * 2
    done = [text.startswith("好的，所有数据都不再收集") for text in r.texts("said")]
    assert done[:4] == [False, True, again != "我没事", False], "what is done is told, each time"
    first = r.feedback()[0]
    assert (first.intent, first.transcript) == (("fine", "我没事") if again == "我没事" else ("none", ""))
    assert "上报" not in r.texts("said")[done.count(True) + 1], "nobody is told any more, nor promised it"


@pytest.mark.parametrize("braking_s", [3.0, 30.0], ids=["a manoeuvre", "a long one"])
async def test_what_was_done_is_told_after_the_manoeuvre_in_which_it_was_said(braking_s: float) -> None:
    agreed: set[Purpose] = {"ubi_score", "feedback"}
    talk = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    answers = (Answer("撤回驾驶评分的同意", reaction_s=2.0), Answer("不用"))
    async with room(answers=answers, consents=talk) as r:
        r.talk.on_event(hot(r.clock))
        while not r.texts("asked"):
            await brake(r, 0.25, 0.0)
        await brake(r, speech_s(Utterance(r.texts("asked")[0], "zh")), 0.0)
        await brake(r, braking_s, -6.0)
        assert agreed == {"feedback"}, "done at once"
        calm_ns = r.clock.monotonic_ns()
        assert [text for text in r.texts("said") if text.startswith("好的，不再收集")] == []
        await brake(r, 60, 0.0)
        (done,) = [notice for notice in r.notices if notice.text.startswith("好的，不再收集")]
        assert done.t_ns - calm_ns >= 4 * NS, "the driver is left alone"
        assert [f.intent for f in r.feedback()] == ["no"], "and the question is put again"


async def test_what_was_done_is_told_anew_where_it_was_cut_short() -> None:
    agreed: set[Purpose] = {"ubi_score", "feedback"}
    talk = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    async with room(answers=(Answer("撤回驾驶评分的同意"), Answer("不用")), consents=talk) as r:
        r.talk.on_event(hot(r.clock))
        while not [text for text in r.texts("said") if text.startswith("好的，不再收集")]:
            await brake(r, 0.25, 0.0)
        await brake(r, 1, -6.0)
        await brake(r, 60, 0.0)
        assert len([text for text in r.texts("said") if text.startswith("好的，不再收集")]) == 2
        assert [f.intent for f in r.feedback()] == ["no"]


async def test_said_when_asked_back_it_is_done_and_what_was_said_before_is_asked_back_again() -> None:
    agreed: set[Purpose] = {"claims", "feedback"}
    talk = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    answers = (Answer("没事"), Answer("别再上传我的数据"), Answer("是的"), Answer("不用"))
    async with room(answers=answers, consents=talk, sent=agreed) as r:
        r.talk.on_event(msgspec.structs.replace(crash(r.clock), severity="severe"))
        await r.clock.advance(60)
    assert agreed == set()
    assert r.texts("asked")[:3] == ["您还好吗？", *["您说您没事，对吗？"] * 2]
    assert (r.feedback()[0].intent, r.feedback()[0].transcript) == ("fine", "没事 / 是的")
    assert "那就好。请先到安全的地方。" in r.texts("said"), "nobody is told any more, nor promised it"
