"""Scenes as data: what calls for a question, what keeps it back, what is asked. docs/scenes.md shows how."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import ConfigError
from agent.core.event_base import Purpose
from agent.core.ports import Language
from agent.core.toml import parse_text
from agent.voice.answer_loops import Call, find_loop
from agent.voice.conditions import Condition, fields_of, misfit
from agent.voice.facts import KNOWN_KEYS, KNOWN_KINDS
from agent.voice.questions import QUESTIONS_MAX, Both, QuestionBook, Table
from agent.voice.tables import placeholders, read_table, wrong

SCENES_MAX: Final = 100
_TRIGGERS_MAX: Final = 20
_STEPS_MAX: Final = 5

Moment = Literal["any", "standing", "trip_end"]
"""When a scene may speak: any time that the gate allows, in a standing car, or when a trip has just ended."""

Span = Annotated[float, Meta(gt=0, le=31_536_000)]


class Step(Section, frozen=True, kw_only=True):
    """An event of a kind, or kind.variant as prompts know them, whose fields are as `where` wants them."""

    event: str
    where: Annotated[dict[str, Condition], Meta(max_length=10)] = msgspec.field(default_factory=dict)


class Trigger(Section, frozen=True, kw_only=True):
    """What calls for a scene.

    count events within within_s, of one value of the field `per` where it is given; after: these came before, in their
    order; unless: none of these came before; missing: nor does this come in the within_s that follow. within_s holds
    for all of them. ask: the question; the scene's own where it is left out.
    """

    event: str
    where: Annotated[dict[str, Condition], Meta(max_length=10)] = msgspec.field(default_factory=dict)
    ask: str = ""
    count: Annotated[int, Meta(ge=1, le=20)] = 1
    per: str = ""
    within_s: Span | None = None
    after: Annotated[list[Step], Meta(max_length=_STEPS_MAX)] = msgspec.field(default_factory=list)
    unless: Annotated[list[Step], Meta(max_length=_STEPS_MAX)] = msgspec.field(default_factory=list)
    missing: Step | None = None

    def steps(self) -> list[tuple[str, Step]]:
        """All events that it speaks of, each with the key that it stands under; its own comes first, under ""."""
        own = Step(event=self.event, where=self.where)
        before = [("after", step) for step in self.after] + [("unless", step) for step in self.unless]
        return [("", own), *before, *([("missing", self.missing)] if self.missing else [])]


class Guard(Section, frozen=True, kw_only=True):
    """What keeps a scene back.

    consent: purposes without which nobody would be told. cooldown_s: since it was put last; once: never again after
    an answer; per: a field of the event, for each of whose values both hold by themselves. moment: see Moment.
    languages: of the driver. alone: not where somebody else is known to be in the car. needs_driver: it waits for
    somebody to be there. urgency: of the speech; of its event where left out; from 2 on the scene counts against
    voice.scenes_per_hour. stale_after_s: how long it waits for its moment. may_silence: whether "stop asking me about
    this" is kept; where not, it ends this talk only.
    """

    consent: list[Purpose] = msgspec.field(default_factory=list)
    cooldown_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0
    once: bool = False
    per: str = ""
    moment: Moment = "any"
    languages: Annotated[list[Language], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["zh", "en"])
    alone: bool = False
    needs_driver: bool = False
    urgency: Annotated[int, Meta(ge=0, le=3)] | None = None
    stale_after_s: Annotated[float, Meta(ge=1, le=604_800)] = 300.0
    may_silence: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """One file. ask: the name of its question, "" where it only says something; timeout_s: how long it listens."""

    name: str
    path: Path
    triggers: Sequence[Trigger]
    guard: Guard
    say: Both | None
    ask: str
    timeout_s: float | None

    def question(self, trigger: Trigger) -> str:
        """The question that a trigger leads to."""
        return trigger.ask or self.ask


class _File(Section, frozen=True, kw_only=True):
    trigger: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=_TRIGGERS_MAX)]
    guard: dict[str, Any] = msgspec.field(default_factory=dict)
    say: dict[str, Any] = msgspec.field(default_factory=dict)
    ask: str = ""
    timeout_s: Annotated[float, Meta(ge=1, le=60)] | None = None
    questions: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


def load_scenes(paths: Sequence[Path]) -> tuple[Sequence[Scene], QuestionBook]:
    """Read scenes, checked together with their questions. Raises ConfigError naming key, file and line."""
    if len(paths) > SCENES_MAX:
        raise ConfigError(f"more than {SCENES_MAX} scenes", path=paths[SCENES_MAX])
    scenes: list[Scene] = []
    tables: dict[str, Table] = {}
    for path in paths:
        scene, questions = _read(path)
        for name, entry in questions.items():
            if name in tables:
                raise wrong(f"stands in {tables[name].path.name} already", path, "questions", name)
            tables[name] = Table(entry, path)
            if len(tables) > QUESTIONS_MAX:
                raise wrong(f"more than {QUESTIONS_MAX} questions", path, "questions", name)
        scenes.append(scene)
    book = QuestionBook(tables)
    _check_asked(scenes, book)
    return tuple(scenes), book


def find_scenes(directory: Path) -> list[Path]:
    """The scenes of a directory, in the order of their names."""
    return sorted(directory.glob("*.toml"))


def fields_under(key: str) -> dict[str, Any]:
    """The types of an event's fields by name; key: its kind, or kind.variant."""
    return fields_of(KNOWN_KINDS[key.partition(".")[0]])


