"""The voice room on simulated time: a driver who answers, a speaker that takes its time, a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, get_args

import numpy as np
import pytest

from agent.core.config import Voice
from agent.core.errors import SourceLost
from agent.core.events import (
    BatteryAlarm,
    Collision,
    ConfigApplied,
    Event,
    Feedback,
    HarshDriving,
    Purpose,
    RoadImpact,
    TripEnded,
)
from agent.core.paths import PROMPTS
from agent.core.ports import Heard, Language, Microphone, Notice, Speaker, Utterance
from agent.core.signals import EMPTY_SERIES, Series
from agent.core.vss import ACCELERATION_LONGITUDINAL, SPEED
from agent.voice.consent_talk import ConsentTalk
from agent.voice.conversation import Conversation
from agent.voice.prompts import Phrases, load_phrases
from agent.voice.scene_memory import SceneMemory
from simulators.clock import ManualClock
from simulators.driver_person import Answer, SimulatedDriver, TextSpeaker, speech_s

PHRASES: Final = load_phrases(PROMPTS)


@dataclass
class Room:
    """A conversation under way and everything it did."""

    clock: ManualClock
    talk: Conversation
    notices: list[Notice] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def texts(self, *topics: str) -> list[str]:
        return [notice.text for notice in self.notices if notice.topic in topics]

    def at_s(self, start: str) -> float:
        return next(notice.t_ns for notice in self.notices if notice.text.startswith(start)) / 1e9

    def feedback(self) -> list[Feedback]:
        return [event for event in self.events if isinstance(event, Feedback)]


@dataclass
class BrakingWindow:
    """A quarter of a second at one deceleration, 60 km/h."""

    t_ns: int
    acceleration_mps2: float

    def paths(self) -> list[str]:
        return [ACCELERATION_LONGITUDINAL]

    def new(self, path: str) -> Series:
        if path != ACCELERATION_LONGITUDINAL:
            return EMPTY_SERIES
        t_ns = np.arange(self.t_ns - 240_000_000, self.t_ns + 1, 10_000_000)
        return Series(t_ns, np.full(len(t_ns), self.acceleration_mps2))

    def recent(self, path: str, seconds: float) -> Series:  # noqa: ARG002 - the gate keeps its own past
        return self.new(path)

    def latest(self, path: str) -> float | None:
        return 60.0 if path == SPEED else None


class DeafSpeaker:
    """A sound card that is unplugged and plugged in again."""

    def __init__(self) -> None:
        self.works = False
        self.tries = 0

    async def say(self, utterance: Utterance) -> None:
        self.tries += 1
        if not self.works:
            raise SourceLost(f"no sound card for {utterance.language}")

    async def close(self) -> None:
        pass


class LostMicrophone:
    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:  # noqa: ARG002
        raise SourceLost(f"nobody can type {language} within {timeout_s}")

    async def close(self) -> None:
        pass


@asynccontextmanager
async def room(
    *,
    config: Voice = Voice(),  # noqa: B008 - frozen
    answers: tuple[Answer, ...] = (),
    speaker: Callable[[ManualClock], Speaker | None] = TextSpeaker,
    microphone: Callable[[ManualClock], Microphone | None] | None = None,
    phrases: Phrases = PHRASES,
    memory: SceneMemory | None = None,
    consents: ConsentTalk | None = None,
    sent: Collection[Purpose] = get_args(Purpose),
    agreed: Collection[Purpose] = (),
    on_told: Callable[[Event], None] = lambda _: None,
) -> AsyncIterator[Room]:
    clock = ManualClock(start_ns=100_000_000_000)
    notices: list[Notice] = []
    events: list[Event] = []
    talk = Conversation(
        config,
        phrases,
        speaker=speaker(clock),
        microphone=SimulatedDriver(clock, answers) if microphone is None else microphone(clock),
        clock=clock,
        notify=notices.append,
        emit=events.append,
        memory=memory,
        consents=consents,
        sent=sent,
        agreed=agreed,
        on_told=on_told,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talk.run())
        yield Room(clock, talk, notices, events)
        talk.close()
    assert len(asyncio.all_tasks()) == 1, "a task was lost"


def crash(clock: ManualClock) -> Collision:
    return Collision(
        t_ns=clock.monotonic_ns() - 200_000_000, delta_v_kmh=30, duration_ms=100, peak_mps2=200, stationary=False
    )


def hot(clock: ManualClock, *, level: int = 2) -> BatteryAlarm:
    return BatteryAlarm(
        t_ns=clock.monotonic_ns(), alarm="over_temperature", level=level, value=56.4, limit=55, unit="celsius", cell=4
    )


def harsh(clock: ManualClock) -> HarshDriving:
    return HarshDriving(t_ns=clock.monotonic_ns(), maneuver="braking", peak_mps2=6, duration_s=1)


def applied(version: int) -> ConfigApplied:
    return ConfigApplied(t_ns=0, bundle="b", config_version=version, sha256="")


async def brake(room: Room, seconds: float, acceleration_mps2: float) -> None:
    for _ in range(round(seconds * 4)):
        await room.clock.advance(0.25)
        room.talk.on_window(BrakingWindow(room.clock.monotonic_ns(), acceleration_mps2))


async def test_after_a_collision_the_driver_is_asked_and_the_answer_becomes_an_event() -> None:
    async with room(answers=(Answer("我没事，谢谢", reaction_s=2.0, confidence=0.8), Answer("不用"))) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(30)
        assert r.texts("said", "asked", "heard")[:3] == ["检测到碰撞。", "您还好吗？", "我没事，谢谢"]
        assert r.texts("said")[1].startswith("那就好")
        assert r.at_s("您还好吗？") - 100 < 4, "asked within seconds"
        feedback = r.feedback()[0]
        assert (feedback.intent, feedback.transcript, feedback.about) == ("fine", "我没事，谢谢", "collision")
        assert feedback.confidence == 0.8
        assert feedback.t_ns - feedback.asked_ns == 2_000_000_000
        asked_s = r.at_s("您还好吗？") + speech_s(Utterance("您还好吗？", "zh"))
        assert feedback.asked_ns / 1e9 == pytest.approx(asked_s)


async def test_silence_is_told_after_the_timeout() -> None:
    config = Voice(language="en", answer_timeout_s=10)
    async with room(config=config, answers=(Answer(None),)) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(40)
        (feedback,) = r.feedback()
        assert (feedback.intent, feedback.transcript, feedback.confidence) == ("none", "", 1.0)
        assert feedback.t_ns - feedback.asked_ns == 10_000_000_000
        assert r.texts("said")[-1].startswith("I heard no answer")


async def test_what_was_not_understood_is_asked_once_more() -> None:
    async with room(answers=(Answer("嗒嗒嗒"), Answer("帮帮我"))) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(60)
        assert len(r.texts("asked")) == 2
        assert [feedback.intent for feedback in r.feedback()] == ["help"]


async def test_the_driver_is_left_alone_while_braking_hard() -> None:
    async with room() as r:
        await brake(r, 2, -6.0)
        r.talk.on_event(harsh(r.clock))
        await brake(r, 2, -6.0)
        assert r.texts("said") == []
        calm_s = r.clock.monotonic_ns() / 1e9
        await brake(r, 10, 0.0)
        assert len(r.texts("said")) == 1
        assert r.at_s("刚才刹得") - calm_s == pytest.approx(Voice().gate_quiet_s, abs=0.5)


async def test_braking_cuts_speech_short_and_it_is_said_again_when_calm() -> None:
    speaker: list[TextSpeaker] = []

    def make(clock: ManualClock) -> TextSpeaker:
        speaker.append(TextSpeaker(clock))
        return speaker[0]

    async with room(speaker=make, answers=(Answer("不用"),)) as r:
        r.talk.on_event(hot(r.clock))
        await brake(r, 1, 0.0)
        assert len(speaker[0].said) == 1
        await brake(r, 2, -6.0)
        assert speaker[0].cut_short == 1
        assert r.talk.counters()["interrupted"] == 1
        await brake(r, 30, 0.0)
        assert [text for text in r.texts("said") if text.startswith("第5号电芯")] == [r.texts("said")[0]] * 2
        assert [feedback.intent for feedback in r.feedback()] == ["no"]


async def test_a_crash_interrupts_lesser_speech_and_the_rest_waits_for_the_crash_window() -> None:
    async with room(answers=(Answer("没事"), Answer("不用"), Answer("需要救援"))) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(2)
        crashed_s = r.clock.monotonic_ns() / 1e9
        r.talk.on_event(crash(r.clock))
        r.talk.on_event(applied(7))
        await r.clock.advance(120)
        assert r.at_s("检测到碰撞") - crashed_s < 2
        said = r.texts("said")
        assert [said[n][:5] for n in (0, 1, 4, 6)] == ["第5号电芯", "检测到碰撞", "第5号电芯", "设置已经更"]
        again_s = [notice.t_ns / 1e9 for notice in r.notices if notice.text.startswith("第5号电芯")][1]
        assert again_s - crashed_s >= Voice().gate_crash_s
        assert [(f.question, f.intent) for f in r.feedback()] == [
            ("all_right", "fine"),
            ("garage", "no"),
            ("rescue", "yes"),
        ]


async def test_an_answered_question_is_not_put_again_when_its_reply_is_interrupted() -> None:
    async with room(answers=(Answer("不用", reaction_s=1), Answer("没事", reaction_s=1))) as r:
        r.talk.on_event(hot(r.clock))
        while not r.feedback():
            await r.clock.advance(0.5)
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(120)
        assert [f.question for f in r.feedback()] == ["rescue", "all_right", "garage"]
        assert r.talk.counters()["interrupted"] == 0


@pytest.mark.parametrize(("first", "asked"), [(Answer("不用"), 1), (Answer(None), 2)])
async def test_an_answered_question_rests_but_silence_is_asked_again(first: Answer, asked: int) -> None:
    async with room(answers=(first, Answer("要"))) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        r.talk.on_event(hot(r.clock, level=3))
        await r.clock.advance(60)
        assert sum(text.startswith("第5号电芯") for text in r.texts("said")) == 2
        assert len(r.feedback()) == asked


async def test_the_same_thing_is_not_said_twice_within_its_cooldown() -> None:
    async with room() as r:
        for _ in range(3):
            r.talk.on_event(harsh(r.clock))
            await r.clock.advance(30)
        assert len(r.texts("said")) == 1
        assert r.talk.counters()["cooled"] == 2
        await r.clock.advance(60)
        r.talk.on_event(harsh(r.clock))
        await r.clock.advance(30)
        assert len(r.texts("said")) == 2


async def test_a_lesser_alarm_is_not_told_after_a_graver_one() -> None:
    def alarm(t_s: float, name: str, level: int) -> BatteryAlarm:
        return BatteryAlarm(
            t_ns=round(t_s * 1e9),
            alarm=name,  # type: ignore[arg-type]  # two of its literals
            level=level,
            value=56.0,
            limit=55.0,
            unit="Celsius",
        )

    async with room(config=Voice(language="en")) as here:
        here.talk.on_event(alarm(100, "temperature_difference", 2))
        here.talk.on_event(alarm(100, "thermal_runaway", 4))
        await here.clock.advance(20)
        here.talk.on_event(alarm(120, "over_temperature", 2))
        await here.clock.advance(60)
        said = here.texts("said")
        assert len(said) == 1
        assert said[0].startswith("The battery may catch fire")
        await here.clock.advance(300)
        here.talk.on_event(alarm(480, "over_temperature", 2))
        await here.clock.advance(30)
        assert here.texts("said")[1].startswith("Battery warning")


async def test_the_queue_is_bounded_and_counts_what_it_drops() -> None:
    async with room(config=Voice(waiting_max=1)) as r:
        r.talk.on_event(harsh(r.clock))
        await r.clock.advance(0.1)
        r.talk.on_event(applied(1))
        r.talk.on_event(hot(r.clock))
        assert r.talk.counters()["dropped"] == 1
        await r.clock.advance(60)
        assert [text[:3] for text in r.texts("said")[:2]] == ["刚才刹", "第5号"]


async def test_without_a_sound_card_the_text_shows_and_the_loss_is_told_once() -> None:
    speaker = DeafSpeaker()
    async with room(speaker=lambda _: speaker, answers=(Answer("救命"),)) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(20)
        assert r.texts("source") == ["speaker: no sound card for zh"]
        assert r.texts("said", "asked")[:2] == ["检测到碰撞。", "您还好吗？"]
        assert [f.intent for f in r.feedback()] == ["help"]
        assert speaker.tries < 3, "tried again with backoff, not at every word"
        speaker.works = True
        await r.clock.advance(60)
        r.talk.on_event(applied(1))
        await r.clock.advance(10)
        assert r.texts("source") == ["speaker: no sound card for zh", "speaker: works again"]


async def test_without_any_speaker_the_text_still_shows() -> None:
    async with room(speaker=lambda _: None) as r:
        r.talk.on_event(harsh(r.clock))
        r.talk.on_event(applied(1))
        await r.clock.advance(1)
        assert len(r.texts("said")) == 2
        assert len(r.texts("source")) == 1


async def test_a_lost_microphone_leaves_a_feedback_nobody_can_mistake_for_silence() -> None:
    async with room(microphone=lambda _: LostMicrophone()) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(30)
        assert [(f.intent, f.confidence) for f in r.feedback()] == [("none", 0.0)]
        assert len(r.texts("source")) == 1


async def test_what_waits_at_close_is_dropped_and_counted() -> None:
    async with room(answers=(Answer("没事"),)) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(2)
        r.talk.on_event(applied(1))
        r.talk.close()
        r.talk.on_event(harsh(r.clock))
        await r.clock.advance(1)
        assert r.talk.counters()["dropped"] == 2
        assert r.feedback() == []


async def test_cancelling_run_stops_the_speech_and_loses_no_task() -> None:
    clock = ManualClock()
    speaker = TextSpeaker(clock)
    talk = Conversation(
        Voice(), PHRASES, speaker=speaker, microphone=None, clock=clock, notify=lambda _: None, emit=lambda _: None
    )
    running = asyncio.create_task(talk.run())
    talk.on_event(applied(1))
    await clock.advance(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert speaker.cut_short == 1
    assert len(asyncio.all_tasks()) == 1


async def test_a_bug_in_a_driver_ends_run() -> None:
    class Broken(TextSpeaker):
        async def say(self, utterance: Utterance) -> None:
            raise ZeroDivisionError(utterance.text)

    async def talk() -> None:
        async with room(speaker=Broken) as r:
            r.talk.on_event(applied(1))
            await r.clock.advance(1)

    with pytest.raises(ExceptionGroup) as caught:
        await talk()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_new_config_changes_the_language_and_silences_at_once() -> None:
    async with room() as r:
        r.talk.configure(Voice(language="en"))
        r.talk.on_event(applied(2))
        await r.clock.advance(0.5)
        assert r.texts("said") == ["The settings were updated."]
        r.talk.configure(Voice(enabled=False))
        r.talk.on_event(harsh(r.clock))
        await r.clock.advance(60)
        assert len(r.texts("said")) == 1
        assert r.talk.counters()["dropped"] == 1


async def test_not_every_event_speaks() -> None:
    async with room() as r:
        r.talk.on_event(RoadImpact(t_ns=0, peak_mps2=30))
        await r.clock.advance(10)
        assert r.notices == []


async def test_the_same_drive_gives_the_same_talk() -> None:
    async def drive() -> list[Notice]:
        async with room(answers=(Answer("不用"), Answer("没事"))) as r:
            r.talk.on_event(harsh(r.clock))
            await brake(r, 3, -6.0)
            r.talk.on_event(hot(r.clock))
            await brake(r, 15, 0.0)
            r.talk.on_event(crash(r.clock))
            r.talk.on_event(
                TripEnded(t_ns=0, started_ns=0, duration_s=60, distance_m=900, speed_max_kmh=60, harsh_braking_count=1)
            )
            await r.clock.advance(100)
            return r.notices

    first = await drive()
    assert len(first) > 8
    assert first == await drive()
