"""Deletes what was taken back or is to be erased, wherever it waits; who asks for it waits for seconds at most."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Final, TypeVar

from agent.core.erasure import Selection
from agent.core.errors import StoreError
from agent.core.ports import Clock, Kept
from agent.core.records import SEQUENCE_MAX, Position, SealedRecord
from agent.link.uplink import Uplink
from agent.platform import NationalPlatform
from agent.privacy.consent import Consents
from agent.privacy.erasures import Erasure, Erasures
from agent.store.recorder import Recorder
from agent.supervise import keep_telling

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_AGAIN_NS: Final = 30 * 10**9
_BUSY_S: Final = 5.0  # well below the unit's WatchdogSec
_BUSY_LONGEST_S: Final = 1800.0
_WAIT_S: Final = 5.0  # that a command is kept waiting for an erasure, and others behind it


class Sweeper:
    """One a box. behind: the disk has refused, or somebody could not wait: `try_again` does it."""

    def __init__(
        self,
        consents: Consents,
        erasures: Erasures,
        kept: Sequence[Kept],
        clock: Clock,
        *,
        tell_busy: Callable[[], None],
        say: Callable[[str], None],
        forget_wishes: Callable[[], None],
    ) -> None:
        """kept: what was learnt of the car; tell_busy: called while it goes on; say: told what is gone.

        forget_wishes: called in the loop's thread where everything goes, for what is remembered of the owner's wishes.
        """
        self.behind = False
        self._consents = consents
        self._erasures = erasures
        self._kept = kept
        self._clock = clock
        self._tell_busy = tell_busy
        self._say = say
        self._forget_wishes = forget_wishes
        self._again_ns = 0
        self._sweeping = asyncio.Lock()
        self._begun: set[asyncio.Task[object]] = set()  # what goes on although nobody waits for it any more

    def open(self, recorder: Recorder, uplink: Uplink | None, platform: NationalPlatform | None) -> None:
        """Where things wait to leave."""
        self._recorder, self._uplink, self._platform = recorder, uplink, platform

    async def close(self) -> None:
        """Break off what goes on; the next start takes it up."""
        for begun in self._begun:
            begun.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)

    def begin(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Let it run, until it is done or this is closed."""
        task = asyncio.create_task(work, name=name)
        self._begun.add(task)
        return task

    async def wait_for(self, begun: asyncio.Task[T]) -> bool:
        """Whether it was done in some seconds; raises then what it raised."""
        done, _ = await asyncio.wait({begun}, timeout=_WAIT_S)
        if done:
            self._begun.discard(begun)
            begun.result()
        return bool(done)

    async def catch_up_for_a_while(self) -> None:
        """Catch up; where that takes longer than some seconds it goes on by itself."""
        await self.wait_for(self.begin(self.catch_up(), "sweep"))

    def hurry(self) -> None:
        """There is something to do at the next `try_again`."""
        self.behind, self._again_ns = True, self._clock.monotonic_ns()

    async def try_again(self) -> None:
        """What the disk refused; not while somebody is at it, and not at once: a large store is written as a whole."""
        for begun in [each for each in self._begun if each.done()]:
            self._begun.remove(begun)
            begun.result()  # a bug ends the process
        if self.behind and not self._sweeping.locked() and self._clock.monotonic_ns() >= self._again_ns:
            await self.catch_up_for_a_while()

    async def catch_up(self) -> None:
        """Everything that is still to be deleted; what the disk refuses stays to be done.

        At a start a large store takes longer than the service manager waits for a sign of life: killed for that, the
        agent would begin anew each time.
        """
        async with self._sweeping:
            telling = asyncio.create_task(
                keep_telling(self._tell_busy, period_s=_BUSY_S, longest_s=_BUSY_LONGEST_S), name="busy"
            )
            try:
                await self._sweep()
            except StoreError as exc:
                if not self.behind:
                    _LOG.warning("not everything is deleted yet that should be: %s", exc)
                self.behind = True
                self._again_ns = self._clock.monotonic_ns() + _AGAIN_NS
            else:
                self.behind = False
            finally:
                telling.cancel()
                await asyncio.wait({telling})

    def withholds(self, record: SealedRecord) -> bool:
        """Whether it waits to be deleted since its purpose was taken back: it is not to leave meanwhile."""
        unwanted = self._consents.unswept()
        return bool(unwanted) and Selection(frozenset(unwanted)).covers(record.purposes.split(), None)

    async def draw_line(self, erasure: Erasure) -> Erasure:
        """What comes from now on stays, however long it takes until its turn. Raises StoreError."""
        dropped, last = await self._recorder.forget_waiting(erasure.selection)
        return self._erasures.draw_line(erasure.request, last, dropped)

    async def _sweep(self) -> None:
        """Until nothing is left: while a long erasure runs more is taken back, or asked for."""
        while (unwanted := self._consents.unswept()) or self._erasures.undone():
            if unwanted:
                await self._delete(Selection(frozenset(unwanted)))
                self._consents.mark_swept(unwanted)
            for erasure in self._erasures.undone():
                await self._carry_out(erasure)

    async def _carry_out(self, erasure: Erasure) -> None:
        """Rows, then files, then all that stays under a fresh key, then the old key. Raises StoreError."""
        if erasure.sequence is None and erasure.boot == self._recorder.outbox.boot:
            erasure = await self.draw_line(erasure)
        selection = erasure.selection
        sequence = SEQUENCE_MAX if erasure.sequence is None else erasure.sequence
        records = await self._delete(selection, request=erasure.request, until=Position(erasure.boot, sequence))
        await self._forget_learnt(selection)
        await self._recorder.outbox.write_anew()
        await self._recorder.outbox.shred_old_keys()
        records = self._erasures.finish(erasure.request, records)
        self._say(f"erasure {erasure.request}: {records} records and what was learnt are gone from this box")

    async def _forget_learnt(self, selection: Selection) -> None:
        """Raises StoreError."""
        purposes, everything = selection.purposes, selection.is_everything
        if everything:
            self._forget_wishes()  # before its file, or it would be written there again
        for kept in self._kept:
            if purposes is None or purposes & kept.purposes:
                await asyncio.to_thread(partial(kept.store.forget, everything=everything))

    async def _delete(self, selection: Selection, *, request: str = "", until: Position | None = None) -> int:
        """What waits to leave, by every way. Raises StoreError."""
        records = await self._recorder.erase(selection, request=request, until=until)
        if self._uplink is not None:
            self._uplink.erased()
        if self._platform is not None and (selection.purposes is None or "safety" in selection.purposes):
            await self._platform.forget(selection)
        return records
