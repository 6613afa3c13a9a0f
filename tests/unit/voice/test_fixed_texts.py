import pytest

from agent.core.paths import PROMPTS
from agent.core.ports import Language
from agent.voice.fixed_texts import fixed_speech
from agent.voice.prompts import load_phrases


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_text_without_a_value_is_made_beforehand_and_nothing_else(language: Language) -> None:
    phrases = load_phrases(PROMPTS)
    utterances = fixed_speech(phrases, language)
    texts = [utterance.text for utterance in utterances]
    book = phrases.languages[language]
    assert {utterance.language for utterance in utterances} == {language}
    assert len(set(texts)) == len(texts) > 100
    assert not any("{" in text for text in texts)
    assert book.prompts["collision.severe"].text in texts
    assert {question.text for question in book.questions.values() if "{" not in question.text} <= set(texts)
    assert {text for question in book.questions.values() for text in question.confirms.values()} <= set(texts)
    assert texts.index(book.prompts["battery_alarm.thermal_runaway"].text) < texts.index(book.prompts["collision"].text)
