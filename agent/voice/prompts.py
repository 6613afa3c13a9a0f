"""Phrases as data: firmware_config/prompts/{zh,en}.toml and scenes, checked at load, chosen by pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import ConfigError
from agent.core.events import Event
from agent.core.paths import SCENES
from agent.core.ports import Language
from agent.core.toml import load_toml
from agent.voice.facts import KNOWN_KEYS, facts_of, keys_of
from agent.voice.questions import Question, QuestionBook, StopAsking
from agent.voice.reading import Words, read_fact
from agent.voice.scene_file import Moment, Scene, fields_under, find_scenes, load_scenes
from agent.voice.scene_watch import Cue
from agent.voice.tables import placeholders, read_table, wrong
from agent.voice.understanding import Grammar, Text

_OF_SCENE: Final = "scene."  # no event has that key
_PER: Final = ":"  # nor has a key this


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to say, "" where only a question is put. urgency 0 (a crash's) to 3; times in seconds.

    key: what it is about; one of a key waits, and what was said cools by it. A phrase `per` wheel has the wheel in it.
    needs_driver: not into an empty car.
    moment: when it may be said; late: where it goes when it has waited too long. cue: what called for its scene.
    """

    key: str
    text: str
    language: Language
    urgency: int
    cooldown_s: float
    stale_after_s: float
    question: Question | None = None
    needs_driver: bool = False
    moment: Moment = "any"
    late: Literal["drop", "trip_end"] = "drop"
    cue: Cue | None = None

    @property
    def scene(self) -> Scene | None:
        """Whose question it is."""
        return None if self.cue is None else self.cue.scene

    @property
    def is_scenes_own(self) -> bool:
        """Whether without its scene there is nothing to say."""
        return self.key.startswith(_OF_SCENE)


@dataclass(frozen=True, slots=True)
class Phrases:
    """All languages, checked against each other, and the scenes."""

    languages: Mapping[Language, "_Phrasebook"]
    scenes: Sequence[Scene] = ()


def load_phrases(
    directory: Path,
    names: Mapping[Language, Mapping[str, str]] | None = None,
    *,
    scenes: Sequence[Path] | None = None,
) -> Phrases:
    """Read zh.toml and en.toml, and scenes: the shipped ones where none are given.

    names: words for what events call by an id. Raises ConfigError naming key, file and, where there is one, line.
    """
    played, questions = load_scenes(find_scenes(SCENES) if scenes is None else scenes)
    books: dict[Language, _Phrasebook] = {
        language: _load_book(directory / f"{language}.toml", language, (names or {}).get(language, {}), questions)
        for language in get_args(Language)
    }
    first = books["zh"]
    for book in books.values():
        _check_agreement(first, book)
        _check_agreement(book, first)
    return Phrases(books, played)


def load_sound_phrases(
    directory: Path,
    names: Mapping[Language, Mapping[str, str]],
    *,
    scenes: Sequence[Path],
    refuse: Callable[[ConfigError], None],
) -> Phrases:
    """The same, without the scenes that are not sound: a bad scene must not keep a crash from being spoken of.

    refuse hears of each. Raises ConfigError where the phrases themselves are not sound.
    """
    sound = list(scenes)
    while True:
        try:
            return load_phrases(directory, names, scenes=sound)
        except ConfigError as exc:
            if exc.path not in sound:
                raise
            refuse(exc)
            sound.remove(exc.path)


def choose_prompt(
    event: Event, phrases: Phrases, language: Language, *, sent: bool = True, empty: bool = False
) -> Prompt | None:
    """Return what to say about an event, None where it is no matter for the driver. Pure.

    sent: whether the event leaves the car, so that help is promised only where somebody is told; empty: whether nobody
    is known to have been in it.
    """
    book = phrases.languages[language]
    key = next((key for key in keys_of(event, empty=empty) if key in book.prompts), None)
    return None if key is None else _word(key, event, book, language, sent=sent)


def scene_prompts(cue: Cue | None, base: Prompt | None, phrases: Phrases, language: Language) -> list[Prompt]:
    """What is said and asked where a scene is called for; base: what the event says by itself, if anything. Pure.

    A scene that may speak at any time follows what its event says, or replaces it by its own words. One that waits for
    its moment leaves the event's word as it is.
    """
    told = [] if base is None else [base]
    if cue is None:
        return told
    book, scene, guard = phrases.languages[language], cue.scene, cue.scene.guard
    question = book.questions[asked] if (asked := scene.question(cue.trigger)) else None
    own = "" if scene.say is None else _fill(scene.say.of(language), cue.event, book, language)
    if base is not None and guard.moment == "any":
        urgency = base.urgency if guard.urgency is None else guard.urgency
        needs_driver = base.needs_driver or guard.needs_driver
        text = own or base.text
        return [replace(base, text=text, urgency=urgency, needs_driver=needs_driver, question=question, cue=cue)]
    put = Prompt(
        key=f"{_OF_SCENE}{cue.id}",
        text=own,
        language=language,
        urgency=int(cue.event.priority) if guard.urgency is None else guard.urgency,
        cooldown_s=0.0,
        stale_after_s=guard.stale_after_s,
        question=question,
        needs_driver=guard.needs_driver,
        moment=guard.moment,
        cue=cue,
    )
    return [*told, put]


