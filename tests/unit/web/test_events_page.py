"""What the page tells of a talk, from what a real conversation says of it."""

import re
from html import unescape

import pytest

from agent.core.ports import Language
from agent.web.events_page import render_events
from agent.web.frame import Viewer
from agent.web.journal import Journal
from agent.web.why import find_reasons
from simulators.driver_person import Answer
from tests.scenario.test_conversation import DeafSpeaker, LostMicrophone, Room, crash, hot, room
from tests.unit.web.kit import StillBox

WHO: dict[Language, dict[str, str]] = {
    "zh": {"said": "终端说", "asked": "终端问", "heard": "听到"},
    "en": {"said": "The box said", "asked": "The box asked", "heard": "Heard"},
}


def told(talk: Room, language: Language = "zh") -> list[str]:
    """The lines of the page as a reader sees them, oldest first, without their times."""
    journal = Journal()
    for notice in talk.notices:
        journal.take(notice)
    box = StillBox()
    box.lines = list(journal.newest_first())
    html = render_events(box, Viewer(language=language, path="/events", device="car-1"))
    lines = re.findall(r"<li><span class=\"when\">.*?</span><div>(.*?)</div></li>", html)
    return [unescape(re.sub(r"<[^>]*>", "", line)) for line in reversed(lines)]


async def test_a_talk_after_a_crash_is_told_word_by_word() -> None:
    async with room(answers=(Answer("没事"), Answer("不用"))) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(60)
    assert {notice.topic for notice in r.notices} == {"said", "asked", "heard"}
    for language, who in WHO.items():
        assert told(r, language) == [f"{who[notice.topic]} {notice.text}" for notice in r.notices]
    assert next(line for line in told(r) if line.startswith("听到")) == "听到 没事"


async def test_silence_is_told_as_such() -> None:
    async with room() as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
    assert "没有听到回答" in told(r)
    assert "Heard no answer" in told(r, "en")


async def test_a_sound_card_that_is_gone_is_told_and_that_it_is_back() -> None:
    speaker = DeafSpeaker()
    async with room(speaker=lambda _: speaker) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        reasons = {reason.key: reason.places for reason in find_reasons({"voice": r.talk.troubles()}, [])}
        assert reasons["speaker"] == {"trouble": "no sound card for zh"}
        speaker.works = True
        await r.clock.advance(1200)
        r.talk.on_event(hot(r.clock, level=3))
        await r.clock.advance(60)
        assert r.talk.troubles() == {"speaker_trouble": "", "microphone_trouble": ""}
    assert [line for line in told(r) if line.startswith("扬声器")] == [
        "扬声器用不了： no sound card for zh",
        "扬声器恢复正常",
    ]
    assert "The loudspeaker works again" in told(r, "en")


async def test_a_microphone_that_is_gone_is_told() -> None:
    async with room(microphone=lambda _: LostMicrophone()) as r:
        r.talk.on_event(hot(r.clock))
        await r.clock.advance(60)
        reasons = find_reasons({"voice": r.talk.troubles()}, [])
        (trouble,) = [reason.places["trouble"] for reason in reasons if reason.key == "microphone"]
        assert str(trouble).startswith("nobody can type zh")
    assert any(line.startswith("麦克风用不了： nobody can type zh") for line in told(r))


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_what_is_said_is_text_and_no_markup(language: Language) -> None:
    async with room(answers=(Answer("<b>help</b>"),)) as r:
        r.talk.on_event(crash(r.clock))
        await r.clock.advance(60)
    assert any("<b>help</b>" in line for line in told(r, language))
