"""Phrases as data: firmware_config/prompts/{zh,en}.toml, checked at load, chosen by a pure function."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import ConfigError
from agent.core.events import Event
from agent.core.ports import Language
from agent.core.toml import load_toml
from agent.voice.facts import KNOWN_KEYS, facts_of, keys_of
from agent.voice.reading import Words, read_fact
from agent.voice.understanding import Answer, Grammar, Lexicon, compile_lexicon

SILENCE: Final = "none"  # intent of a question that nobody answered
UNCLEAR: Final = "unclear"  # intent of words that were not understood; the transcript keeps them

T = TypeVar("T", bound=Section)
Text = Annotated[str, Meta(min_length=1, max_length=300)]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what may be answered. replies: what is said next, by intent.

    rest_s: how long it is not put again once it was answered, whatever new event would call for it.
    """

    name: str
    text: str
    again: str
    rest_s: float
    lexicon: Lexicon
    replies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to say. urgency 0 (a crash's) to 3; times in seconds."""

    key: str
    text: str
    language: Language
    urgency: int
    cooldown_s: float
    stale_after_s: float
    question: Question | None


@dataclass(frozen=True, slots=True)
class Phrases:
    """All languages, checked against each other."""

    languages: Mapping[Language, "_Phrasebook"]


def load_phrases(directory: Path) -> Phrases:
    """Read zh.toml and en.toml. Raises ConfigError naming key, file and, where there is one, line."""
    books: dict[Language, _Phrasebook] = {
        language: _load_book(directory / f"{language}.toml", language) for language in get_args(Language)
    }
    first = books["zh"]
    for book in books.values():
        _check_agreement(first, book)
        _check_agreement(book, first)
    return Phrases(books)


def choose_prompt(event: Event, phrases: Phrases, language: Language) -> Prompt | None:
    """Return what to say about an event, None where it is no matter for the driver. Pure."""
    book = phrases.languages[language]
    for key in keys_of(event):
        spec = book.prompts.get(key)
        if spec is None:
            continue
        return Prompt(
            key=key,
            text=_fill(spec.text, event, book.words, language),
            language=language,
            urgency=int(event.priority) if spec.urgency is None else spec.urgency,
            cooldown_s=spec.cooldown_s,
            stale_after_s=spec.stale_after_s,
            question=None if spec.question is None else book.questions[spec.question],
        )
    return None


class _PromptSpec(Section, frozen=True, kw_only=True):
    text: Text
    cooldown_s: Annotated[float, Meta(ge=0, le=86_400)]
    stale_after_s: Annotated[float, Meta(ge=1, le=3600)]
    urgency: Annotated[int, Meta(ge=0, le=3)] | None = None
    question: str | None = None


class _QuestionSpec(Section, frozen=True, kw_only=True):
    text: Text
    again: Text
    silence: Text
    unclear: Text
    rest_s: Annotated[float, Meta(ge=0, le=86_400)]
    answers: dict[str, dict[str, Any]]


class _File(Section, frozen=True, kw_only=True):
    language: Literal["zh", "en"]
    words: Words
    grammar: Grammar
    prompts: dict[str, dict[str, Any]]
    questions: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Phrasebook:
    path: Path
    words: Words
    prompts: Mapping[str, _PromptSpec]
    questions: Mapping[str, Question]


def _load_book(path: Path, language: Language) -> _Phrasebook:
    file = load_toml(path, _File)
    if file.language != language:
        raise ConfigError(f"language: is {file.language!r}, the name says {language!r}", path=path)
    prompts = {name: _entry(entry, _PromptSpec, path, "prompts", name) for name, entry in file.prompts.items()}
    questions = {name: _load_question(entry, file, path, name) for name, entry in file.questions.items()}
    for key, prompt in prompts.items():
        _check_prompt(key, prompt, questions, path)
    return _Phrasebook(path, file.words, prompts, questions)


def _load_question(entry: dict[str, Any], file: _File, path: Path, name: str) -> Question:
    spec = _entry(entry, _QuestionSpec, path, "questions", name)
    answers = {
        intent: _entry(answer, Answer, path, "questions", name, "answers", intent)
        for intent, answer in spec.answers.items()
    }
    where = ("questions", name)
    if not answers or {SILENCE, UNCLEAR} & answers.keys():
        raise _wrong(f"needs answers, named otherwise than {SILENCE!r} and {UNCLEAR!r}", path, *where)
    try:
        lexicon = compile_lexicon(answers, file.grammar)
    except ValueError as exc:
        raise _wrong(str(exc), path, *where) from exc
    replies = {intent: answer.reply for intent, answer in answers.items()}
    replies |= {SILENCE: spec.silence, UNCLEAR: spec.unclear}
    return Question(name, spec.text, spec.again, spec.rest_s, lexicon, replies)


def _entry(entry: dict[str, Any], kind: type[T], path: Path, *where: str) -> T:
    """Convert one table; msgspec cannot name the key of a dict, so each is converted alone."""
    try:
        return msgspec.convert(entry, kind, strict=True)
    except msgspec.ValidationError as exc:
        raise _wrong(str(exc), path, *where) from exc


def _check_prompt(key: str, prompt: _PromptSpec, questions: Mapping[str, Question], path: Path) -> None:
    if key not in KNOWN_KEYS:
        raise _wrong("no event has this key", path, "prompts", key)
    try:
        unknown = _placeholders(prompt.text) - KNOWN_KEYS[key]
    except ValueError as exc:
        raise _wrong(f"text: {exc}", path, "prompts", key) from exc
    if unknown:
        raise _wrong(f"text: the event offers no {{{min(unknown)}}}", path, "prompts", key)
    if prompt.question is not None and prompt.question not in questions:
        raise _wrong(f"question: there is no {prompt.question!r}", path, "prompts", key)


def _check_agreement(book: _Phrasebook, other: _Phrasebook) -> None:
    """Whatever book has, other must have too, and in the same manner."""
    for key, prompt in book.prompts.items():
        twin = other.prompts.get(key)
        if twin is None:
            raise _wrong(f"stands in {book.path.name} but not here", other.path, "prompts", key)
        if _placeholders(prompt.text) != _placeholders(twin.text):
            raise _wrong(f"text: other placeholders than in {book.path.name}", other.path, "prompts", key)
        for name in ("cooldown_s", "stale_after_s", "urgency", "question"):
            if getattr(prompt, name) != getattr(twin, name):
                raise _wrong(f"{name}: other than in {book.path.name}", other.path, "prompts", key)
    for name, question in book.questions.items():
        if name not in other.questions:
            raise _wrong(f"stands in {book.path.name} but not here", other.path, "questions", name)
        if question.rest_s != other.questions[name].rest_s:
            raise _wrong(f"rest_s: other than in {book.path.name}", other.path, "questions", name)
        if question.lexicon.intents != other.questions[name].lexicon.intents:
            raise _wrong(
                f"answers: other ones, or in another order, than in {book.path.name}", other.path, "questions", name
            )


def _placeholders(text: str) -> frozenset[str]:
    """Names in braces. Raises ValueError on anything but {name}."""
    names = set()
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if spec or conversion or not re.fullmatch(r"[a-z_]+", name):
            raise ValueError(f"a placeholder is a name in braces, not {{{name}}}")
        names.add(name)
    return frozenset(names)


def _fill(text: str, event: Event, words: Words, language: Language) -> str:
    filled = text.format_map({name: read_fact(fact, words) for name, fact in facts_of(event).items()})
    return filled[:1].upper() + filled[1:] if language == "en" else filled


def _wrong(reason: str, path: Path, *where: str) -> ConfigError:
    return ConfigError(f"{'.'.join(where)}: {reason}", path=path, line=_header_line(path, where))


def _header_line(path: Path, where: tuple[str, ...]) -> int | None:
    """Line of the table's header, as the shipped files spell them."""
    keys = r"\s*\.\s*".join(rf'"?{re.escape(key)}"?' for key in where)
    header = re.compile(rf"\s*\[\s*{keys}\s*\]")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if header.match(line):
            return number
    return None
