"""The last things that happened, were said and were heard, for the page. In memory: the disk holds them sealed."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from agent.core.ports import Notice

_KEPT_MAX: Final = 200
_TOPICS: Final = frozenset({"event", "said", "asked", "heard"})


class Journal:
    """A ring of notices."""

    def __init__(self) -> None:
        self._lines: deque[Notice] = deque(maxlen=_KEPT_MAX)

    def take(self, notice: Notice) -> None:
        """Keep it if a driver would want to see it; detail behind a crash's notice he would not."""
        if notice.topic in _TOPICS and not (notice.event is not None and notice.event.bulk):
            self._lines.append(notice)

    def clear(self) -> None:
        """Forget all of it."""
        self._lines.clear()

    def newest_first(self) -> Sequence[Notice]:
        """At most _KEPT_MAX."""
        return tuple(reversed(self._lines))
