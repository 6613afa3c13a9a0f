"""What waits to be said: the most urgent first, bounded, every loss counted."""

from dataclasses import dataclass

from agent.core.events import Event
from agent.voice.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt, the event it is about, and since when it waits."""

    prompt: Prompt
    event: Event
    since_ns: int


class Waiting:
    """A priority queue with a limit. Equal urgency goes in order of arrival; of one key only the newest waits."""

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.dropped = 0
        self.replaced = 0
        self.stale = 0
        self._items: list[Item] = []

    def put(self, item: Item) -> None:
        """Add an item; a full queue drops the least urgent, the oldest of several such."""
        for place, waiting in enumerate(self._items):
            if waiting.prompt.key == item.prompt.key:
                self._items[place] = item
                self.replaced += 1
                return
        self._items.append(item)
        self.trim()

    def put_back(self, item: Item) -> None:
        """Return an item that was interrupted; it goes before its equals, unless a newer one of its key waits."""
        if any(waiting.prompt.key == item.prompt.key for waiting in self._items):
            self.replaced += 1
            return
        self._items.insert(0, item)
        self.trim()

    def trim(self) -> None:
        """Drop what is beyond size_max."""
        while len(self._items) > self.size_max:
            self._items.remove(max(self._items, key=_urgency))
            self.dropped += 1

    def first(self, now_ns: int, *, driver: bool = True) -> Item | None:
        """Most urgent item, left in place. What has waited too long is forgotten first.

        Without a driver in the car, what is meant for one stays where it is and keeps nothing else waiting.
        """
        fresh = [item for item in self._items if now_ns - item.since_ns <= item.prompt.stale_after_s * 1e9]
        self.stale += len(self._items) - len(fresh)
        self._items = fresh
        return min((item for item in fresh if driver or not item.prompt.needs_driver), key=_urgency, default=None)

    def remove(self, item: Item) -> None:
        """Take out an item that first() gave."""
        self._items.remove(item)

    def clear(self) -> None:
        """Drop everything, counted."""
        self.dropped += len(self._items)
        self._items.clear()

    def __len__(self) -> int:
        return len(self._items)


def _urgency(item: Item) -> int:
    return item.prompt.urgency
