"""Questions as data: what is asked, what may be answered, what is said and asked next. Pure but for the file's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from agent.core.config import Section
from agent.voice.tables import read_table, wrong
from agent.voice.understanding import Answer, Grammar, Lexicon, Text, compile_lexicon

SILENCE: Final = "none"  # intent of a question that nobody answered
UNCLEAR: Final = "unclear"  # intent of words that were not understood; the transcript keeps them
FOLLOW_UPS_MAX: Final = 2  # questions after the first; nobody wants to be interrogated


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what may be answered. replies: what is said next, by intent; unsent: where nothing is passed on.

    rest_s: how long it is not put again once it was answered, whatever new event would call for it. follow_ups: the
    question that is put after an answer, by intent.
    """

    name: str
    text: str
    again: str
    rest_s: float
    lexicon: Lexicon
    replies: Mapping[str, str]
    unsent: Mapping[str, str]
    follow_ups: Mapping[str, "Question"]

    def reply(self, intent: str, *, sent: bool) -> str:
        """What is said next; sent: whether the answer leaves the car."""
        return self.replies[intent] if sent else self.unsent.get(intent, self.replies[intent])


def load_questions(entries: Mapping[str, dict[str, Any]], grammar: Grammar, path: Path) -> dict[str, Question]:
    """Every question of one language. Raises ConfigError naming the table."""
    return _Loader(entries, grammar, path).all()


def check_questions(ours: Mapping[str, Question], theirs: Mapping[str, Question], path: Path, other: Path) -> None:
    """Whatever the file at path asks, the other must ask too, and in the same manner. Raises ConfigError."""
    for name, question in ours.items():
        twin = theirs.get(name)
        if twin is None:
            raise wrong(f"stands in {path.name} but not here", other, "questions", name)
        if question.rest_s != twin.rest_s:
            raise wrong(f"rest_s: other than in {path.name}", other, "questions", name)
        if question.lexicon.intents != twin.lexicon.intents:
            raise wrong(f"answers: other ones, or in another order, than in {path.name}", other, "questions", name)
        if question.lexicon.opposites != twin.lexicon.opposites:
            raise wrong(f"opposite: other ones than in {path.name}", other, "questions", name)
        if question.unsent.keys() != twin.unsent.keys():
            raise wrong(f"unsent: for other answers than in {path.name}", other, "questions", name)
        if _names(question.follow_ups) != _names(twin.follow_ups):
            raise wrong(f"follow_up: other ones than in {path.name}", other, "questions", name)


class _QuestionSpec(Section, frozen=True, kw_only=True):
    """like: a question whose answers these are, in the same words; only what is said differs."""

    text: Text
    again: Text
    silence: Text
    unclear: Text
    unsent_silence: str = ""
    unsent_unclear: str = ""
    rest_s: Annotated[float, Meta(ge=0, le=86_400)]
    like: str = ""
    answers: dict[str, dict[str, Any]]


class _Loader:
    def __init__(self, entries: Mapping[str, dict[str, Any]], grammar: Grammar, path: Path) -> None:
        self._grammar = grammar
        self._path = path
        self._specs = {
            name: read_table(entry, _QuestionSpec, path, "questions", name) for name, entry in entries.items()
        }
        self._answers = {
            name: {
                intent: read_table(answer, Answer, path, "questions", name, "answers", intent)
                for intent, answer in spec.answers.items()
            }
            for name, spec in self._specs.items()
        }
        self._loaded: dict[str, Question] = {}

    def all(self) -> dict[str, Question]:
        for name in self._specs:
            self._load(name, ())
        return {name: self._loaded[name] for name in self._specs}

    def _load(self, name: str, before: tuple[str, ...]) -> Question:
        """One question, those that follow it first. before: the questions that lead to it."""
        if len(before) > FOLLOW_UPS_MAX:
            raise wrong(f"follow_up: more than {FOLLOW_UPS_MAX} questions in a row", self._path, "questions", before[0])
        spec, answers = self._specs[name], self._answers[name]
        follow_ups = {}
        for intent, answer in answers.items():
            if answer.follow_up:
                if answer.follow_up not in self._specs:
                    where = ("questions", name, "answers", intent)
                    raise wrong(f"follow_up: there is no {answer.follow_up!r}", self._path, *where)
                follow_ups[intent] = self._load(answer.follow_up, (*before, name))
        replies = {intent: answer.reply for intent, answer in answers.items()}
        unsent = {intent: answer.unsent for intent, answer in answers.items()}
        unsent |= {SILENCE: spec.unsent_silence, UNCLEAR: spec.unsent_unclear}
        self._loaded[name] = Question(
            name=name,
            text=spec.text,
            again=spec.again,
            rest_s=spec.rest_s,
            lexicon=self._lexicon(name),
            replies=replies | {SILENCE: spec.silence, UNCLEAR: spec.unclear},
            unsent={intent: text for intent, text in unsent.items() if text},
            follow_ups=follow_ups,
        )
        return self._loaded[name]

    def _lexicon(self, name: str) -> Lexicon:
        where = ("questions", name)
        answers, like = self._answers[name], self._specs[name].like
        if not answers or {SILENCE, UNCLEAR} & answers.keys():
            raise wrong(f"needs answers, named otherwise than {SILENCE!r} and {UNCLEAR!r}", self._path, *where)
        for intent, answer in answers.items():
            if bool(like) == bool(answer.words):
                reason = f"words: are those of {like!r}" if like else "words: there are none"
                raise wrong(reason, self._path, *where, "answers", intent)
        if like:
            if like not in self._specs or self._specs[like].like or list(self._answers[like]) != list(answers):
                raise wrong(f"like: no question {like!r} with the same answers in the same order", self._path, *where)
            answers = self._answers[like]
        try:
            return compile_lexicon(answers, self._grammar)
        except ValueError as exc:
            raise wrong(str(exc), self._path, *where) from exc


def _names(follow_ups: Mapping[str, Question]) -> dict[str, str]:
    return {intent: question.name for intent, question in follow_ups.items()}
