"""What is said word for word is made into sound before it is needed, and anew when language or volume change."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from agent.core.backoff import backoff_waits
from agent.core.errors import SourceLost
from agent.core.ports import Clock, Utterance

_LOG: Final = logging.getLogger(__name__)
_FIRST_S: Final = 5.0
_LONGEST_S: Final = 600.0

Prepare = Callable[[Sequence[Utterance]], Coroutine[Any, Any, None]]


class Rehearsal:
    """prepare: makes and keeps what is not made yet; raises SourceLost. texts: what to make, as of when it is asked."""

    def __init__(self, prepare: Prepare, texts: Callable[[], Sequence[Utterance]], *, clock: Clock) -> None:
        self._prepare = prepare
        self._texts = texts
        self._clock = clock
        self._changed = asyncio.Event()

    def begin_anew(self) -> None:
        """Something that the sound depends on has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Make it, then wait for a change, for ever."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as making:
                made = making.create_task(self._make(), name="speech-make")
                await self._changed.wait()
                made.cancel()

    async def _make(self) -> None:
        """A voice that fails is tried again; only the first failure is told."""
        waits = backoff_waits(lambda: 1.0, first_s=_FIRST_S, longest_s=_LONGEST_S)
        for number, wait_s in enumerate(waits):
            try:
                await self._prepare(self._texts())
            except SourceLost as exc:
                if not number:
                    _LOG.warning("speech is not made ahead yet, and tried again: %s", exc)
                await self._clock.sleep(wait_s)
            else:
                return
