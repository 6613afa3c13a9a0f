"""Whatever people say, whatever a recogniser makes of it."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.paths import PROMPTS
from agent.voice.prompts import load_phrases
from agent.voice.questions import Question
from agent.voice.understanding import understand

_PHRASES: Final = load_phrases(PROMPTS)
QUESTIONS: Final = [
    pytest.param(question, id=f"{language}-{name}")
    for language, book in _PHRASES.languages.items()
    for name, question in book.questions.items()
]
ANY_TEXT: Final = st.text(st.characters(), max_size=200)  # lone surrogates included
CHAFF: Final = st.text("的了呢啊吧 ,.!？，。…~", max_size=8)


@pytest.mark.parametrize("question", QUESTIONS)
@settings(max_examples=200, deadline=None)
@given(text=ANY_TEXT)
def test_any_text_is_understood_or_not_but_never_raises(question: Question, text: str) -> None:
    found = understand(text, question.lexicon)
    assert found.intent in (None, *question.lexicon.intents)
    assert 0 <= found.confidence <= 1
    assert (found.intent is None) == (found.confidence == 0)


@pytest.mark.parametrize("question", QUESTIONS)
@settings(max_examples=100, deadline=None)
@given(data=st.data(), before=CHAFF, after=CHAFF)
def test_a_clear_phrase_is_found_between_filler_words_and_punctuation(
    question: Question, data: st.DataObject, before: str, after: str
) -> None:
    clear = [
        (tokens, meaning.answer)
        for tokens, meaning in question.lexicon.meanings.items()
        if meaning.strong and meaning.answer is not None
    ]
    tokens, answer = data.draw(st.sampled_from(clear))
    found = understand(f"{before} {' '.join(tokens).upper()} {after}", question.lexicon)
    assert found.intent == question.lexicon.intents[answer]


@pytest.mark.parametrize("question", QUESTIONS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), noise=ANY_TEXT)
def test_a_clear_cautious_answer_survives_whatever_else_is_said(
    question: Question, data: st.DataObject, noise: str
) -> None:
    phrases = [" ".join(tokens) for tokens in question.lexicon.meanings]
    clear = [
        " ".join(tokens)
        for tokens, meaning in question.lexicon.meanings.items()
        if meaning.strong and meaning.answer == 0
    ]
    others = st.lists(st.sampled_from(phrases), max_size=6).map(" ".join)
    before, after = data.draw(others), data.draw(others)
    sentence = f"{before}。{data.draw(st.sampled_from(clear))}。{after}。{noise}"
    assert understand(sentence, question.lexicon).intent == question.lexicon.intents[0]
