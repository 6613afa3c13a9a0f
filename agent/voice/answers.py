"""What an answer of the driver's does, spoken or written: kept in mind, emitted, and the wish for no more as well."""

from collections.abc import Callable

import msgspec

from agent.core.events import Event, Feedback
from agent.core.ports import Language
from agent.voice.dialog import Dialog, Turn
from agent.voice.director import Director
from agent.voice.questions import STOP_ASKING, Question
from agent.voice.waiting import Item


class Answers:
    """is_sent: whether an answer leaves the car, as of now. counts: answered, silenced."""

    def __init__(self, director: Director, *, emit: Callable[[Event], None], is_sent: Callable[[], bool]) -> None:
        self.counts = dict.fromkeys(("answered", "silenced"), 0)
        self._director = director
        self._emit = emit
        self.is_sent = is_sent

    def dialog(self, item: Item, question: Question, language: Language) -> Dialog:
        """Begin to put a question about an item."""
        scene = item.prompt.scene
        return Dialog(
            question,
            about=item.event,
            language=language,
            sent=self.is_sent(),
            may_silence=scene is None or scene.guard.may_silence,
        )

    def settle(self, item: Item, question: Question, turn: Turn, feedback: Feedback) -> None:
        """A dialog has ended with this."""
        self.counts["answered"] += 1
        self._director.note_answer(item.prompt.cue, question, feedback.intent, feedback.t_ns, stop=turn.stop)
        self._emit(feedback)
        if turn.stop:
            self.counts["silenced"] += 1
            if feedback.intent != STOP_ASKING:
                self._emit(msgspec.structs.replace(feedback, intent=STOP_ASKING))
