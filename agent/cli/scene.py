"""`outrider scene check FILE...` and `outrider scene play FILE`: try a scene on a laptop."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from agent.cli.scene_sample import sample
from agent.core.config import Voice
from agent.core.errors import InputError
from agent.core.event_base import Event
from agent.core.paths import PROMPTS, SCENES
from agent.core.ports import Heard, Language
from agent.diagnosis.knowledge import load_knowledge
from agent.voice.dialog import Dialog, Turn
from agent.voice.director import Director
from agent.voice.facts import keys_of
from agent.voice.prompts import Phrases, choose_prompt, load_phrases, scene_prompts
from agent.voice.questions import STOP_ASKING, Question
from agent.voice.scene_file import Guard, Scene, Step, Trigger, find_scenes
from agent.voice.scene_memory import SceneMemory
from agent.voice.scene_watch import Cue, SceneWatch

_SECOND_NS: Final = 10**9

Answers = Callable[[], str | None]


def add_scene(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether scene files are good, and what is in them")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.set_defaults(run=lambda args: check_scenes(args.files))
    play = actions.add_parser("play", help="pull a scene's trigger and talk to it")
    play.add_argument("file", type=Path)
    play.add_argument("--language", choices=("zh", "en"), default="zh")
    play.add_argument("--trigger", type=int, default=1, metavar="N", help="which of its triggers; default 1")
    text = "an answer in place of typing it; may be given again; '' is silence"
    play.add_argument("--answer", action="append", metavar="TEXT", help=text)
    play.add_argument("--unsent", action="store_true", help="as if the driver's consent let nobody be told")

    def run(args: argparse.Namespace) -> int:
        answers = _typed if args.answer is None else _given(args.answer)
        return play_scene(args.file, args.language, place=args.trigger, answers=answers, sent=not args.unsent)

    play.set_defaults(run=run)


def check_scenes(files: Sequence[Path]) -> int:
    """Read the files together with the shipped scenes. Raises ConfigError naming key, file and line."""
    phrases = _load(files)
    for path in files:
        scene = _scene_of(phrases, path)
        print(f"{path}: good")
        for place, trigger in enumerate(scene.triggers, 1):
            print(f"  trigger {place}: {_describe(trigger)} -> {scene.question(trigger) or 'only says'}")
            for doubt in _doubts(trigger):
                print(f"    doubtful: {doubt}")
        if kept := _describe_guard(scene.guard):
            print(f"  kept back: {kept}")
        for name in dict.fromkeys(filter(None, map(scene.question, scene.triggers))):
            for language, book in phrases.languages.items():
                question = book.questions[name]
                print(f"  {name} ({language}): {question.text} [{', '.join(question.lexicon.intents)}]")
                for intent, text in question.confirms.items():
                    print(f"    {intent} is asked back: {text}")
    return 0


def play_scene(path: Path, language: Language, *, place: int, answers: Answers, sent: bool = True) -> int:
    """Print the event that calls for the scene, what is said, asked and answered, and the outcome event."""
    phrases = _load([path])
    scene = _scene_of(phrases, path)
    if not 1 <= place <= len(scene.triggers):
        raise InputError(f"{path}: has {len(scene.triggers)} triggers, not {place}")
    cue, empty = _pull(scene, scene.triggers[place - 1])
    _print_event("event", cue.event)
    if kept := _describe_guard(scene.guard):
        print(f"waits    {kept}")
    base = choose_prompt(cue.event, phrases, language, sent=sent, empty=empty)
    for prompt in scene_prompts(cue, base, phrases, language):
        if prompt.text:
            print(f"says     {prompt.text}")
        if prompt.question is not None:
            _talk(prompt.question, cue, language, answers, sent=sent)
    return 0


def _talk(question: Question | None, cue: Cue, language: Language, answers: Answers, *, sent: bool) -> None:
    t_ns = cue.event.t_ns
    while question is not None:
        kept = cue.scene.guard.may_silence
        dialog = Dialog(question, about=cue.event, language=language, sent=sent, may_silence=kept)
        turn = Turn(dialog.text, None)
        while turn.feedback is None:
            print(f"asks     {turn.text}")
            said = answers()
            print(f"hears    {said or '(silence)'}")
            t_ns += _SECOND_NS
            turn = dialog.hear(Heard(said, 1.0) if said else None, asked_ns=t_ns, t_ns=t_ns + _SECOND_NS)
        print(f"says     {turn.text}")
        _print_event("outcome", turn.feedback)
        if turn.stop and turn.feedback.intent != STOP_ASKING:
            _print_event("outcome", msgspec.structs.replace(turn.feedback, intent=STOP_ASKING))
        question = turn.follow_up


def _pull(scene: Scene, trigger: Trigger) -> tuple[Cue, bool]:
    """Let happen what the trigger wants, in an empty car or not.

    Raises InputError where that does not call for the scene.
    """
    watch = SceneWatch([scene], SceneMemory())
    times = count(_SECOND_NS, _SECOND_NS)
    steps: list[Step | Trigger] = [*trigger.after, *[trigger] * trigger.count]
    cues: list[Cue] = []
    empty = False
    for step in steps:
        event, empty = sample(step, next(times))
        cues = watch.take(event, keys_of(event, empty=empty))
    if trigger.missing:
        cues = watch.due(next(times) + round((trigger.within_s or 0) * _SECOND_NS))
    cue = next((cue for cue in cues if cue.trigger == trigger), None)
    if cue is None:
        other = f"; trigger {scene.triggers.index(cues[0].trigger) + 1} goes before it" if cues else ""
        raise InputError(f"{scene.path}: the event that was made up does not pull this trigger{other}")
    return cue, empty


def _load(files: Sequence[Path]) -> Phrases:
    """The files beside the shipped scenes; one of the same name takes the shipped one's place."""
    names = {path.name for path in files}
    shipped = [path for path in find_scenes(SCENES) if path.name not in names]
    knowledge = load_knowledge()
    words = {"zh": knowledge.names("zh"), "en": knowledge.names("en")}
    phrases = load_phrases(PROMPTS, words, scenes=[*shipped, *files])  # type: ignore[arg-type]
    Director(Voice(), phrases, sent=())  # as the agent would
    return phrases


