"""The button to talk by: in the voice room, and through the whole agent to the disk."""

import asyncio
import os
import struct
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.core.config import Consent, Voice
from agent.core.events import BatteryAlarm, DeskMessage, Event, Feedback, SourceChanged
from agent.core.ports import Button, Heard, Microphone, Notice
from agent.core.sound import Hearing
from agent.proto.input_event import EVENT_BYTES
from agent.voice.questions import SILENCE
from drivers.button import ButtonSource
from simulators.clock import ManualClock
from simulators.drive import CarDrive
from simulators.driver_person import Answer, SimulatedButton, SimulatedDriver, TextSpeaker
from simulators.hardware import PROFILE, open_car, open_hardware
from simulators.world.scenario import Leg, Scenario
from tests.scenario.test_conversation import LostMicrophone, brake, crash, hot, room
from tests.scenario.test_conversation_crash import SpeedWindow
from tests.scenario.test_emergency_data import read
from tests.unit.store.kit import KEYS, make_config

ODD = "今天刹车声音有点怪"
QUIET = Scenario(name="quiet", description="a town street", duration_s=40, legs=[Leg(at_s=0, speed_kmh=40)])


async def test_who_presses_is_invited_heard_and_taken_down() -> None:
    async with room(answers=(Answer(ODD, reaction_s=2.0, confidence=0.8),)) as r:
        r.talk.on_presses(1)
        await r.clock.advance(10)
        assert r.texts("said", "heard") == ["请讲。", ODD]
        (feedback,) = r.feedback()
        assert (feedback.question, feedback.intent, feedback.transcript) == ("free_words", "said", ODD)
        assert (feedback.about, feedback.confidence) == ("driver", 0.8)
        assert r.talk.counters()["presses"] == 1


async def test_silence_is_told_once_and_is_no_event() -> None:
    async with room(config=Voice(language="en", answer_timeout_s=8), answers=(Answer(None),)) as r:
        r.talk.on_presses(1)
        await r.clock.advance(9)
        assert r.texts("said") == ["Yes, I am listening."]
        await r.clock.advance(60)
        assert r.texts("said") == ["Yes, I am listening.", "I could not make that out."]
        assert r.events == []


@pytest.mark.parametrize("microphone", [lambda _: LostMicrophone(), lambda _: None])
async def test_a_box_that_cannot_hear_says_so(microphone: object) -> None:
    async with room(microphone=microphone) as r:  # type: ignore[arg-type]
        r.talk.on_presses(1)
        await r.clock.advance(20)
        assert r.texts("said") == ["请讲。", "我现在听不见您说话。"]
        assert r.events == []


async def test_a_press_while_a_question_is_put_is_no_second_talk() -> None:
    """The microphone is the question's: what he says answers it."""
    async with room(answers=(Answer("我没事", reaction_s=6.0), Answer("不用"))) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(1)
        for _ in range(40):
            await r.clock.advance(0.1)
            r.talk.on_presses(1)
        await r.clock.advance(40)
        assert "请讲。" not in r.texts("said")
        assert [feedback.intent for feedback in r.feedback()] == ["fine", "no"]
        assert r.talk.counters()["presses_ignored"] == 40


async def test_typed_words_are_a_remark_unless_a_question_is_put() -> None:
    async with room(answers=(Answer("我没事"), Answer("不用"))) as r:
        assert r.talk.on_words(Heard(ODD, 1.0))
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(1)
        assert r.texts("said") == ["检测到碰撞。"]
        assert not r.talk.on_words(Heard("我没事", 1.0)), "the question follows, and he has read it"
        await r.clock.advance(60)
        assert r.talk.on_words(Heard(ODD, 1.0))
        assert [feedback.question for feedback in r.feedback()] == ["free_words", "all_right", "garage", "free_words"]


