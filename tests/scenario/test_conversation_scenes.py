"""Scenes that wait for their moment, are asked seldom, and are silenced by the driver for good."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from agent.core.config import Voice
from agent.core.events import Anomaly, BatteryAlarm, Collision, Event, TripEnded, TripStarted
from agent.core.occasions import LowTyre, PartnerVisit, RenewalNear, WarningLamp
from agent.core.paths import PROMPTS, SCENES
from agent.core.ports import Heard
from agent.core.signals import EMPTY_SERIES, Series
from agent.core.vss import LOW_VOLTAGE_STATE, SPEED
from agent.voice.prompts import Phrases, load_phrases
from agent.voice.scene_file import find_scenes
from agent.voice.scene_memory import SceneMemory
from simulators.clock import ManualClock
from simulators.driver_person import Answer
from tests.held_state import HeldState
from tests.scenario.test_conversation import Room, brake, crash, hot, room
from tests.scenario.test_conversation_charge import charged
from tests.scenario.test_conversation_crash import SpeedWindow

QUESTION = """
[questions.battery_old]
text.zh = "最近启动费劲吗？"
text.en = "Has it been hard to start of late?"
again.zh = "我没听明白。启动费劲吗？"
again.en = "I did not understand. Is it hard to start?"
silence.zh = "好的。"
silence.en = "All right."
unclear.zh = "先记下来。"
unclear.en = "Noted."

[questions.battery_old.answers.yes]
words.zh = ["费劲"]
words.en = ["hard"]
reply.zh = "记下了。"
reply.en = "Noted."

