"""The open question on the page: what is shown of it, and what a form may send."""

import re
from typing import get_args

import pytest

from agent.core.open_question import OpenQuestion
from agent.core.paths import PAGE, PROMPTS
from agent.core.ports import Language
from agent.core.words import load_words
from agent.voice.prompts import load_phrases
from agent.voice.understanding import understand
from agent.web.question_page import WORDS_MAX
from tests.unit.web.kit import Browser, StillBox, paired

QUESTION = OpenQuestion(
    number=7, name="rescue", said="第5号<电芯>", text="需要道路救援吗？", again="", intents=("yes", "no", "unheard_of")
)


async def asked() -> tuple[StillBox, Browser, dict[str, str]]:
    """A paired browser, and what its form carries."""
    box = StillBox()
    box.asked = {"zh": QUESTION, "en": QUESTION}
    browser = await paired(box)
    found = re.search(r'name="key" value="([0-9a-f]+)"', (await browser.get("/")).text)
    assert found
    return box, browser, {"key": found[1], "number": "7"}


@pytest.mark.parametrize("path", ["/", "/events", "/question"])
async def test_the_open_question_is_shown_with_buttons_and_a_field(path: str) -> None:
    _, browser, _ = await asked()
    page = (await browser.get(path)).text
    assert "需要道路救援吗？" in page
    assert "第5号&lt;电芯&gt;" in page
    assert re.findall(r'<button name="words" value="([^"]+)"', page) == ["需要救援", "先不用"]
    assert f'maxlength="{WORDS_MAX}"' in page


async def test_without_a_question_there_is_no_form() -> None:
    browser = await paired(StillBox())
    assert "/answer" not in (await browser.get("/")).text
    assert (await browser.get("/question")).text == ""


async def test_an_answer_is_handed_on_with_its_language_and_its_reply_is_shown_once_it_is_there() -> None:
    box, browser, fields = await asked()
    await browser.get("/?language=en")
    answer = await browser.post("/answer", fields | {"words": "  yes please "})
    assert (answer.status, answer.headers["location"]) == (303, "/?answered=7")
    assert box.typed == [(7, "yes please", "en")]
    assert '<p class="reply" role="status">&lt;好&gt;</p>' in (await browser.get("/?answered=7")).text


async def test_who_answers_what_was_answered_meanwhile_is_told() -> None:
    box, browser, fields = await asked()
    box.asked.clear()
    answer = await browser.post("/answer", fields | {"words": "需要"})
    assert answer.status == 403
    assert "已经回答过" in answer.text
    assert box.typed == []


@pytest.mark.parametrize(
    "wrong",
    [{"key": "0" * 64}, {"key": ""}, {"number": "x"}, {"number": "９"}, {"number": "1" * 99}, {"number": ""},
     {"words": ""}, {"words": "  "}, {"words": "好" * (WORDS_MAX + 1)}],
)  # fmt: skip
async def test_a_form_of_another_kind_changes_nothing(wrong: dict[str, str]) -> None:
    box, browser, fields = await asked()
    assert (await browser.post("/answer", fields | {"words": "需要"} | wrong)).status == 403
    assert box.typed == []
    assert (await browser.get(f"/?answered={wrong.get('number', '')}")).status == 200


async def test_a_stranger_neither_reads_nor_answers() -> None:
    box, browser, fields = await asked()
    browser.cookies["outrider"] = "made-up"
    assert (await browser.get("/question")).headers["location"] == "/pair"
    assert (await browser.post("/answer", fields | {"words": "需要"})).headers["location"] == "/pair"
    assert box.typed == []


@pytest.mark.parametrize("language", get_args(Language))
def test_each_answer_of_each_question_has_a_button_that_is_understood_as_it(language: Language) -> None:
    words, used = load_words(PAGE, language), set()
    for name, question in load_phrases(PROMPTS).languages[language].questions.items():
        for intent in question.lexicon.intents:
            key = next(key for key in (f"answer:{name}.{intent}", f"answer:{intent}") if key in words)
            understood = understand(words[key], question.lexicon)
            assert (understood.intent, understood.confidence) == (intent, 1.0), (name, words[key])
            assert understand(words[key], question.stop.lexicon).intent is None
            used.add(key)
    assert used == {key for key in words if key.startswith("answer:")}, "none is left over"
