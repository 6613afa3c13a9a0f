"""Questions as data: what is asked, what may be answered, what comes next. Pure but for the files' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import Meta

from agent.core.config import Section
from agent.core.ports import Language
from agent.voice.tables import read_table, wrong
from agent.voice.understanding import Answer, Grammar, Lexicon, Phrase, Text, compile_lexicon

SILENCE: Final = "none"  # intent of a question that nobody answered
UNCLEAR: Final = "unclear"  # intent of words that were not understood; the transcript keeps them
STOP_ASKING: Final = "stop_asking"  # intent of words that want no more such questions
FOLLOW_UPS_MAX: Final = 2  # questions after the first; nobody wants to be interrogated
QUESTIONS_MAX: Final = 200  # of all scenes
_RESERVED: Final = frozenset({SILENCE, UNCLEAR, STOP_ASKING})


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what may be answered. replies: what is said next, by intent; unsent: where nothing is passed on.

    rest_s: how long it is not put again once it was answered, whatever new event would call for it. follow_ups: the
    question that is put after an answer, by intent. confirms: what asks an answer back before it is believed, by
    intent; denials: finds words that do not confirm it. stop: the words that want no more such questions.
    """

    name: str
    text: str
    again: str
    rest_s: float
    lexicon: Lexicon
    replies: Mapping[str, str]
    unsent: Mapping[str, str]
    follow_ups: Mapping[str, "Question"]
    confirms: Mapping[str, str]
    denials: Lexicon
    stop: "Stop"

    def reply(self, intent: str, *, sent: bool) -> str:
        """What is said next; sent: whether the answer leaves the car."""
        return self.replies[intent] if sent else self.unsent.get(intent, self.replies[intent])


@dataclass(frozen=True, slots=True)
class Stop:
    """The words that want no more such questions, whatever else is said, and the reply; once: where it is not kept."""

    lexicon: Lexicon
    reply: str
    once: str


class Both(Section, frozen=True, kw_only=True):
    """One text in both languages, side by side."""

    zh: Text
    en: Text

    def of(self, language: Language) -> str:
        """The text of one language."""
        return self.zh if language == "zh" else self.en


class BothLists(Section, frozen=True, kw_only=True):
    """Phrases in both languages; Chinese as it is, English in lower case without apostrophes."""

    zh: list[Phrase]
    en: list[Phrase]

    def of(self, language: Language) -> list[str]:
        """The phrases of one language."""
        return self.zh if language == "zh" else self.en


class StopAsking(Section, frozen=True, kw_only=True):
    """The words by which a driver wants to be asked no more, in one language, and the reply.

    once: the reply where a scene is too grave to be left out the next time.
    """

    words: list[Phrase]
    reply: Text
    once: Text


@dataclass(frozen=True, slots=True)
class Table:
    """A question as it stands in a file."""

    entry: Mapping[str, Any]
    path: Path


