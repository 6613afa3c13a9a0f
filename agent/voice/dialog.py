"""One question and what came back: sentences in, a Feedback event out. Pure."""

import math
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Turn:
    """What to say next. Without feedback, listen again afterwards; with it the dialog is over, but for a follow-up.

    stop: the driver wants to be asked about this no more, whatever else he said.
    """

    text: str
    feedback: Feedback | None
    follow_up: Question | None = None
    stop: bool = False


class Dialog:
    """One question about one event. sent: whether the answer leaves the car, which is what replies may promise.

    may_silence: whether "stop asking me about this" will be kept.
    """

    def __init__(
        self, question: Question, *, about: Event, language: Language, sent: bool = True, may_silence: bool = True
    ) -> None:
        self._question = question
        self._about = about
        self._language = language
        self._sent = sent
        self._may_silence = may_silence
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
        stop = understand(transcript, self._question.stop.lexicon).intent is not None
        if found.intent is None and stop:
            confidence = _share(heard.confidence)
            return self._end(STOP_ASKING, transcript, confidence, asked_ns=asked_ns, t_ns=t_ns, stop=True)
        if found.intent is None:
            if self._asked < ASKED_MAX:
                self._asked += 1
                return Turn(self._question.again, None)
            return self._end(UNCLEAR, transcript, 0.0, asked_ns=asked_ns, t_ns=t_ns)
        confidence = found.confidence * _share(heard.confidence)
        return self._end(found.intent, transcript, confidence, asked_ns=asked_ns, t_ns=t_ns, stop=stop)

    def deaf(self, *, asked_ns: int, t_ns: int) -> Turn:
        """Nothing can be heard at all: reported like silence, but with confidence 0, for nobody knows."""
        return self._end(SILENCE, "", 0.0, asked_ns=asked_ns, t_ns=t_ns)

    def _end(
        self, intent: str, transcript: str, confidence: float, *, asked_ns: int, t_ns: int, stop: bool = False
    ) -> Turn:
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
        if not stop:
            reply = self._question.reply(intent, sent=self._sent)
            return Turn(reply, feedback, self._question.follow_ups.get(intent))
        kept = self._question.stop.reply if self._may_silence else self._question.stop.once
        replies = [kept] if intent == STOP_ASKING else [self._question.reply(intent, sent=self._sent), kept]
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
