"""A guard is asked again when the scene's turn has come: what has changed while it waited counts."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.core.config import Voice
from agent.core.desk_events import DeskMessage
from agent.core.event_base import Purpose
from agent.core.events import HarshDriving
from agent.core.occasions import LowTyre, PartnerVisit, RenewalNear, WarningLamp
from agent.core.paths import PROMPTS, SCENES
from agent.core.ports import Heard
from agent.core.vss import LOW_VOLTAGE_STATE, SEATS, SPEED, seat_occupied
from agent.voice.prompts import Phrases, load_phrases
from agent.voice.scene_file import find_scenes
from agent.voice.scene_memory import SceneMemory
from simulators.clock import ManualClock
from simulators.driver_person import Answer
from tests.held_state import HeldState
from tests.scenario.test_conversation import Room, applied, brake, crash, room
from tests.scenario.test_conversation_charge import charged
from tests.scenario.test_conversation_crash import SpeedWindow
from tests.scenario.test_conversation_scenes import QUESTION, DriveWindow, drive

RENEWAL = RenewalNear(t_ns=0, days=12)
LOW = LowTyre(t_ns=0, wheel="rear_left", pressure_kpa=150.0)
PLACED = replace(LOW, place="老王修车", distance_m=1830.0)
HASTY = """
[[trigger]]
event = "harsh_driving.braking"
[[trigger]]
event = "harsh_driving.cornering"
[[trigger]]
event = "config_applied"
"""
ASKED = "最近启动费劲吗？"


def hasty(tmp_path: Path, guard: str) -> Phrases:
    """A scene that any of three events calls for, whose own words may be said at any time."""
    path = tmp_path / "hasty.toml"
    path.write_text(f'ask = "battery_old"\n{HASTY}[guard]\n{guard}\n{QUESTION}', encoding="utf-8")
    return load_phrases(PROMPTS, scenes=[*find_scenes(SCENES), path])


def harsh(clock: ManualClock, maneuver: Any) -> HarshDriving:
    return HarshDriving(t_ns=clock.monotonic_ns(), maneuver=maneuver, peak_mps2=6, duration_s=1)


def lamp(r: Room, which: Any) -> WarningLamp:
    return WarningLamp(t_ns=r.clock.monotonic_ns(), lamp=which)


async def wait_for_two(r: Room) -> None:
    """Both wait while the car brakes, and both have their turn when it is calm."""
    await brake(r, 1, -6.0)
    for maneuver in ("braking", "cornering"):
        r.talk.on_event(harsh(r.clock, maneuver))
    await brake(r, 60, 0.0)


async def test_at_one_stop_no_more_is_asked_than_the_hour_allows_and_the_rest_waits_on() -> None:
    visit = PartnerVisit(t_ns=0, place="A", offers=["service"], minutes=52)
    async with room(config=Voice(scenes_per_hour=2)) as r:
        await drive(r, 2, 50.0)
        for event in (lamp(r, "engine"), PLACED, visit, RENEWAL):
            r.talk.on_event(event)
        await drive(r, 2, 50.0)
        await drive(r, 300, 0.0)
        assert len(r.feedback()) == 2
        await r.clock.advance(3400)
        await drive(r, 5, 50.0)
        await drive(r, 120, 0.0)
        assert [f.question for f in r.feedback()] == ["lamp_felt", "tyre_help", "service", "renewal"]


async def test_what_an_event_says_does_not_wait_for_the_hour(tmp_path: Path) -> None:
    async with room(config=Voice(scenes_per_hour=1), phrases=hasty(tmp_path, "")) as r:
        await wait_for_two(r)
        assert len(r.texts("asked")) == 1
        assert [text[:4] for text in r.texts("said")] == ["刚才刹得", "好的。", "这个弯过"]
        assert r.talk.counters()["refused"] == 1


@pytest.mark.parametrize("guard", ["cooldown_s = 600.0", "once = true"])
async def test_of_two_that_wait_the_second_sees_that_the_first_was_put(tmp_path: Path, guard: str) -> None:
    async with room(phrases=hasty(tmp_path, guard), answers=(Answer("正常"), Answer("费劲"))) as r:
        await wait_for_two(r)
        assert r.texts("asked") == [ASKED]
        assert [text[:4] for text in r.texts("said")] == ["刚才刹得", "那就好。", "这个弯过"]


async def test_nothing_is_asked_whose_consent_is_gone() -> None:
    sent: set[Purpose] = {"feedback"}
    async with room(sent=sent) as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(RENEWAL)
        sent.clear()
        await drive(r, 30, 0.0)
        assert r.texts("said", "asked") == []
        assert r.talk.counters()["refused"] == 1


async def test_nothing_is_promised_whose_consent_is_gone() -> None:
    sent: set[Purpose] = {"feedback"}
    async with room(sent=sent) as r:
        r.talk.on_words(Heard("今天刹车声音有点怪", 0.8))
        await brake(r, 1, -6.0)
        r.talk.on_event(r.feedback()[0])
        sent.clear()
        await brake(r, 20, 0.0)
        assert r.texts("said") == ["好的，您说的已经记下。"]


async def test_what_was_silenced_while_it_waited_is_not_asked() -> None:
    async with room() as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(RENEWAL)
        r.talk.memory.silence("renewal_near")
        await drive(r, 30, 0.0)
        assert r.texts("said", "asked") == []


async def test_it_is_put_in_the_language_of_now(tmp_path: Path) -> None:
    phrases = hasty(tmp_path, 'languages = ["zh"]')
    async with room(phrases=phrases) as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(RENEWAL)
        await brake(r, 1, -6.0)
        r.talk.on_event(harsh(r.clock, "braking"))
        r.talk.configure(Voice(language="en"))
        await brake(r, 20, 0.0)
        assert [text[:10] for text in r.texts("said", "asked")] == ["That was h"], "its question is for Chinese only"
        await drive(r, 30, 0.0)
        assert r.texts("said", "asked")[1:3] == [
            "Days until your policy ends: 12.",
            "Shall the insurer get in touch with you?",
        ]


async def test_what_is_for_the_driver_alone_waits_until_the_passenger_has_gone() -> None:
    async with room() as r:
        await drive(r, 2, 50.0)
        r.talk.on_event(RENEWAL)
        for speed_kmh in (50.0, 0.0):
            for _ in range(20):
                await r.clock.advance(1.0)
                values = {SPEED: speed_kmh, LOW_VOLTAGE_STATE: 4.0, seat_occupied(SEATS[1]): 1.0}
                r.talk.on_window(DriveWindow(r.clock.monotonic_ns(), values))
        assert r.texts("said", "asked") == []
        await drive(r, 130, 50.0)
        await drive(r, 30, 0.0)
        assert r.texts("said")[0] == "您的保单还有12天到期。"


async def test_a_scene_that_is_refused_takes_its_urgency_along(tmp_path: Path) -> None:
    """A crash keeps lesser speech back for half a minute; only the scene was as grave as a crash."""
    async with room(phrases=hasty(tmp_path, "urgency = 0"), microphone=lambda _: None) as r:
        r.talk.on_event(crash(r.clock))
        r.talk.on_event(applied(7))
        r.talk.memory.silence("hasty")
        await r.clock.advance(25)
        assert "设置已经更新。" not in r.texts("said")
        await r.clock.advance(10)
        assert r.texts("said")[-1] == "设置已经更新。"


@pytest.mark.parametrize("cut_s", [1.0, 5.0])
async def test_a_scene_that_is_cut_short_counts_once(cut_s: float) -> None:
    """Before its question it has not been put yet; behind that, it has, and is put again all the same."""
    async with room(config=Voice(scenes_per_hour=1, gate_quiet_s=12), answers=(Answer("挺好的", at_s=170.0),)) as r:
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        r.talk.on_event(charged(r.clock, interrupted=1))
        for _ in range(2):
            await r.clock.advance(cut_s)
            await brake(r, 2, -6.0)
            await brake(r, 12, 0.0)
        assert r.talk.counters()["interrupted"] == 2
        assert len(r.texts("asked")) == (0 if cut_s < 2 else 2)
        r.talk.on_window(SpeedWindow(r.clock.monotonic_ns()))
        await r.clock.advance(60)
        assert len(r.feedback()) == 1
        assert r.talk.memory.put_within_hour(r.clock.monotonic_ns()) == 1
        assert r.talk.counters()["refused"] == 0


async def test_each_low_tyre_is_told() -> None:
    async with room() as r:
        for wheel in ("rear_left", "front_right", "rear_left"):
            r.talk.on_event(replace(LOW, wheel=wheel))
            await drive(r, 30, 50.0)
        assert [text[:3] for text in r.texts("said")] == ["左后轮", "右前轮"]
        assert r.talk.counters()["cooled"] == 1


async def test_low_tyres_wait_beside_each_other_and_one_offer_is_answered_for_both() -> None:
    async with room(answers=(Answer("要"),)) as r:
        await brake(r, 1, -6.0)
        r.talk.on_event(PLACED)
        r.talk.on_event(replace(PLACED, wheel="front_right"))
        await brake(r, 60, 0.0)
        assert [text[:3] for text in r.texts("said")] == ["左后轮", "右前轮"]
        await drive(r, 60, 0.0)
        told = [text for text in r.texts("said") if text.startswith("刚才说到")]
        assert [text[4:7] for text in told] == ["左后轮", "右前轮"]
        assert [f.intent for f in r.feedback()] == ["yes"]


async def test_messages_about_two_tickets_wait_beside_each_other() -> None:
    async with room() as r:
        await brake(r, 1, -6.0)
        for ticket, text in ((1, "维修已经预约。"), (2, "理赔已经受理。"), (2, "理赔款已经付出。")):
            r.talk.on_event(DeskMessage(t_ns=0, id=text, what="answer", ticket=ticket, created_ns=0, text=text))
        await drive(r, 60, 0.0)
        told = [text.partition("：")[2] for text in r.texts("said") if text.startswith("保险公司来消息")]
        assert told == ["维修已经预约。", "理赔款已经付出。"]


@pytest.mark.parametrize("minutes", [1, 30])
async def test_each_warning_lamp_is_told(minutes: int) -> None:
    """Also where both wait for one stop."""
    async with room(answers=(Answer(None), Answer(None))) as r:
        for which in ("engine", "airbag", "engine"):
            await drive(r, 2, 50.0)
            r.talk.on_event(lamp(r, which))
            if minutes > 1:
                await drive(r, 30, 0.0)
                await r.clock.advance(minutes * 60)
        await drive(r, 60, 0.0)
        assert sorted(text[:3] for text in r.texts("said") if "亮了" in text) == ["发动机", "气囊灯"]
        assert len(r.texts("asked")) == 1


async def test_lamps_are_told_apart_over_boots_too() -> None:
    store = HeldState()
    told = []
    for hours, which in ((0, "engine"), (1, "airbag"), (2, "engine"), (3, "airbag"), (14, "airbag")):
        memory = SceneMemory(store, lambda hours=hours: (1_790_000_000 + hours * 3600) * 10**9)  # type: ignore[misc]
        async with room(memory=memory) as r:
            await drive(r, 2, 50.0)
            r.talk.on_event(lamp(r, which))
            await drive(r, 60, 0.0)
            told += [(hours, text[:3]) for text in r.texts("said") if "亮了" in text]
    assert told == [(0, "发动机"), (1, "气囊灯"), (14, "气囊灯")]
