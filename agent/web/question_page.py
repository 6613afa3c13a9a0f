"""The question that is open, with buttons for its answers and a field for other words. Pure."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from agent.core.open_question import OpenQuestion
from agent.core.paths import PAGE
from agent.core.words import load_words
from agent.web.box import Box
from agent.web.frame import Viewer, key_field
from agent.web.refusal import Refusal

WORDS_MAX: Final = 200
_NUMBER_MAX: Final = 9  # digits


def render_question(box: Box, viewer: Viewer, *, answered: str = "") -> str:
    """What stands above a page's body. answered: the number of a question whose reply is to be shown."""
    reply = box.reply_to(int(answered)) if _is_number(answered) else ""
    told = f'<p class="reply" role="status">{escape(reply)}</p>' if reply else ""
    return f'{told}<div id="question" aria-live="polite">{render_question_alone(box, viewer)}</div>'


def render_question_alone(box: Box, viewer: Viewer) -> str:
    """The open question, which the page's script also asks for alone; empty where there is none."""
    question = box.question(viewer.language)
    return "" if question is None else "".join(_parts(question, viewer, said_in=box.language))


def parse_answer(fields: Mapping[str, str]) -> tuple[int, str]:
    """Number of the question, and the words, of a form of this page. Raises Refusal."""
    number, words = fields.get("number", ""), fields.get("words", "").strip()
    if not _is_number(number):
        raise Refusal("again")
    if not words or len(words) > WORDS_MAX:
        raise Refusal("words", count=WORDS_MAX)
    return int(number), words


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _NUMBER_MAX


def _parts(question: OpenQuestion, viewer: Viewer, *, said_in: str) -> Iterator[str]:
    say = viewer.say
    number = f'<input type="hidden" name="number" value="{question.number}">'
    form = f'method="post" action="/answer">{key_field(viewer)}{number}'
    # What the script compares: a form in which somebody types is not to be replaced by the same one.
    seen = escape(f"{question.number} {question.again}")
    yield f'<section class="question" data-seen="{seen}" aria-labelledby="asked">'
    yield f'<p class="soft">{say("question_open")}</p>'
    if question.said:
        yield f'<p lang="{said_in}">{escape(question.said)}</p>'
    yield f'<h2 id="asked">{escape(question.text)}</h2>'
    if question.again:
        yield f'<p class="reply" role="status">{escape(question.again)}</p>'
    labels = list(_labels(question, viewer))
    if labels:
        yield f'<form class="row" {form}'
        yield "".join(f'<button name="words" value="{escape(label)}">{escape(label)}</button>' for label in labels)
        yield "</form>"
    yield f'<form class="terms" {form}<label>{say("question_words")}'
    yield f' <input type="text" name="words" maxlength="{WORDS_MAX}" required autocomplete="off"></label>'
    yield f'<button class="plain">{say("question_send")}</button></form></section>'


def _labels(question: OpenQuestion, viewer: Viewer) -> Iterator[str]:
    """A button says what is sent, so that the question understands it; answers of new scenes may have none."""
    words = load_words(PAGE, viewer.language)
    for intent in question.intents:
        label = words.get(f"answer:{question.name}.{intent}") or words.get(f"answer:{intent}")
        if label:
            yield label
