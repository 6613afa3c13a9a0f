"""A severe collision stays reported whatever is heard after it: silence, noise, garbage, "I am fine"."""

import asyncio
import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.config import Voice
from agent.core.errors import SourceLost
from agent.core.events import Collision, Event, Feedback
from agent.core.paths import PROMPTS
from agent.core.ports import Heard, Language, Notice
from agent.voice.conversation import Conversation
from agent.voice.prompts import load_phrases
from agent.voice.understanding import understand
from simulators.clock import ManualClock
from tests.unit.voice.utterances import FRESH, WRITTEN_FIRST

_PHRASES: Final = load_phrases(PROMPTS)
_DENIES: Final = re.compile(
    r"不会?再?上报|不上报|不用上报|取消|撤|不发|不报|不通知|"
    r"not (report|send|tell|pass)|won.t|cancel|withdr|take .* back|no report|nothing (is|will)",
    re.IGNORECASE,
)
_LOST: Final = "\0lost"
_WORDS: Final = st.one_of(
    st.none(),
    st.just(_LOST),
    st.text(st.characters(), max_size=60),
    st.sampled_from([text for _, _, text, _ in (*WRITTEN_FIRST, *FRESH)]),
    st.lists(
        st.sampled_from(["no", "cancel", "取消", "不用上报", "fine", "误报", "没事", "pothole", "别发"]), max_size=5
    ).map(" ".join),
)
_CALM_OR_ELSE: Final = st.tuples(
    st.one_of(_WORDS, st.sampled_from(["没事", "没有撞", "是的", "I'm fine", "false alarm", "yes"])),
    st.floats(0, 1),
)
_SAID: Final = st.lists(st.tuples(_WORDS, st.floats(allow_nan=True)), min_size=1, max_size=3)


class Ear:
    """Hears what it is given, then silence."""

    def __init__(self, clock: ManualClock, said: list[tuple[str | None, float]]) -> None:
        self._clock = clock
        self._said = said

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:  # noqa: ARG002
        text, confidence = self._said.pop(0) if self._said else (None, 0.0)
        if text == _LOST:
            raise SourceLost(f"no microphone for {language}")
        await self._clock.sleep(timeout_s if text is None else 1.0)
        return None if text is None else Heard(text, confidence)

    async def close(self) -> None:
        pass


async def _told_after(
    said: list[tuple[str | None, float]], language: Language
) -> tuple[Collision, list[Event], list[str]]:
    clock = ManualClock(start_ns=10**11)
    blow = Collision(
        t_ns=clock.monotonic_ns(), delta_v_kmh=50, duration_ms=90, peak_mps2=300, stationary=False, severity="severe"
    )
    events: list[Event] = []
    notices: list[Notice] = []
    talk = Conversation(
        Voice(language=language),
        _PHRASES,
        speaker=None,
        microphone=Ear(clock, said),
        clock=clock,
        notify=notices.append,
        emit=events.append,
    )
    running = asyncio.create_task(talk.run())
    talk.on_event(blow)
    await clock.advance(60)
    talk.close()
    await running
    return blow, events, [notice.text for notice in notices if notice.topic in ("said", "asked")]


@pytest.mark.parametrize("language", ["zh", "en"])
@settings(max_examples=250, deadline=None)
@given(said=_SAID)
def test_nothing_that_is_heard_takes_a_severe_collision_back(
    language: Language, said: list[tuple[str | None, float]]
) -> None:
    blow, events, texts = asyncio.run(_told_after(list(said), language))
    answers = [event for event in events if isinstance(event, Feedback)]
    assert answers == events, "an answer is all that a conversation can add"
    assert answers[0].question == "all_right_severe"
    assert {(answer.about, answer.about_ns) for answer in answers} == {("collision", blow.t_ns)}
    told = {"zh": "上报", "en": "report"}[language]
    assert told in texts[0]
    assert not [text for text in texts if _DENIES.search(text)]
    if answers[0].intent in ("fine", "false_alarm"):
        assert [text for text in texts if {"zh": "仍会上报", "en": "all the same"}[language] in text]


@pytest.mark.parametrize("language", ["zh", "en"])
@settings(max_examples=250, deadline=None)
@given(said=st.lists(_CALM_OR_ELSE, max_size=5))
def test_it_takes_two_words_of_calm_in_a_row_to_end_calm(
    language: Language, said: list[tuple[str | None, float]]
) -> None:
    question = _PHRASES.languages[language].questions["all_right_severe"]
    _, events, _ = asyncio.run(_told_after(list(said), language))
    first = next(event for event in events if isinstance(event, Feedback))
    texts = [(text or "").encode("utf-8", "replace").decode() for text, _ in said]
    calm = [understand(text, question.lexicon).intent in question.confirms for text in texts]
    twice = {f"{texts[place]} / {texts[place + 1]}" for place in range(len(texts) - 1) if all(calm[place : place + 2])}
    assert first.intent not in question.confirms or first.transcript in twice


def test_the_pattern_of_a_denial_finds_one() -> None:
    for text in ("好的，这次不上报。", "Then I will not report it.", "已取消", "I cancel that"):
        assert _DENIES.search(text)
