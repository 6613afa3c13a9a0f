"""Questions that may be answered in writing, on the page: what nobody answered, or nobody could have heard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.core.errors import InputError
from agent.core.events import Event
from agent.core.occasions import ConsentSpoken
from agent.core.open_question import OpenQuestion
from agent.core.ports import Clock, Heard, Language, Notice, Notify
from agent.voice.answers import Answers
from agent.voice.dialog import Dialog
from agent.voice.director import Director
from agent.voice.questions import SILENCE, UNCLEAR, Question
from agent.voice.waiting import Item

_KEPT_MAX: Final = 8
_FRESH_S: Final = 3600.0  # at least: who was asked on the road reads it where he has stopped; ours


@dataclass(slots=True)
class _Open:
    number: int
    item: Item
    question: Question
    since_ns: int
    noted: bool  # its scene counts as put
    again: str = ""
    dialogs: dict[Language, Dialog] = field(default_factory=dict)

    def is_about(self, event: Event, question: str) -> bool:
        return self.item.event is event and self.question.name == question


class PageAnswers:
    """books: every question by name, by language: the page may be read in another one than the voice speaks.

    The newest question that is not answered is shown, for an hour at least. heed, tell_done: as the Performer has them;
    done: gets event and name of a question that was answered here: the voice listens to it no longer.
    """

    def __init__(
        self,
        director: Director,
        answers: Answers,
        books: Mapping[Language, Mapping[str, Question]],
        *,
        clock: Clock,
        notify: Notify,
        heed: Callable[[Heard], ConsentSpoken | None],
        tell_done: Callable[[ConsentSpoken], str],
        done: Callable[[Event, str], None],
    ) -> None:
        self._director = director
        self._answers = answers
        self._books = books
        self._clock = clock
        self._notify = notify
        self._heed = heed
        self._tell_done = tell_done
        self._done = done
        self._open: list[_Open] = []
        self._numbers = 0
        self._answered: list[tuple[_Open, str]] = []  # with what was replied

    def put(self, item: Item, question: Question, *, noted: bool) -> None:
        """It is being asked, or would be; noted: its scene counts as put. What stands here already stays as it is."""
        if self._find(item.event, question.name) is None:
            self._numbers += 1
            one = _Open(self._numbers, item, question, self._clock.monotonic_ns(), noted)
            self._open = [*self._open, one][-_KEPT_MAX:]

    def settle(self, item: Item, question: Question, intent: str) -> None:
        """It was answered by voice; silence and what was not understood leave it open."""
        if (one := self._find(item.event, question.name)) is None:
            return
        one.noted = True
        if intent not in (SILENCE, UNCLEAR):
            self._open.remove(one)

    def clear(self) -> None:
        """Forget all of them."""
        self._open.clear()
        self._answered.clear()

    def has_answer(self, event: Event, question: str) -> bool:
        """Whether it was answered here: the voice need not put it any more."""
        return any(one.is_about(event, question) for one, _ in self._answered)

    def newest(self, language: Language) -> OpenQuestion | None:
        """The question to show."""
        now_ns = self._clock.monotonic_ns()
        self._open = [one for one in self._open if now_ns - one.since_ns <= _fresh_ns(one.item)]
        if not self._open:
            return None
        one = self._open[-1]
        question = self._books[language][one.question.name]
        return OpenQuestion(
            number=one.number,
            name=question.name,
            said=one.item.prompt.text,
            text=question.text,
            again=one.again,
            intents=question.lexicon.intents,
        )

    def reply_to(self, number: int) -> str:
        """What an answer was replied to last; empty where that is long ago."""
        return next((reply for one, reply in self._answered if one.number == number), "")

    def answer(self, number: int, words: str, language: Language) -> None:
        """Take words for an answer, as if they had been said. Raises InputError where the question is not open now."""
        self.newest(language)
        one = next((one for one in self._open if one.number == number), None)
        if one is None:
            raise InputError("the question is answered already, or too old")
        now_ns, heard = self._clock.monotonic_ns(), Heard(words, confidence=1.0)
        self._notify(Notice("heard", now_ns, words, event=one.item.event))
        if (spoken := self._heed(heard)) is not None:
            one.again = self._tell_done(spoken)
            one.dialogs.clear()  # other answers may leave now than before
            return
        question = self._books[language][one.question.name]
        dialog = one.dialogs.setdefault(language, self._answers.dialog(one.item, question, language))
        turn = dialog.hear(heard, asked_ns=one.since_ns, t_ns=now_ns)
        one.again = turn.text
        if turn.feedback is None:
            return
        self._answered = [*self._answered, (one, turn.text)][-_KEPT_MAX:]
        self._open.remove(one)
        self._done(one.item.event, question.name)
        if not one.noted:
            self._director.note_put(one.item.prompt, now_ns)
        self._answers.settle(one.item, question, turn, turn.feedback)
        if turn.follow_up is not None and self._director.may_ask(turn.follow_up, now_ns):
            self.put(one.item, turn.follow_up, noted=True)

    def _find(self, event: Event, question: str) -> _Open | None:
        return next((one for one in self._open if one.is_about(event, question)), None)


def _fresh_ns(item: Item) -> int:
    return round(max(_FRESH_S, item.prompt.stale_after_s) * 1e9)