async def test_words_that_come_while_it_listens_are_for_who_listens() -> None:
    """Else they would be taken down, and then be said not to have been understood."""
    async with room(answers=(Answer(ODD, reaction_s=5.0),)) as r:
        r.talk.on_presses(1)
        await r.clock.advance(3)
        assert not r.talk.on_words(Heard(ODD, 1.0))
        await r.clock.advance(20)
        assert [feedback.transcript for feedback in r.feedback()] == [ODD]
        assert r.talk.on_words(Heard(ODD, 1.0))


async def test_presses_while_it_listens_are_one_talk() -> None:
    async with room(answers=(Answer(ODD, reaction_s=5.0),)) as r:
        for _ in range(20):
            r.talk.on_presses(3)
            await r.clock.advance(0.2)
        await r.clock.advance(20)
        assert r.texts("said", "heard") == ["请讲。", ODD]


async def test_the_sign_waits_for_the_gate_and_is_forgotten_where_that_takes_long() -> None:
    async with room(config=Voice(gate_quiet_s=2), answers=(Answer(ODD),)) as r:
        await brake(r, 1, -6)
        r.talk.on_presses(1)
        await r.clock.advance(1)
        assert r.texts("said") == []
        await r.clock.advance(5)
        assert r.texts("said", "heard") == ["请讲。", ODD]
        await brake(r, 1, -6)
        r.talk.on_presses(1)
        await brake(r, 11, -6)
        await r.clock.advance(20)
        assert r.texts("said") == ["请讲。"]
        assert r.talk.counters()["stale"] == 1


async def test_after_a_crash_the_driver_is_heard_at_once() -> None:
    """Lesser speech waits for half a minute; his own words do not."""
    async with room(answers=(Answer(None), Answer("有人受伤了"))) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(22)
        assert r.feedback()[0].intent == SILENCE
        r.talk.on_presses(1)
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(8)
        assert r.texts("said")[-1] == "请讲。"
        assert r.feedback()[-1].transcript == "有人受伤了"
        await r.clock.advance(40)
        assert r.at_s("第5号电芯") - 100 > 30, "the battery's word waited"


@pytest.mark.parametrize("braking_s", [0, 1])
async def test_who_presses_after_a_crash_does_not_wait_behind_the_insurers_message(braking_s: int) -> None:
    """It is as urgent, was there before, and the gate keeps it back for a minute; the sign is stale after ten."""
    async with room(config=Voice(gate_quiet_s=2, gate_crash_s=60), answers=(Answer(None), Answer("有人受伤了"))) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(27)
        opened = DeskMessage(
            t_ns=r.clock.monotonic_ns(), id="a", what="ticket_opened", ticket=1, created_ns=1, text="好"
        )
        r.talk.on_event(opened)
        await r.clock.advance(1)
        await brake(r, braking_s, -6)
        r.talk.on_presses(1)
        await r.clock.advance(1)
        assert ("请讲。" in r.texts("said")) == (not braking_s)
        await r.clock.advance(7)
        assert r.feedback()[-1].transcript == "有人受伤了"
        await r.clock.advance(40)
        assert r.texts("said")[-1] == "保险公司来消息：好"
        assert r.at_s("保险公司") - 100 > 60, "the message waited"


async def test_a_crash_cuts_the_talk_short() -> None:
    async with room(answers=(Answer("too late", reaction_s=12.0), Answer("没事"), Answer("不用"))) as r:
        r.talk.on_presses(1)
        await r.clock.advance(3)
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(60)
        assert r.texts("said")[:2] == ["请讲。", "检测到碰撞。"]
        assert r.texts("said").count("请讲。") == 1
        assert [feedback.intent for feedback in r.feedback()] == ["fine", "no"]


