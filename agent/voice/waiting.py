"""What waits to be said: the most urgent first, bounded, every loss counted."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, get_args

from agent.core.events import Event
from agent.voice.prompts import Prompt
from agent.voice.scene_file import Moment

_TRIP_END_S: Final = 43_200.0  # half a day: what was moved to a trip's end is of the day


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt, the event it is about, and since when it waits.

    unheard: only its question is left, which waits for the ear.
    """

    prompt: Prompt
    event: Event
    since_ns: int
    unheard: bool = False


class Waiting:
    """A priority queue with a limit. Equal urgency goes in order of arrival; of one key only the newest waits."""

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.dropped = 0
        self.replaced = 0
        self.stale = 0
        self.moved = 0
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

    def put_back(self, item: Item, *, told: bool = False) -> None:
        """Return an item that was interrupted, unless a newer one of its key waits.

        It goes before its equals; behind them where what it has to tell was told, and only its talk was cut.
        """
        if any(waiting.prompt.key == item.prompt.key for waiting in self._items):
            self.replaced += 1
            return
        self._items.insert(len(self._items) if told else 0, item)
        self.trim()

    def trim(self) -> None:
        """Drop what is beyond size_max."""
        while len(self._items) > self.size_max:
            self._items.remove(max(self._items, key=_urgency))
            self.dropped += 1

    def ready(
        self,
        now_ns: int,
        *,
        driver: bool = True,
        moments: Collection[Moment] = get_args(Moment),
        ear: bool = True,
    ) -> list[Item]:
        """Most urgent first, left in place. What has waited too long is forgotten before, or moved to the trip's end.

        Without a driver in the car, what is meant for one stays where it is and keeps nothing else waiting; so does
        what waits for a moment that it is not, or for an ear that is lost.
        """
        self._items = [kept for item in self._items if (kept := self._fresh(item, now_ns)) is not None]
        ready = (
            item
            for item in self._items
            if (driver or not item.prompt.needs_driver) and item.prompt.moment in moments and (ear or not item.unheard)
        )
        return sorted(ready, key=_urgency)

    def _fresh(self, item: Item, now_ns: int) -> Item | None:
        prompt = item.prompt
        if now_ns - item.since_ns <= prompt.stale_after_s * 1e9:
            return item
        if prompt.late == "trip_end" and prompt.moment != "trip_end":
            self.moved += 1
            return replace(item, prompt=replace(prompt, moment="trip_end", stale_after_s=_TRIP_END_S))
        self.stale += 1
        return None

    def remove(self, item: Item) -> None:
        """Take out an item that ready() gave."""
        self._items.remove(item)

    def clear(self) -> None:
        """Drop everything, counted."""
        self.dropped += len(self._items)
        self._items.clear()

    def counters(self) -> dict[str, int]:
        """Everything counted so far."""
        return {"dropped": self.dropped, "replaced": self.replaced, "stale": self.stale, "moved": self.moved}

    def __len__(self) -> int:
        return len(self._items)


def _urgency(item: Item) -> int:
    return item.prompt.urgency