[questions.battery_old.answers.no]
words.zh = ["正常"]
words.en = ["fine"]
reply.zh = "那就好。"
reply.en = "Good."
"""


@dataclass
class DriveWindow:
    """One sample of speed, and of the ignition."""

    t_ns: int
    values: dict[str, float] = field(default_factory=dict)

    def paths(self) -> list[str]:
        return list(self.values)

    def new(self, path: str) -> Series:
        if path not in self.values:
            return EMPTY_SERIES
        return Series(np.array([self.t_ns], np.int64), np.array([self.values[path]], np.float64))

    def recent(self, path: str, seconds: float) -> Series:  # noqa: ARG002 - nobody looks back
        return self.new(path)

    def latest(self, path: str) -> float | None:
        return self.values.get(path)


async def drive(r: Room, seconds: float, speed_kmh: float, *, ignition: float = 4.0) -> None:
    for _ in range(round(seconds)):
        await r.clock.advance(1.0)
        r.talk.on_window(DriveWindow(r.clock.monotonic_ns(), {SPEED: speed_kmh, LOW_VOLTAGE_STATE: ignition}))


def scene(tmp_path: Path, guard: str) -> Phrases:
    path = tmp_path / "battery_old.toml"
    head = f'ask = "battery_old"\n[[trigger]]\nevent = "trip_started"\n[guard]\n{guard}\n'
    path.write_text(head + QUESTION, encoding="utf-8")
    return load_phrases(PROMPTS, scenes=[*find_scenes(SCENES), path])


def started(clock: ManualClock) -> TripStarted:
    return TripStarted(t_ns=clock.monotonic_ns())


async def test_who_wants_no_more_questions_is_still_told_what_is_wrong() -> None:
    store = HeldState()
    async with room(answers=(Answer("别再问了"),), memory=SceneMemory(store)) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        assert [f.intent for f in r.feedback()] == ["stop_asking"]
        assert r.texts("said")[-1].startswith("好的，这件事以后不再问您")
    memory = SceneMemory(store)  # the next boot
    assert memory.silenced == {"battery_hot"}
    async with room(memory=memory) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        assert [text[:5] for text in r.texts("said", "asked")] == ["第5号电芯"]
        memory.silence("battery_hot", silent=False)
        r.talk.on_event(hot(r.clock, level=3))
        await r.clock.advance(60)
        assert len(r.texts("asked")) == 1


@pytest.mark.parametrize(
    ("language", "said", "intents"),
    [
        ("zh", "不用，以后别问了", ["no", "stop_asking"]),
        ("zh", "要，快来人", ["yes"]),
        ("en", "No, and stop asking me about this", ["no", "stop_asking"]),
        ("en", "don't ask me again", ["stop_asking"]),
    ],
)
async def test_an_answer_may_come_with_the_wish_to_be_left_alone(language: str, said: str, intents: list[str]) -> None:
    async with room(config=Voice(language=language), answers=(Answer(said),)) as r:  # type: ignore[arg-type]
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        assert [f.intent for f in r.feedback()] == intents
        assert bool(r.talk.memory.silenced) == ("stop_asking" in intents)


async def test_whether_people_are_all_right_is_asked_the_next_time_too() -> None:
    async with room(answers=(Answer("别问了"), Answer("没事"), Answer("对"))) as r:
        for _ in range(2):
            now_ns = r.clock.monotonic_ns()
            severe = Collision(
                t_ns=now_ns, delta_v_kmh=45, duration_ms=90, peak_mps2=300, stationary=False, severity="severe"
            )
            r.talk.on_event(severe)
            await r.clock.advance(120)
        assert [f.intent for f in r.feedback()][:2] == ["stop_asking", "fine"]
        assert r.texts("said")[1] == "好的，这次不问了。"
        assert not r.talk.memory.silenced


async def test_what_can_wait_is_asked_three_times_an_hour_at_most() -> None:
    async with room() as r:
        for minutes in range(0, 75, 15):
            r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
            r.talk.on_event(charged(r.clock, interrupted=1))
            await r.clock.advance(900)
            assert len(r.texts("asked")) == {0: 1, 15: 2, 30: 3, 45: 3, 60: 4}[minutes]
        assert r.talk.counters()["refused"] == 1
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        assert r.texts("asked")[-1] == "需要道路救援吗？", "what cannot wait is asked all the same"


async def test_a_scene_for_a_standing_car_waits_until_it_has_stood(tmp_path: Path) -> None:
    phrases = scene(tmp_path, 'moment = "standing"')
    async with room(phrases=phrases, answers=(Answer("正常"),)) as r:
        await drive(r, 5, 50.0)
        r.talk.on_event(started(r.clock))
        await drive(r, 20, 50.0)
        await drive(r, 2, 0.0)
        await drive(r, 20, 40.0)
        assert r.texts("asked") == [], "a junction is no rest"
        await drive(r, 20, 0.0)
        assert r.texts("asked") == ["最近启动费劲吗？"]
        assert [(f.question, f.about, f.intent) for f in r.feedback()] == [("battery_old", "trip_started", "no")]


async def test_a_scene_for_the_end_of_a_trip_waits_for_the_ignition_or_the_trip(tmp_path: Path) -> None:
    phrases = scene(tmp_path, 'moment = "trip_end"\nstale_after_s = 3600.0')
    for by_ignition in (True, False):
        async with room(phrases=phrases) as r:
            r.talk.on_event(started(r.clock))
            await drive(r, 20, 50.0)
            await drive(r, 20, 0.0)
            assert r.texts("asked") == []
            if by_ignition:
                await drive(r, 2, 0.0, ignition=2.0)
            else:
                t_ns = r.clock.monotonic_ns()
                r.talk.on_event(TripEnded(t_ns=t_ns, started_ns=0, duration_s=9, distance_m=9, speed_max_kmh=50))
            await r.clock.advance(30)
            assert r.texts("asked") == ["最近启动费劲吗？"]


async def test_the_guard_keeps_back_what_was_asked_lately_or_answered_once(tmp_path: Path) -> None:
    phrases = scene(tmp_path, "cooldown_s = 600.0\nonce = true")
    async with room(phrases=phrases, answers=(Answer(None), Answer("费劲"))) as r:
        for _ in range(4):
            r.talk.on_event(started(r.clock))
            await r.clock.advance(301)
        assert [f.intent for f in r.feedback()] == ["none", "yes"]


async def test_what_has_waited_too_long_is_dropped_or_said_when_the_trip_is_over() -> None:
    async with room() as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(Collision(t_ns=0, delta_v_kmh=9, duration_ms=90, peak_mps2=60, stationary=False))
        await r.clock.advance(10)
        r.talk.on_event(Anomaly(t_ns=r.clock.monotonic_ns(), model="drive", score=2, threshold=1))
        r.talk.configure(Voice(gate_crash_s=500))
        await drive(r, 600, 50.0)
        assert not any(text.startswith("车的状态") for text in r.texts("said"))
        assert r.talk.counters()["moved"] == 1
        await drive(r, 5, 0.0)
        await drive(r, 2, 0.0, ignition=2.0)
        await r.clock.advance(30)
        assert any(text.startswith("车的状态") for text in r.texts("said"))


LOW = LowTyre(t_ns=0, wheel="rear_left", pressure_kpa=150.0, place="老王修车", distance_m=1830.0)


@pytest.mark.parametrize(
    ("event", "said", "asked", "answer", "intent"),
    [
        (
            PartnerVisit(t_ns=0, place="A", offers=["service"], minutes=52),
            "刚才车在A停了52分钟。",
            "如果是去保养",
            "挺满意的",
            "fine",
        ),
        (
            PartnerVisit(t_ns=0, place="A", offers=["service"], minutes=52),
            "刚才车在A",
            "如果是去保养",
            "没有，路过",
            "no_service",
        ),
        (RenewalNear(t_ns=0, days=12), "您的保单还有12天到期。", "要不要请保险公司", "好啊", "yes"),
        (WarningLamp(t_ns=0, lamp="engine"), "发动机故障灯刚才亮了", "车开起来", "有点抖，没劲", "power"),
        (
            LOW,
            "刚才说到左后轮气压偏低，最近的合作店是老王修车。",
            "要不要请保险公司帮您约",
            "不用了",
            "no",
        ),
        (
            replace(LOW, phone="021 5555 0100"),
            "刚才说到左后轮气压偏低，最近的合作店是老王修车，电话021 5555 0100。",
            "要不要请保险公司帮您约",
            "不用了",
            "no",
        ),
    ],
)
async def test_the_shipped_scenes_for_a_standing_car(
    event: Event, said: str, asked: str, answer: str, intent: str
) -> None:
    async with room(answers=(Answer(answer),)) as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(event)
        await drive(r, 20, 50.0)
        assert r.texts("asked") == []
        await drive(r, 30, 0.0)
        assert any(text.startswith(said) for text in r.texts("said"))
        assert r.texts("asked")[0].startswith(asked)
        (feedback,) = r.feedback()[:1]
        assert (feedback.intent, feedback.about) == (intent, event.kind)


async def test_the_third_stay_at_one_shop_is_asked_about() -> None:
    async with room(answers=(Answer("对，还没修好"),)) as r:
        for place in ("A", "B", "A", "B", "A"):
            t_ns = r.clock.monotonic_ns()
            r.talk.on_event(PartnerVisit(t_ns=t_ns, place=place, offers=["repair"], minutes=60))
            await drive(r, 30, 0.0)
        assert r.texts("said")[0] == "这三个月里，车第三次停在A了。"
        assert [f.intent for f in r.feedback()] == ["same_fault"]


async def test_a_trip_with_hasty_moves_ends_with_an_offer() -> None:
    async with room(answers=(Answer("好啊"),)) as r:
        for counts in ({"harsh_braking_count": 1}, {"harsh_cornering_count": 3}):
            trip = TripEnded(t_ns=0, started_ns=0, duration_s=600, distance_m=9000, speed_max_kmh=80, **counts)
            r.talk.on_event(trip)
            await r.clock.advance(90)
        assert r.texts("asked") == ["想听听怎样过弯更稳吗？"]
        assert r.texts("said")[-1].startswith("进弯之前")


async def test_words_outside_a_question_become_an_event_and_are_acknowledged() -> None:
    async with room() as r:
        r.talk.on_words(Heard("今天刹车声音有点怪", 0.8))
        r.talk.on_words(Heard("  ", 0.9))
        (remark,) = r.feedback()
        assert (remark.question, remark.about, remark.intent) == ("free_words", "driver", "said")
        assert (remark.transcript, remark.confidence) == ("今天刹车声音有点怪", 0.8)
        r.talk.on_event(replace(remark, urgency="soon"))  # as the app hands it on, completed
        await r.clock.advance(10)
        r.talk.on_event(replace(remark, urgency="now"))
        await r.clock.advance(20)
        said = r.texts("said")
        assert said[0] == "好的，您说的已经记下，会转告保险公司。"
        assert "靠边停车" in said[1]


async def test_who_wants_no_more_of_it_after_the_talk_is_believed_too() -> None:
    async with room(answers=(Answer("不用"),)) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(30)
        r.talk.on_words(Heard("以后别再问了", 0.9))
        remark = r.feedback()[-1]
        r.talk.on_event(replace(remark, wish="stop_asking"))
        assert r.talk.memory.silenced == {"battery_hot"}


async def until_asked(r: Room) -> float:
    while not r.texts("asked"):
        await r.clock.advance(0.25)
    await r.clock.advance(2.5)  # the question is out, the driver thinks
    return r.clock.monotonic_ns() / 1e9


@pytest.mark.parametrize("answer", ["嗒嗒嗒", "不用"])
async def test_a_talk_waits_while_the_driver_brakes_and_goes_on_when_it_is_calm(answer: str) -> None:
    async with room(answers=(Answer(answer, reaction_s=2), Answer("不用"))) as r:
        r.talk.on_event(hot(r.clock))
        await until_asked(r)
        said = len(r.texts("said", "asked"))
        await brake(r, 3, -6.0)
        braked_s = r.clock.monotonic_ns() / 1e9
        assert r.texts("heard") == [answer]
        assert len(r.texts("said", "asked")) == said, "neither the reply nor the question again into the braking"
        await brake(r, 20, 0.0)
        next_s = [notice.t_ns / 1e9 for notice in r.notices if notice.topic in ("said", "asked")][said]
        assert next_s - braked_s == pytest.approx(Voice().gate_quiet_s, abs=0.5)
        assert [f.intent for f in r.feedback()] == ["no"]


@pytest.mark.parametrize(("answer", "asked"), [("嗒嗒嗒", 3), ("不用", 1)])
async def test_a_talk_that_waits_too_long_is_begun_anew_or_left_at_the_answer(answer: str, asked: int) -> None:
    async with room(answers=(Answer(answer, reaction_s=2), Answer(answer), Answer("不用"))) as r:
        r.talk.on_event(hot(r.clock))
        await until_asked(r)
        await brake(r, 20, -6.0)
        assert len(r.texts("asked")) == 1
        await brake(r, 60, 0.0)
        assert len(r.texts("asked")) == asked
        assert [f.intent for f in r.feedback()] == ["no"]
        assert r.talk.counters()["interrupted" if asked > 1 else "forgone"] == 1


async def test_a_burning_battery_does_not_wait_behind_a_question_after_a_crash() -> None:
    runaway = BatteryAlarm(t_ns=0, alarm="thermal_runaway", level=4, value=99, limit=60, unit="C", cell=1)
    async with room() as r:
        r.talk.on_event(crash(r.clock))
        told_s = await until_asked(r)
        r.talk.on_event(replace(runaway, t_ns=r.clock.monotonic_ns()))
        await r.clock.advance(120)
        assert r.at_s("电池可能要起火") - told_s < 1
        assert len([text for text in r.texts("said") if text == "检测到碰撞。"]) == 2, "and then it goes on"