class QuestionBook:
    """The questions of all scenes, checked; `of` gives those of one language."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        """Raises ConfigError naming the table, the file and the line."""
        self._tables = tables
        self._specs = {
            name: read_table(dict(table.entry), _QuestionSpec, table.path, "questions", name)
            for name, table in tables.items()
        }
        self._answers = {
            name: {
                intent: read_table(answer, _AnswerSpec, tables[name].path, "questions", name, "answers", intent)
                for intent, answer in spec.answers.items()
            }
            for name, spec in self._specs.items()
        }
        for name, spec in self._specs.items():
            self._check_texts(spec, name)
            self._check_answers(name)
            self._check_follow_ups(name, ())

    @property
    def follow_ups(self) -> dict[str, list[str]]:
        """The questions that may be put next, by question."""
        return {
            name: [answer.follow_up for answer in self._answers[name].values() if answer.follow_up]
            for name in self._specs
        }

    def of(self, language: Language, grammar: Grammar, stop: StopAsking) -> dict[str, Question]:
        """Every question of one language. Raises ConfigError naming the table."""
        # "no, stop asking" is no to the question, and no to all further ones.
        known = Stop(_finder(STOP_ASKING, stop.words), stop.reply, stop.once)
        deaf = _deaf_to(stop, grammar)
        loaded: dict[str, Question] = {}
        for name in self._specs:
            self._build(name, language, deaf, known, loaded)
        return {name: loaded[name] for name in self._specs}

    def _build(
        self, name: str, language: Language, grammar: Grammar, stop: Stop, loaded: dict[str, Question]
    ) -> Question:
        """One question, those that follow it first."""
        if name in loaded:
            return loaded[name]
        spec, answers = self._specs[name], self._answers[name]
        replies = {intent: answer.reply.of(language) for intent, answer in answers.items()}
        replies |= {SILENCE: spec.silence.of(language), UNCLEAR: spec.unclear.of(language), STOP_ASKING: stop.reply}
        unsent = {intent: answer.unsent for intent, answer in answers.items()}
        unsent |= {SILENCE: spec.unsent_silence, UNCLEAR: spec.unsent_unclear}
        loaded[name] = Question(
            name=name,
            text=spec.text.of(language),
            again=spec.again.of(language),
            rest_s=spec.rest_s,
            lexicon=self._lexicon(name, language, grammar),
            replies=replies,
            unsent={intent: text.of(language) for intent, text in unsent.items() if text},
            follow_ups={
                intent: self._build(answer.follow_up, language, grammar, stop, loaded)
                for intent, answer in answers.items()
                if answer.follow_up
            },
            confirms={intent: answer.confirm.of(language) for intent, answer in answers.items() if answer.confirm},
            denials=self._denials(name, language, grammar),
            stop=stop,
        )
        return loaded[name]

    def _denials(self, name: str, language: Language, grammar: Grammar) -> Lexicon:
        """Finds a negation or denial wherever it stands, but within a phrase: "no problem" denies nothing."""
        words = self._answers[self._specs[name].like or name].values()
        phrases = [
            phrase for answer in words for both in (answer.words, answer.weak) for phrase in _phrases(both, language)
        ]
        return _finder("denied", [*grammar.negations, *grammar.denials], neutral=[*phrases, *grammar.neutral])

    def _lexicon(self, name: str, language: Language, grammar: Grammar) -> Lexicon:
        words = self._answers[self._specs[name].like or name]
        answers = {
            intent: Answer(
                words=_phrases(words[intent].words, language),
                weak=_phrases(words[intent].weak, language),
                opposite=words[intent].opposite,
                reply="-",
            )
            for intent in self._answers[name]
        }
        try:
            return compile_lexicon(answers, grammar)
        except ValueError as exc:
            raise self._wrong(str(exc), name) from exc

    def _check_answers(self, name: str) -> None:
        answers, like = self._answers[name], self._specs[name].like
        if not answers or _RESERVED & answers.keys():
            raise self._wrong(f"needs answers, named otherwise than {', '.join(sorted(_RESERVED))}", name)
        for intent, answer in answers.items():
            if bool(like) == bool(answer.words):
                reason = f"words: are those of {like!r}" if like else "words: there are none"
                raise self._wrong(reason, name, "answers", intent)
            self._check_texts(answer, name, "answers", intent)
            for language in () if like else get_args(Language):
                if not _phrases(answer.words, language) and not _phrases(answer.weak, language):
                    raise self._wrong(f"words.{language}: nobody can give this answer", name, "answers", intent)
        if like and (like not in self._specs or self._specs[like].like or list(self._answers[like]) != list(answers)):
            raise self._wrong(f"like: no question {like!r} with the same answers in the same order", name)

    def _check_follow_ups(self, name: str, before: tuple[str, ...]) -> None:
        """before: the questions that lead to it."""
        if len(before) > FOLLOW_UPS_MAX:
            raise self._wrong(f"follow_up: more than {FOLLOW_UPS_MAX} questions in a row", before[0])
        for intent, answer in self._answers[name].items():
            if answer.follow_up and answer.follow_up not in self._specs:
                raise self._wrong(f"follow_up: there is no {answer.follow_up!r}", name, "answers", intent)
            if answer.follow_up:
                self._check_follow_ups(answer.follow_up, (*before, name))

    def _check_texts(self, spec: Section, name: str, *below: str) -> None:
        for key, both in msgspec.structs.asdict(spec).items():
            for language in get_args(Language) if isinstance(both, Both) else ():
                if not {"{", "}"}.isdisjoint(both.of(language)):
                    reason = "placeholders are filled in [say] only; this would be said with its braces"
                    raise self._wrong(f"{key}.{language}: {reason}", name, *below)

    def _wrong(self, reason: str, name: str, *below: str) -> Exception:
        key = reason.partition(":")[0]
        return wrong(reason, self._tables[name].path, "questions", name, *below, key=key)


class _QuestionSpec(Section, frozen=True, kw_only=True):
    """like: a question whose answers these are, in the same words; only what is said differs."""

    text: Both
    again: Both
    silence: Both
    unclear: Both
    unsent_silence: Both | None = None
    unsent_unclear: Both | None = None
    rest_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0
    like: str = ""
    answers: dict[str, dict[str, Any]]


class _AnswerSpec(Section, frozen=True, kw_only=True):
    """Answer of understanding.py in both languages. confirm: asks it back once, to be said again before it counts."""

    words: BothLists | None = None
    weak: BothLists | None = None
    opposite: str = ""
    reply: Both
    unsent: Both | None = None
    confirm: Both | None = None
    follow_up: str = ""


def _phrases(both: BothLists | None, language: Language) -> list[Phrase]:
    return both.of(language) if both else []


def _finder(intent: str, words: list[Phrase], *, neutral: Sequence[Phrase] = ()) -> Lexicon:
    """Finds the words wherever they stand, but within longer neutral ones."""
    grammar = Grammar(negations=[], joins=[], breaks=[], neutral=list(neutral))
    return compile_lexicon({intent: Answer(words=words, reply="-")}, grammar)


def _deaf_to(stop: StopAsking, grammar: Grammar) -> Grammar:
    """The grammar of the answers: "don't ask me again" is no "don't"."""
    return Grammar(
        negations=grammar.negations,
        joins=grammar.joins,
        breaks=grammar.breaks,
        neutral=[*grammar.neutral, *stop.words],
        denials=grammar.denials,
    )
