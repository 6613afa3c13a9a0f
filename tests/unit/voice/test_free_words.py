import shutil
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.core.paths import UNDERSTANDING
from agent.core.ports import Language
from agent.voice.free_words import FreeWords, load_free_words
from tests.eval.free_words import ASPECTS, accuracy, sentences


@pytest.fixture(scope="module")
def words() -> FreeWords:
    return load_free_words()


@pytest.mark.parametrize(
    ("language", "text", "meaning"),
    [
        ("en", "brakes sound odd today", ("brake_noise", "negative", "soon", "report")),
        ("en", "the brake noise is gone, thank you", ("brake_noise", "positive", "can_wait", "praise")),
        ("en", "My claim has been open for weeks, nobody calls!", ("claim_slow", "negative", "can_wait", "complaint")),
        ("en", "not happy with the garage", ("repair_quality", "negative", "can_wait", "complaint")),
        ("en", "smoke from under the bonnet", (None, "negative", "now", "report")),
        ("en", "there is no smoke", (None, "positive", "can_wait", "praise")),
        ("en", "don\u2019t ask me that again", (None, "neutral", "can_wait", "stop_asking")),
        ("zh", "今天刹车声音怪怪的", ("brake_noise", "negative", "soon", "report")),
        ("zh", "刹车不响了，谢谢", ("brake_noise", "positive", "can_wait", "praise")),
        ("zh", "理赔等了三个星期没人回", ("claim_slow", "negative", "can_wait", "complaint")),
        ("zh", "充电不是很快", ("charge_slow", "negative", "can_wait", "report")),
        ("zh", "车里冒烟了快来人", (None, "negative", "now", "help")),
        ("zh", "别再问我了", (None, "neutral", "can_wait", "stop_asking")),
        ("zh", "", (None, "neutral", "can_wait", "statement")),
    ],
)
def test_a_sentence_is_read_as_a_person_would(
    words: FreeWords, language: Language, text: str, meaning: tuple[str | None, str, str, str]
) -> None:
    found = words.understand_free(text, language)
    assert (found.topic, found.sentiment, found.urgency, found.intent) == meaning


@pytest.mark.parametrize("language", ["zh", "en"])
def test_kept_sentences_are_read_as_well_as_the_evaluation_says(words: FreeWords, language: Language) -> None:
    measured = accuracy(language)
    assert measured["topic"] >= 0.9
    assert min(measured[aspect] for aspect in ASPECTS) >= 0.8
    assert {wanted["topic"] for _, wanted in sentences(language)} == {None, *words.topics}
    assert {wanted["intent"] for _, wanted in sentences(language)} <= set(words.intents)


def test_any_text_is_read(words: FreeWords) -> None:
    for text in ("\x00\ud800", "刹" * 10_000, "not " * 1000, "。。。", "*(?P<"):
        assert words.understand_free(text, "zh").topic in (None, *words.topics)


def test_a_topic_in_one_language_only_is_refused(tmp_path: Path) -> None:
    shutil.copytree(UNDERSTANDING, tmp_path / "lists")
    path = tmp_path / "lists" / "en.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("[topics.tyre]", "[topics.tire]"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"en\.toml.*topics: other ones"):
        load_free_words(tmp_path / "lists")


def test_a_wrong_phrase_names_file_and_key(tmp_path: Path) -> None:
    shutil.copytree(UNDERSTANDING, tmp_path / "lists")
    path = tmp_path / "lists" / "zh.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('now = ["着火"', 'now = ["*着火"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"zh\.toml:\d+.*now"):
        load_free_words(tmp_path / "lists")
