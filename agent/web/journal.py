"""The last things that happened, were said and were heard, for the page. In memory: the disk holds them sealed."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from agent.core.events import VoiceClip
from agent.core.ports import Notice
from agent.core.privacy_events import ErasureRequested

_KEPT_MAX: Final = 200
_TOPICS: Final = frozenset({"event", "said", "asked", "heard", "source"})


class Journal:
    """A ring of notices."""

    def __init__(self) -> None:
        self._lines: deque[Notice] = deque(maxlen=_KEPT_MAX)

    def take(self, notice: Notice) -> None:
        """Keep it if a driver would want to see it; detail behind a crash's notice he would not.

        Where he lets data be gone, by whichever way, all before is forgotten.
        """
        if isinstance(notice.event, ErasureRequested):
            self._lines.clear()
        if isinstance(notice.event, VoiceClip):
            notice = replace(notice, event=msgspec.structs.replace(notice.event, sound=b""))  # its consent may end
        if notice.topic in _TOPICS and not (notice.event is not None and notice.event.bulk):
            self._lines.append(notice)

    def newest_first(self) -> Sequence[Notice]:
        """At most _KEPT_MAX."""
        return tuple(reversed(self._lines))
