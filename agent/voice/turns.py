"""Whose turn it is: what waits is judged once more before it is put, since much may have changed meanwhile."""

from dataclasses import dataclass

from agent.voice.director import Cabin, Director
from agent.voice.moments import Moments
from agent.voice.openings import Openings
from agent.voice.outranked import Outranked
from agent.voice.presence import Presence
from agent.voice.waiting import Item, Waiting


@dataclass(slots=True)
class Turns:
    """Asks everybody who has a say, as the conversation feeds them. cooled: what something graver made idle to tell."""

    waiting: Waiting
    director: Director
    openings: Openings
    presence: Presence
    moments: Moments
    outranked: Outranked
    cooled: int = 0

    def ready(self, now_ns: int, *, ear: bool) -> list[Item]:
        """What may be put if the gate lets it, the most urgent first. ear: whether an answer would be heard."""
        driver, moments = self.presence.there(now_ns), self.moments.at(now_ns)
        ready = self.waiting.ready(now_ns, driver=driver, moments=moments, ear=ear)
        cabin = self._cabin(now_ns)
        return [item for item in ready if not self.director.keeps_waiting(item, cabin, now_ns)]

    def take_out(self, item: Item, now_ns: int) -> Item | None:
        """The item as it is to be put now, None where it is not to be."""
        self.waiting.remove(item)
        if self.outranked.silences(item.event, now_ns):
            self.cooled += 1
            return None
        renewed = self.director.renew(item, self._cabin(now_ns), now_ns)
        if renewed is None or self.openings.may_sound(renewed):
            return renewed
        self.waiting.put_back(renewed)  # only its scene was let through
        return None

    def _cabin(self, now_ns: int) -> Cabin:
        return Cabin(shared=self.presence.is_shared(now_ns))