def _read(path: Path) -> tuple[Scene, Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", path=path) from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"is not UTF-8: byte {exc.start}", path=path, line=line) from exc
    file = read_table(parse_text(text, path), _File, path)
    guard = read_table(file.guard, Guard, path, "guard")
    triggers = []
    for place, entry in enumerate(file.trigger):
        trigger = _read_trigger(entry, path, place)
        _check_trigger(trigger, path, place)
        triggers.append(trigger)
    say = read_table(file.say, Both, path, "say") if file.say else None
    if lacking := [trigger.event for trigger in triggers if guard.per and guard.per not in fields_under(trigger.event)]:
        raise wrong(f"per: {lacking[0]} has no field {guard.per!r}", path, "guard", key="per")
    scene = Scene(path.stem, path, tuple(triggers), guard, say, file.ask, file.timeout_s)
    _check_say(scene)
    return scene, file.questions


def _read_trigger(entry: dict[str, Any], path: Path, place: int) -> Trigger:
    try:
        return msgspec.convert(entry, Trigger, strict=True)
    except msgspec.ValidationError as exc:
        reason, _, where = str(exc).partition(" - at `$.")
        key = where.partition("`")[0].partition(".")[0].partition("[")[0]
        raise _in_trigger(f"{key}: {reason}" if key else reason, path, place, key) from exc


def _check_trigger(trigger: Trigger, path: Path, place: int) -> None:
    for key, step in trigger.steps():
        kind = KNOWN_KINDS.get(step.event.partition(".")[0])
        if kind is None or (step.event not in KNOWN_KINDS and step.event not in KNOWN_KEYS):
            near = ", ".join(sorted(known for known in {*KNOWN_KINDS, *KNOWN_KEYS} if known[:4] == step.event[:4]))
            reason = f"there is no {step.event!r}; near it: {near or 'nothing'}"
            raise _in_trigger(f"{key or 'event'}: {reason}", path, place, key or "event")
        for field, condition in step.where.items():
            if reason := misfit(kind, field, condition):
                raise _in_trigger(f"{key or 'where'}: {reason}", path, place, key or "where")
    if trigger.per and trigger.per not in fields_under(trigger.event):
        raise _in_trigger(f"per: {trigger.event} has no field {trigger.per!r}", path, place, "per")
    pattern = trigger.count > 1 or trigger.after or trigger.unless or trigger.missing
    if bool(pattern) != (trigger.within_s is not None):
        reason = "is needed by count, after, unless and missing" if pattern else "has nothing to hold for"
        raise _in_trigger(f"within_s: {reason}", path, place, "within_s")


def _check_asked(scenes: Sequence[Scene], book: QuestionBook) -> None:
    triggers = [(scene, place, trigger) for scene in scenes for place, trigger in enumerate(scene.triggers)]
    for scene, place, trigger in triggers:
        asked = scene.question(trigger)
        if asked and asked not in book.follow_ups:
            raise _in_trigger(f"ask: there is no question {asked!r}", scene.path, place, "ask")
        if not asked and scene.say is None:
            raise _in_trigger("ask: the scene says nothing and asks nothing", scene.path, place, "ask")
    calls = [Call(trigger.event, trigger.where, scene.question(trigger)) for scene, _, trigger in triggers]
    if found := find_loop(calls, book.follow_ups):
        scene, place, _ = triggers[found[0]]
        raise _in_trigger(found[1], scene.path, place, "where")


def _check_say(scene: Scene) -> None:
    """What is said may name what all of the events offer."""
    if scene.say is None:
        return
    offered = frozenset.intersection(*(KNOWN_KEYS.get(trigger.event, frozenset()) for trigger in scene.triggers))
    for language in get_args(Language):
        try:
            unknown = placeholders(scene.say.of(language)) - offered
        except ValueError as exc:
            raise wrong(f"{language}: {exc}", scene.path, "say", key=language) from exc
        if unknown:
            raise wrong(f"{language}: not every event offers {{{min(unknown)}}}", scene.path, "say", key=language)
    if placeholders(scene.say.zh) != placeholders(scene.say.en):
        raise wrong("en: other placeholders than zh", scene.path, "say", key="en")


def _in_trigger(reason: str, path: Path, place: int, key: str) -> ConfigError:
    """The error of the trigger of that place, with its line, or that of its header."""
    lines = path.read_text(encoding="utf-8").splitlines()
    headers = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*trigger\s*\]\]", line)]
    reason = f"trigger {place + 1}: {reason}"
    if place >= len(headers):
        return wrong(reason, path, key="trigger")  # they stand in one line
    start = headers[place]
    end = next((number for number in range(start, len(lines)) if lines[number].startswith("[")), len(lines))
    spelt = re.compile(rf"\s*{re.escape(key)}\s*[.=]")
    found = (number for number in range(start, end) if key and spelt.match(lines[number]))
    return ConfigError(reason, path=path, line=next(found, start - 1) + 1)