async def test_who_was_cut_short_is_not_invited_again_but_may_press() -> None:
    async with room(answers=(Answer("too late", reaction_s=12.0), Answer(ODD))) as r:
        r.talk.on_presses(1)
        await r.clock.advance(1.5)
        fire = BatteryAlarm(t_ns=0, alarm="thermal_runaway", level=4, value=90, limit=60, unit="celsius", cell=4)
        r.talk.on_event(msgspec.structs.replace(fire, t_ns=r.clock.monotonic_ns()))
        await r.clock.advance(30)
        assert len(r.texts("said")) == 2, r.texts("said")
        r.talk.on_presses(1)
        await r.clock.advance(10)
        assert r.texts("said", "heard")[2:] == ["请讲。", ODD]


async def test_a_loose_contact_does_not_ask_for_ever() -> None:
    async with room(answers=()) as r:
        for _ in range(60):
            r.talk.on_presses(1)
            await r.clock.advance(10)
        assert 5 <= r.texts("said").count("请讲。") <= 6, "after ten minutes it may try again"
        (told,) = r.texts("source")
        assert told == "button: nothing was understood again and again, it rests a while"


async def test_nobody_is_heard_where_speech_is_off() -> None:
    async with room(config=Voice(enabled=False)) as r:
        r.talk.on_presses(1)
        await r.clock.advance(20)
        assert r.notices == []


async def drive(
    folder: Path, clock: ManualClock, car: CarDrive, button: Button, microphone: Microphone
) -> tuple[list[Event], list[str]]:
    """The whole agent: events as they lie in the store, and what was said."""
    consent = Consent(purposes=["feedback", "diagnostics"])
    config = msgspec.structs.replace(make_config(folder), profile=PROFILE, consent=consent)
    notices: list[Notice] = []
    hardware = open_hardware(
        car, keystore=KEYS.device, speaker=TextSpeaker(clock), microphone=microphone, notify=notices.append
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run(config, replace(hardware, buttons=[button]), clock))
        tasks.create_task(car.run())
    assert running.result().sources[button.name]["presses"] > 0
    return await read(config), [notice.text for notice in notices if notice.topic == "said"]


async def test_a_press_and_words_become_feedback_on_the_disk(tmp_path: Path) -> None:
    clock = ManualClock()
    car = open_car(QUIET, 1, clock, pace=0)
    driver = SimulatedDriver(clock, [Answer(ODD, at_s=11.0)])
    events, said = await drive(tmp_path, clock, car, SimulatedButton(clock, [8.0]), driver)
    (remark,) = [event for event in events if isinstance(event, Feedback)]
    assert (remark.question, remark.intent, remark.transcript) == ("free_words", "said", ODD)
    assert (remark.topic, remark.sentiment, remark.urgency) == ("brake_noise", "negative", "soon")
    assert said == ["请讲。", "好的，您说的已经记下。"]


async def test_a_button_that_is_unplugged_on_the_way_is_told_and_comes_back(tmp_path: Path) -> None:
    """The real driver, on a pipe in the device's place."""
    path = tmp_path / "event7"
    os.mkfifo(path)
    clock = ManualClock()
    car = open_car(QUIET, 1, clock, pace=0)
    ends: list[int] = []

    async def plug() -> None:
        ends.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    async def press() -> None:
        os.write(ends[0], bytes(EVENT_BYTES - 8) + struct.pack("=HHi", 1, 582, 1))

    async def unplug() -> None:
        os.close(ends.pop())

    for at_s, hook in ((1.0, plug), (5.0, unplug), (12.0, plug), (16.0, press), (30.0, unplug)):
        car.at(at_s, hook)
    button = ButtonSource(Hearing(button=str(path)), clock)
    driver = SimulatedDriver(clock, [Answer(ODD, at_s=18.0)])
    events, said = await drive(tmp_path, clock, car, button, driver)
    assert said == ["请讲。", "好的，您说的已经记下。"]
    told = [
        (event.state, event.detail)
        for event in events
        if isinstance(event, SourceChanged) and event.source == "button:event7"
    ]
    assert told == [
        ("lost", f"{path}: closed by the other end"),
        ("restored", ""),
        ("lost", f"{path}: closed by the other end"),
    ]
    assert sum(isinstance(event, Feedback) for event in events) == 1
