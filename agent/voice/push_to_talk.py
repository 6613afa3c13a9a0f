"""What the driver begins himself: by a button, of whose presses not all are heeded, or by words."""

from collections import deque
from typing import Final

from agent.core.events import Event, Feedback
from agent.core.occasions import ConsentSpoken, NothingHeard, TalkWanted
from agent.voice.dialog import FREE_WORDS

_FRUITLESS_MAX: Final = 5
_SPAN_NS: Final = 600 * 10**9


class PushToTalk:
    """A button whose contact is loose must not ask the driver again and again what he wants.

    After five presses within ten minutes that brought no words it rests until the first of them is ten minutes old.
    """

    def __init__(self) -> None:
        self.heeded = 0
        self.ignored = 0
        self._fruitless: deque[int] = deque(maxlen=_FRUITLESS_MAX)

    def heed(self, now_ns: int, *, busy: bool) -> bool:
        """Whether to listen. busy: the driver is heard already, or will be in a moment."""
        full = len(self._fruitless) == _FRUITLESS_MAX
        heeded = not busy and not (full and now_ns - self._fruitless[0] < _SPAN_NS)
        self.heeded += heeded
        self.ignored += not heeded
        return heeded

    def note(self, now_ns: int, *, understood: bool) -> bool:
        """What came of a press; True where the button rests from now on."""
        if understood:
            self._fruitless.clear()
            return False
        self._fruitless.append(now_ns)
        return len(self._fruitless) == _FRUITLESS_MAX and now_ns - self._fruitless[0] < _SPAN_NS


def is_begun_by_driver(event: Event) -> bool:
    """Whether what is said about the event answers what the driver did of his own accord."""
    return isinstance(event, TalkWanted | NothingHeard | ConsentSpoken) or (
        isinstance(event, Feedback) and event.question == FREE_WORDS
    )
