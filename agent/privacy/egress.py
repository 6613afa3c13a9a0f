"""The only door between an event and the outbox: what no consented purpose covers does not pass."""

from collections import Counter
from collections.abc import Iterable

from agent.core.events import Event, Purpose


class EgressFilter:
    """Lets events pass by purpose, and counts what it withheld."""

    def __init__(self, purposes: Iterable[Purpose]) -> None:
        self._purposes = frozenset(purposes)
        self.withheld: Counter[Purpose] = Counter()

    def admits(self, event: Event) -> bool:
        """Whether the driver consented to this event's purpose."""
        if event.purpose in self._purposes:
            return True
        self.withheld[event.purpose] += 1
        return False
