"""One question and what came back: sentences in, a Feedback event out. Pure."""

import math
from dataclasses import dataclass, replace
from typing import Final

from agent.core.events import Event, Feedback
from agent.core.ports import Heard, Language
from agent.voice.questions import SILENCE, STOP_ASKING, UNCLEAR, Question
from agent.voice.understanding import TEXT_MAX, understand

_SPACE: Final[dict[Language, str]] = {"zh": "", "en": " "}

FREE_WORDS: Final = "free_words"  # the question of words that answer none
DRIVER: Final = "driver"  # what such words are about: no event
SAID: Final = "said"  # their intent
ASKED_MAX: Final = 2  # a question not understood is put once more
_AND: Final = " / "  # between the things said, where a question took two; a clause ends there


@dataclass(frozen=True, slots=True)
class Turn:
    """What to say next. Without feedback, listen again afterwards; with it the dialog is over, but for a follow-up.

    stop: the driver wants to be asked about this no more, whatever else he said.
    """

    text: str
    feedback: Feedback | None
    follow_up: Question | None = None
    stop: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """What came back. intent is None where it was not understood; denies: it holds a no, or a "you are wrong"."""

    intent: str | None
    transcript: str
    confidence: float
    stop: bool = False
    denies: bool = False


class Dialog:
    """One question about one event. sent: whether the answer leaves the car as of now, which replies may promise.

    may_silence: whether "stop asking me about this" will be kept. An answer that the question wants confirmed is asked
    back once: it counts only where another answer of that kind comes then.
    """

    def __init__(
        self, question: Question, *, about: Event, language: Language, sent: bool = True, may_silence: bool = True
    ) -> None:
        self.sent = sent
        self._question = question
        self._about = about
        self._language = language
        self._may_silence = may_silence
        self._asked = 1
        self._unconfirmed: _Said | None = None

    @property
    def text(self) -> str:
        """The question as first put."""
        return self._question.text

    def hear(self, heard: Heard | None, *, asked_ns: int, t_ns: int) -> Turn:
        """Take an answer. None is silence, which is an answer too and is certain: confidence 1."""
        said = _Said(SILENCE, "", 1.0) if heard is None else self._read(heard)
        if self._unconfirmed is not None:
            return self._end(self._confirm(self._unconfirmed, said), asked_ns=asked_ns, t_ns=t_ns)
        if said.intent is None and self._asked < ASKED_MAX:
            self._asked += 1
            return Turn(self._question.again, None)
        if asked_back := self._question.confirms.get(said.intent or UNCLEAR):
            self._unconfirmed = said
            return Turn(asked_back, None)
        return self._end(said, asked_ns=asked_ns, t_ns=t_ns)

    def deaf(self, *, asked_ns: int, t_ns: int) -> Turn:
        """Nothing can be heard at all: reported like silence, but with confidence 0, for nobody knows."""
        return self._end(_Said(SILENCE, "", 0.0), asked_ns=asked_ns, t_ns=t_ns)

    def _read(self, heard: Heard) -> _Said:
        transcript = _printable(heard.text)
        found = understand(transcript, self._question.lexicon)
        stop = understand(transcript, self._question.stop.lexicon).intent is not None
        if found.intent is None and stop:
            return _Said(STOP_ASKING, transcript, _share(heard.confidence), stop)
        denies = understand(transcript, self._question.denials).intent is not None
        return _Said(found.intent, transcript, found.confidence * _share(heard.confidence), stop, denies)

    def _confirm(self, first: _Said, second: _Said) -> _Said:
        """What comes of an answer that was asked back. Who denies it, or says nothing to it, has not confirmed it."""
        stop = first.stop or second.stop
        if second.intent == SILENCE:
            return replace(first, intent=None, confidence=0.0)
        both = (first.transcript + _AND + second.transcript)[:TEXT_MAX]
        if second.intent is not None and second.intent not in self._question.confirms:
            return replace(second, stop=stop)
        if second.intent is None or second.denies:
            return _Said(None, both, 0.0, stop)
        return _Said(first.intent, both, min(first.confidence, second.confidence), stop)

    def _end(self, said: _Said, *, asked_ns: int, t_ns: int) -> Turn:
        intent = said.intent or UNCLEAR
        feedback = Feedback(
            t_ns=t_ns,
            question=self._question.name,
            about=self._about.kind,
            about_ns=self._about.t_ns,
            intent=intent,
            transcript=said.transcript,
            confidence=round(said.confidence, 3),
            language=self._language,
            asked_ns=asked_ns,
        )
        if not said.stop:
            reply = self._question.reply(intent, sent=self.sent)
            return Turn(reply, feedback, self._question.follow_ups.get(intent))
        kept = self._question.stop.reply if self._may_silence else self._question.stop.once
        replies = [kept] if intent == STOP_ASKING else [self._question.reply(intent, sent=self.sent), kept]
        return Turn(_SPACE[self._language].join(replies), feedback, stop=True)


def remark(heard: Heard, *, language: Language, t_ns: int) -> Feedback:
    """What the driver said though nobody had asked. What it is about is read where it is completed."""
    return Feedback(
        t_ns=t_ns,
        question=FREE_WORDS,
        about=DRIVER,
        intent=SAID,
        transcript=_printable(heard.text),
        confidence=round(_share(heard.confidence), 3),
        language=language,
        asked_ns=t_ns,
    )


def _printable(text: str) -> str:
    """Bounded text that every encoder takes: lone surrogates of a broken terminal become question marks."""
    return text[:TEXT_MAX].encode("utf-8", "replace").decode("utf-8")


def _share(confidence: float) -> float:
    return min(max(confidence, 0.0), 1.0) if math.isfinite(confidence) else 0.0
