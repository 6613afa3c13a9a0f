"""Events that wait to be sealed, in three lines: what is critical, the detail of crashes, the rest."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from agent.core.events import Event, Priority

CRITICAL: Final = 0
BULK: Final = 1
ORDINARY: Final = 2
BULK_MAX: Final = 8
"""Taken at once: each takes some milliseconds to seal, and none of them is safe before all are."""


class WaitingRoom:
    """Takes events at any time; a line is served when those before it are empty, each in its order.

    So the first notice of a crash does not wait for the seconds of samples that were recorded before it.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._lines: tuple[deque[Event], ...] = (deque(), deque(), deque())

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    @property
    def ordinary(self) -> int:
        """How many wait that may."""
        return len(self._lines[ORDINARY])

    @property
    def hurries(self) -> bool:
        """Whether anything waits that must not."""
        return self.outranks(ORDINARY)

    def outranks(self, line: int) -> bool:
        """Whether anything waits in a line before this one."""
        return any(self._lines[:line])

    def holds(self, priority: Priority) -> bool:
        """Whether an event of this priority waits."""
        return any(event.priority == priority for line in self._lines for event in line)

    def put(self, event: Event) -> Event | None:
        """Take an event; returns the one that had to go for it: the oldest of the lowest priority."""
        self._lines[_line_of(event)].append(event)
        if len(self) <= self._count_max:
            return None
        line = next(line for line in reversed(self._lines) if line)
        lowest = max(event.priority for event in line)
        gone = next(event for event in line if event.priority == lowest)
        line.remove(gone)
        return gone

    def take(self, count_max: int) -> tuple[int, list[Event]]:
        """The first events of the first line that has any, and which line that is."""
        number = next((number for number, line in enumerate(self._lines) if line), ORDINARY)
        line = self._lines[number]
        count_max = min(count_max, BULK_MAX) if number == BULK else count_max
        return number, [line.popleft() for _ in range(min(len(line), count_max))]

    def drop(self, is_unwanted: Callable[[Event], bool]) -> int:
        """Forget events that wait; how many there were."""
        before = len(self)
        self._lines = tuple(deque(event for event in line if not is_unwanted(event)) for line in self._lines)
        return before - len(self)

    def give_back(self, line: int, events: Sequence[Event]) -> None:
        """To the front of their line."""
        self._lines[line].extendleft(reversed(events))


def _line_of(event: Event) -> int:
    if event.priority > Priority.SAFETY:
        return ORDINARY
    return BULK if event.bulk else CRITICAL