def _scene_of(phrases: Phrases, path: Path) -> Scene:
    return next(scene for scene in phrases.scenes if scene.path == path)


def _describe(trigger: Trigger) -> str:
    parts = [trigger.event]
    parts += [f"{name} {_condition(value)}" for name, value in trigger.where.items()]
    if trigger.count > 1:
        parts.append(f"{trigger.count} times" + (f" at one {trigger.per}" if trigger.per else ""))
    parts += [f"after {step.event}" for step in trigger.after]
    parts += [f"unless {step.event}" for step in trigger.unless]
    parts += [f"and no {trigger.missing.event}"] if trigger.missing else []
    return ", ".join(parts) + ("" if trigger.within_s is None else f", within {round(trigger.within_s)} s")


def _condition(value: object) -> str:
    if isinstance(value, msgspec.Struct):
        known = msgspec.structs.asdict(value)
        return " ".join(f"{name} {bound}" for name, bound in known.items() if bound is not None)
    return f"is {value}"


def _describe_guard(guard: Guard) -> str:
    usual = Guard()
    changed = ((name, getattr(guard, name)) for name in guard.__struct_fields__)
    return ", ".join(f"{name} {value}" for name, value in changed if value != getattr(usual, name))


def _doubts(trigger: Trigger) -> Iterator[str]:
    """Steps that may never happen, since what they want of the fields is at odds with the variant they name."""
    for _, step in trigger.steps():
        try:
            sample(step, _SECOND_NS)
        except InputError as exc:
            yield str(exc)


def _print_event(title: str, event: Event) -> None:
    print(f"{title:<8} {msgspec.json.encode(event).decode()}")


def _typed() -> str | None:
    """A line of standard input; its end is silence."""
    sys.stdout.write("answer > ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() or None


def _given(texts: Sequence[str]) -> Answers:
    rest: Iterator[str] = iter(texts)
    return lambda: next(rest, None) or None