def scene_questions(name: str, phrases: Phrases, language: Language) -> list[str]:
    """What a scene asks, in words; nothing of one that is no more, or only tells something. Pure."""
    book = phrases.languages[language]
    scenes = [scene for scene in phrases.scenes if scene.name == name]
    asked = dict.fromkeys(scene.question(trigger) for scene in scenes for trigger in scene.triggers)
    return [book.questions[question].text for question in asked if question]


def renew_prompt(
    prompt: Prompt, event: Event, phrases: Phrases, language: Language, *, sent: bool, with_scene: bool
) -> Prompt | None:
    """The prompt as it is worded now that its turn has come; None where without its scene nothing is left. Pure.

    It waits for the same moment as before, and as long.
    """
    book = phrases.languages[language]
    key = prompt.key.partition(_PER)[0]
    base = None if prompt.is_scenes_own else _word(key, event, book, language, sent=sent)
    found = scene_prompts(prompt.cue if with_scene else None, base, phrases, language)
    return replace(found[-1], moment=prompt.moment, stale_after_s=prompt.stale_after_s) if found else None


class _PromptSpec(Section, frozen=True, kw_only=True):
    text: Text
    unsent: str = ""
    cooldown_s: Annotated[float, Meta(ge=0, le=86_400)]
    stale_after_s: Annotated[float, Meta(ge=1, le=86_400)]
    urgency: Annotated[int, Meta(ge=0, le=3)] | None = None
    needs_driver: bool = False
    late: Literal["drop", "trip_end"] = "drop"
    per: str = ""  # a field of the event: of each of its values it is another word


class _File(Section, frozen=True, kw_only=True):
    language: Literal["zh", "en"]
    words: Words
    grammar: Grammar
    stop_asking: StopAsking
    names: dict[str, Text]
    prompts: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Phrasebook:
    path: Path
    words: Words
    prompts: Mapping[str, _PromptSpec]
    questions: Mapping[str, Question]
    names: Mapping[str, str]


def _load_book(path: Path, language: Language, names: Mapping[str, str], questions: QuestionBook) -> _Phrasebook:
    file = load_toml(path, _File)
    if file.language != language:
        raise ConfigError(f"language: is {file.language!r}, the name says {language!r}", path=path)
    prompts = {name: read_table(entry, _PromptSpec, path, "prompts", name) for name, entry in file.prompts.items()}
    for key, prompt in prompts.items():
        _check_prompt(key, prompt, path)
    asked = questions.of(language, file.grammar, file.stop_asking)
    return _Phrasebook(path, file.words, prompts, asked, {**names, **file.names})


def _check_prompt(key: str, prompt: _PromptSpec, path: Path) -> None:
    if key not in KNOWN_KEYS:
        raise wrong("no event has this key", path, "prompts", key)
    if prompt.per and prompt.per not in fields_under(key):
        raise wrong(f"per: the event has no field {prompt.per!r}", path, "prompts", key, key="per")
    for name, text in (("text", prompt.text), ("unsent", prompt.unsent)):
        try:
            unknown = placeholders(text) - KNOWN_KEYS[key]
        except ValueError as exc:
            raise wrong(f"{name}: {exc}", path, "prompts", key) from exc
        if unknown:
            raise wrong(f"{name}: the event offers no {{{min(unknown)}}}", path, "prompts", key)


def _check_agreement(book: _Phrasebook, other: _Phrasebook) -> None:
    """Whatever book has, other must have too, and in the same manner."""
    for key, prompt in book.prompts.items():
        twin = other.prompts.get(key)
        if twin is None:
            raise wrong(f"stands in {book.path.name} but not here", other.path, "prompts", key)
        if placeholders(prompt.text) != placeholders(twin.text):
            raise wrong(f"text: other placeholders than in {book.path.name}", other.path, "prompts", key)
        if bool(prompt.unsent) != bool(twin.unsent):
            raise wrong(f"unsent: only one of this and {book.path.name} has it", other.path, "prompts", key)
        for name in ("cooldown_s", "stale_after_s", "urgency", "needs_driver", "late", "per"):
            if getattr(prompt, name) != getattr(twin, name):
                raise wrong(f"{name}: other than in {book.path.name}", other.path, "prompts", key)
    if missing := sorted(book.names.keys() - other.names.keys()):
        raise wrong(f"{missing[0]}: stands in {book.path.name} but not here", other.path, "names")


def _word(key: str, event: Event, book: _Phrasebook, language: Language, *, sent: bool) -> Prompt:
    """What the event says by itself, under a key that the book has."""
    spec = book.prompts[key]
    return Prompt(
        key=f"{key}{_PER}{getattr(event, spec.per)}" if spec.per else key,
        text=_fill(spec.text if sent else spec.unsent or spec.text, event, book, language),
        language=language,
        urgency=int(event.priority) if spec.urgency is None else spec.urgency,
        cooldown_s=spec.cooldown_s,
        stale_after_s=spec.stale_after_s,
        needs_driver=spec.needs_driver,
        late=spec.late,
    )


def _fill(text: str, event: Event, book: _Phrasebook, language: Language) -> str:
    filled = text.format_map({name: read_fact(fact, book.words, book.names) for name, fact in facts_of(event).items()})
    return filled[:1].upper() + filled[1:] if language == "en" else filled
