"""Phrases as data: firmware_config/prompts/{zh,en}.toml, checked at load, chosen by a pure function."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import ConfigError
from agent.core.events import Event
from agent.core.ports import Language
from agent.core.toml import load_toml
from agent.voice.facts import KNOWN_KEYS, facts_of, keys_of
from agent.voice.questions import Question, check_questions, load_questions
from agent.voice.reading import Words, read_fact
from agent.voice.tables import read_table, wrong
from agent.voice.understanding import Grammar, Text


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to say. urgency 0 (a crash's) to 3; times in seconds. needs_driver: not into an empty car."""

    key: str
    text: str
    language: Language
    urgency: int
    cooldown_s: float
    stale_after_s: float
    question: Question | None
    needs_driver: bool = False


@dataclass(frozen=True, slots=True)
class Phrases:
    """All languages, checked against each other."""

    languages: Mapping[Language, "_Phrasebook"]


def load_phrases(directory: Path, names: Mapping[Language, Mapping[str, str]] | None = None) -> Phrases:
    """Read zh.toml and en.toml; names: words for what events call by an id.

    Raises ConfigError naming key, file and, where there is one, line.
    """
    books: dict[Language, _Phrasebook] = {
        language: _load_book(directory / f"{language}.toml", language, (names or {}).get(language, {}))
        for language in get_args(Language)
    }
    first = books["zh"]
    for book in books.values():
        _check_agreement(first, book)
        _check_agreement(book, first)
    return Phrases(books)


def choose_prompt(
    event: Event, phrases: Phrases, language: Language, *, sent: bool = True, empty: bool = False
) -> Prompt | None:
    """Return what to say about an event, None where it is no matter for the driver. Pure.

    sent: whether the event leaves the car, so that help is promised only where somebody is told; empty: whether nobody
    is known to have been in it.
    """
    book = phrases.languages[language]
    for key in keys_of(event, empty=empty):
        spec = book.prompts.get(key)
        if spec is None:
            continue
        return Prompt(
            key=key,
            text=_fill(spec.text if sent else spec.unsent or spec.text, event, book, language),
            language=language,
            urgency=int(event.priority) if spec.urgency is None else spec.urgency,
            cooldown_s=spec.cooldown_s,
            stale_after_s=spec.stale_after_s,
            question=None if spec.question is None else book.questions[spec.question],
            needs_driver=spec.needs_driver,
        )
    return None


class _PromptSpec(Section, frozen=True, kw_only=True):
    text: Text
    unsent: str = ""
    cooldown_s: Annotated[float, Meta(ge=0, le=86_400)]
    stale_after_s: Annotated[float, Meta(ge=1, le=86_400)]
    urgency: Annotated[int, Meta(ge=0, le=3)] | None = None
    question: str | None = None
    needs_driver: bool = False


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
    names: Mapping[str, str]


def _load_book(path: Path, language: Language, names: Mapping[str, str]) -> _Phrasebook:
    file = load_toml(path, _File)
    if file.language != language:
        raise ConfigError(f"language: is {file.language!r}, the name says {language!r}", path=path)
    prompts = {name: read_table(entry, _PromptSpec, path, "prompts", name) for name, entry in file.prompts.items()}
    questions = load_questions(file.questions, file.grammar, path)
    for key, prompt in prompts.items():
        _check_prompt(key, prompt, questions, path)
    return _Phrasebook(path, file.words, prompts, questions, names)


def _check_prompt(key: str, prompt: _PromptSpec, questions: Mapping[str, Question], path: Path) -> None:
    if key not in KNOWN_KEYS:
        raise wrong("no event has this key", path, "prompts", key)
    for name, text in (("text", prompt.text), ("unsent", prompt.unsent)):
        try:
            unknown = _placeholders(text) - KNOWN_KEYS[key]
        except ValueError as exc:
            raise wrong(f"{name}: {exc}", path, "prompts", key) from exc
        if unknown:
            raise wrong(f"{name}: the event offers no {{{min(unknown)}}}", path, "prompts", key)
    if prompt.question is not None and prompt.question not in questions:
        raise wrong(f"question: there is no {prompt.question!r}", path, "prompts", key)


def _check_agreement(book: _Phrasebook, other: _Phrasebook) -> None:
    """Whatever book has, other must have too, and in the same manner."""
    for key, prompt in book.prompts.items():
        twin = other.prompts.get(key)
        if twin is None:
            raise wrong(f"stands in {book.path.name} but not here", other.path, "prompts", key)
        if _placeholders(prompt.text) != _placeholders(twin.text):
            raise wrong(f"text: other placeholders than in {book.path.name}", other.path, "prompts", key)
        if bool(prompt.unsent) != bool(twin.unsent):
            raise wrong(f"unsent: only one of this and {book.path.name} has it", other.path, "prompts", key)
        for name in ("cooldown_s", "stale_after_s", "urgency", "question", "needs_driver"):
            if getattr(prompt, name) != getattr(twin, name):
                raise wrong(f"{name}: other than in {book.path.name}", other.path, "prompts", key)
    check_questions(book.questions, other.questions, book.path, other.path)


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


def _fill(text: str, event: Event, book: _Phrasebook, language: Language) -> str:
    filled = text.format_map({name: read_fact(fact, book.words, book.names) for name, fact in facts_of(event).items()})
    return filled[:1].upper() + filled[1:] if language == "en" else filled
