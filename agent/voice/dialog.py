"""One question and what came back: sentences in, a Feedback event out. Pure."""

import math
from dataclasses import dataclass
from typing import Final

from agent.core.events import Event, Feedback
from agent.core.ports import Heard, Language
from agent.voice.questions import SILENCE, UNCLEAR, Question
from agent.voice.understanding import TEXT_MAX, understand

ASKED_MAX: Final = 2  # a question not understood is put once more


@dataclass(frozen=True, slots=True)
class Turn:
    """What to say next. Without feedback, listen again afterwards; with it the dialog is over, but for a follow-up."""

    text: str
    feedback: Feedback | None
    follow_up: Question | None = None


class Dialog:
    """One question about one event. sent: whether the answer leaves the car, which is what replies may promise."""

    def __init__(self, question: Question, *, about: Event, language: Language, sent: bool = True) -> None:
        self._question = question
        self._about = about
        self._language = language
        self._sent = sent
        self._asked = 1

    @property
    def text(self) -> str:
        """The question as first put."""
        return self._question.text

    def hear(self, heard: Heard | None, *, asked_ns: int, t_ns: int) -> Turn:
        """Take an answer. None is silence, which is an answer too and is certain: confidence 1."""
        if heard is None:
            return self._end(SILENCE, "", 1.0, asked_ns=asked_ns, t_ns=t_ns)
        transcript = _printable(heard.text)
        found = understand(transcript, self._question.lexicon)
        if found.intent is None:
            if self._asked < ASKED_MAX:
                self._asked += 1
                return Turn(self._question.again, None)
            return self._end(UNCLEAR, transcript, 0.0, asked_ns=asked_ns, t_ns=t_ns)
        confidence = found.confidence * _share(heard.confidence)
        return self._end(found.intent, transcript, confidence, asked_ns=asked_ns, t_ns=t_ns)

    def deaf(self, *, asked_ns: int, t_ns: int) -> Turn:
        """Nothing can be heard at all: reported like silence, but with confidence 0, for nobody knows."""
        return self._end(SILENCE, "", 0.0, asked_ns=asked_ns, t_ns=t_ns)

    def _end(self, intent: str, transcript: str, confidence: float, *, asked_ns: int, t_ns: int) -> Turn:
        feedback = Feedback(
            t_ns=t_ns,
            question=self._question.name,
            about=self._about.kind,
            about_ns=self._about.t_ns,
            intent=intent,
            transcript=transcript,
            confidence=round(confidence, 3),
            language=self._language,
            asked_ns=asked_ns,
        )
        reply = self._question.reply(intent, sent=self._sent)
        return Turn(reply, feedback, self._question.follow_ups.get(intent))


def _printable(text: str) -> str:
    """Bounded text that every encoder takes: lone surrogates of a broken terminal become question marks."""
    return text[:TEXT_MAX].encode("utf-8", "replace").decode("utf-8")


def _share(confidence: float) -> float:
    return min(max(confidence, 0.0), 1.0) if math.isfinite(confidence) else 0.0
