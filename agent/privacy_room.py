"""The owner's will at run time: what he agrees to, takes back, or lets be erased. Page, voice and commands come here.

`consents.agreed()` is what is in force now; whoever collects for a purpose asks it each time. `grant`, `revoke` and
`erase` change things; `state` tells people how they stand. All are for the event loop's thread.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.erasure import ErasureReceipt, Selection
from agent.core.errors import StoreError
from agent.core.events import Event, Purpose, TripEnded
from agent.core.paths import CONSENT
from agent.core.ports import Clock, Hardware, Notice
from agent.core.privacy_events import By
from agent.core.records import SEQUENCE_MAX, Position, SealedRecord
from agent.core.terms import Terms
from agent.link.uplink import Uplink
from agent.platform import NationalPlatform
from agent.privacy.consent import Consents, InForce
from agent.privacy.door import Door, Grant, Request, Revoke
from agent.privacy.egress import EgressFilter
from agent.privacy.erasures import Erasure, Erasures
from agent.privacy.notices import PURPOSES, load_notices, versions_of
from agent.privacy_export import export_parts
from agent.store.recorder import Recorder
from agent.supervise import keep_telling

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_PERIOD_S: Final = 0.5
_AGAIN_NS: Final = 30 * 10**9
_BUSY_S: Final = 5.0  # well below the unit's WatchdogSec
_BUSY_LONGEST_S: Final = 1800.0
_WAIT_S: Final = 5.0  # that a command is kept waiting for an erasure, and others behind it


class PrivacyRoom:
    """What the app starts and stops. notices: what the driver is told, by language and purpose; egress: the filter."""

    def __init__(
        self, config: Config, hardware: Hardware, clock: Clock, *, time: BestTime, emit: Callable[[Event], None]
    ) -> None:
        """Read what was chosen in earlier runs. Raises ConfigError where a notice is not whole."""
        self.notices = load_notices(CONSENT)
        self._versions = versions_of(self.notices)
        self.consents = Consents(
            config.consent,
            self._versions,
            store=hardware.consent_store,
            time=time,
            monotonic_ns=clock.monotonic_ns,
        )
        self.egress = EgressFilter(self.consents.agreed)
        self.in_force: Collection[Purpose] = InForce(self.consents)
        self.sent: Collection[Purpose] = self.in_force if config.link.host else ()
        self._config = config
        self._device_key = hardware.keystore.public_key
        self._clock = clock
        self._emit = emit
        self._door = Door(Path(config.store.directory), self._carry_out)
        self._ended = self.consents.start()
        self._time = time
        self._notify = hardware.notify
        self._service = hardware.service
        self._opened = False
        self._kept = hardware.kept
        self._erasures = Erasures(hardware.erasure_store)
        self._told_overdue: set[str] = set()
        self._behind = False
        self._again_ns = 0
        self._sweeping = asyncio.Lock()
        self._begun: set[asyncio.Task[object]] = set()  # what goes on although nobody waits for it any more

    async def open(self, recorder: Recorder, uplink: Uplink | None, platform: NationalPlatform | None) -> None:
        """Before anything is emitted: do what was asked for while the agent was off, and what was broken off."""
        self._recorder, self._uplink, self._platform = recorder, uplink, platform
        for erasure in self._erasures.all():
            if erasure.is_asked_again(self._time.now()):  # the insurer did not hear of it, or his answer was lost
                self._emit(erasure.event(self._clock.monotonic_ns()))
        await self._wait_for(self._begin(self._catch_up(), "catch-up"))
        for event in self._ended:
            self._emit(event)
        self._door.open()
        await self._door.look()
        self._opened = True

    async def run(self) -> None:
        """Until cancelled; an erasure that goes on is broken off then, and taken up at the next start."""
        try:
            while True:
                await self._clock.sleep(_PERIOD_S)
                for event in self.consents.look():
                    self._emit(event)
                with self._clock.hold():
                    await self._door.look()
                    await self._try_again()
                self._tell_overdue()
        finally:
            for begun in self._begun:
                begun.cancel()
            await asyncio.gather(*self._begun, return_exceptions=True)

    def on_event(self, event: Event) -> None:
        """Behind the door: a consent for one trip covers the trip's own end."""
        if isinstance(event, TripEnded):
            for ended in self.consents.end_trip():
                self._emit(ended)

    def allows(self, purpose: Purpose) -> bool:
        """Whether a purpose is agreed to now."""
        return self.consents.agreed().allows(purpose)

    def withholds(self, record: SealedRecord) -> bool:
        """Whether it waits to be deleted since its purpose was taken back: it is not to leave meanwhile."""
        unwanted = self.consents.unswept()
        return bool(unwanted) and Selection(frozenset(unwanted)).covers(record.purposes.split(), None)

    def grant(self, purpose: Purpose, terms: Terms, *, by: By) -> None:
        """Agree to a purpose from now on. Raises InputError."""
        self._emit(self.consents.grant(purpose, terms, by=by))

    async def revoke(self, purposes: Sequence[Purpose], *, by: By) -> None:
        """Agree no longer. When this returns nothing of these purposes is collected, and what waits is deleted.

        Behind a long erasure that goes on by itself.
        """
        self._stop(purposes, by)
        await self._wait_for(self._begin(self._catch_up(), "sweep"))

    def take_back(self, purposes: Sequence[Purpose], *, by: By) -> None:
        """As revoke, for who cannot wait: what waits is deleted by `run`, at its next look."""
        self._stop(purposes, by)
        self._behind, self._again_ns = True, self._clock.monotonic_ns()

    async def erase(self, selection: Selection, *, by: By) -> str:
        """Let data be gone, here and at the insurer's; returns the request's name. Consents stay as they are.

        What the disk refuses now is tried again, also after a restart; `state` says when it is done. What was learnt of
        the car is in memory until the agent stops, and is not written again. Raises StoreError where not even the
        request can be kept.
        """
        request, boot = os.urandom(16).hex(), self._recorder.outbox.boot
        erasure = self._erasures.add(selection, request=request, boot=boot, by=by, now=self._time.now())
        self._emit(erasure.event(self._clock.monotonic_ns()))
        with suppress(StoreError):  # it is told when it is tried again, in its turn
            await self._draw_line(erasure)
        await self._catch_up()
        return request

    async def begin_erasure(self, selection: Selection, *, by: By) -> str:
        """As erase, but returns after some seconds, and then "" where it is not done yet and goes on by itself."""
        erasing = self._begin(self.erase(selection, by=by), "erasure")
        done = await self._wait_for(erasing)
        return erasing.result() if done and not self._behind else ""

    def on_erased(self, receipt: ErasureReceipt, blob: bytes) -> None:
        """The insurer has signed that it is gone with him. If the disk refuses he is asked again at the next start."""
        try:
            erasure = self._erasures.take(receipt, blob)
        except StoreError as exc:
            _LOG.warning("the receipt for erasure %s is not kept: %s", receipt.request, exc)
            return
        if erasure is not None:
            text = f"erasure {receipt.request}: {receipt.records} records are gone at the insurer's, signed"
            self._say(text)

    def state(self) -> dict[str, Any]:
        """How things stand, as plain values.

        `purposes`: a list in the order of agent.privacy.notices.PURPOSES. `erasures`: as agent.privacy.erasures has
        them, oldest first, without the receipt's bytes, and whether each is overdue.
        """
        now = self._time.now()
        erasures = [
            {**_plain(each), "receipt": bool(each.receipt), "overdue": each.is_overdue(now)}
            for each in self._erasures.all()
        ]
        return {"purposes": [self._tell(purpose) for purpose in PURPOSES], "erasures": erasures}

    def summary(self) -> dict[str, Any]:
        """For the status: what is agreed to, and how many erasures wait for this box, or for the insurer too long."""
        agreed = self.consents.agreed()
        return {
            "agreed": [purpose for purpose in PURPOSES if agreed.allows(purpose)],
            "erasures_undone": len(self._erasures.undone()),
            "erasures_overdue": len(self._erasures.overdue(self._time.now())),
        }

    def export(self, owner_key: X25519PrivateKey | None) -> Iterator[str]:
        """The owner's data as JSON, piece by piece; see agent.privacy_export. It reads the disk: not in the loop."""
        consents = [_plain(self.consents.standing(purpose)) for purpose in PURPOSES]
        device_key = Ed25519PublicKey.from_public_bytes(self._device_key)
        return export_parts(Path(self._config.store.directory), self._config, device_key, owner_key, consents=consents)

    def _stop(self, purposes: Sequence[Purpose], by: By) -> None:
        for purpose in purposes:
            event = self.consents.revoke(purpose, by=by)
            if event is not None:
                self._emit(event)

    def _begin(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._begun.add(task)
        return task

    async def _wait_for(self, begun: asyncio.Task[T]) -> bool:
        """Whether it was done in some seconds; raises then what it raised."""
        done, _ = await asyncio.wait({begun}, timeout=_WAIT_S)
        if done:
            self._begun.discard(begun)
            begun.result()
        return bool(done)

    async def _try_again(self) -> None:
        """What the disk refused; not while somebody is at it, and not at once: a large store is written as a whole."""
        for begun in [each for each in self._begun if each.done()]:
            self._begun.remove(begun)
            begun.result()  # a bug ends the process
        if self._behind and not self._sweeping.locked() and self._clock.monotonic_ns() >= self._again_ns:
            await self._wait_for(self._begin(self._catch_up(), "again"))

    async def _catch_up(self) -> None:
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
                if not self._behind:
                    _LOG.warning("not everything is deleted yet that should be: %s", exc)
                self._behind = True
                self._again_ns = self._clock.monotonic_ns() + _AGAIN_NS
            else:
                self._behind = False
            finally:
                telling.cancel()
                await asyncio.wait({telling})

    async def _sweep(self) -> None:
        """Until nothing is left: while a long erasure runs more is taken back, or asked for."""
        while (unwanted := self.consents.unswept()) or self._erasures.undone():
            if unwanted:
                await self._delete(Selection(frozenset(unwanted)))
                self.consents.mark_swept(unwanted)
            for erasure in self._erasures.undone():
                await self._carry_out_erasure(erasure)

    def _tell_busy(self) -> None:
        self._service("alive" if self._opened else "starting")

    async def _carry_out_erasure(self, erasure: Erasure) -> None:
        """Rows, then files, then all that stays under a fresh key, then the old key. Raises StoreError."""
        if erasure.sequence is None and erasure.boot == self._recorder.outbox.boot:
            erasure = await self._draw_line(erasure)
        selection = erasure.selection
        sequence = SEQUENCE_MAX if erasure.sequence is None else erasure.sequence
        records = await self._delete(selection, request=erasure.request, until=Position(erasure.boot, sequence))
        purposes = selection.purposes
        for kept in self._kept:
            if purposes is None or purposes & kept.purposes:
                await asyncio.to_thread(kept.store.forget)
        await self._recorder.outbox.write_anew()
        await self._recorder.outbox.shred_old_keys()
        records = self._erasures.finish(erasure.request, records)
        self._say(f"erasure {erasure.request}: {records} records and what was learnt are gone from this box")

    async def _draw_line(self, erasure: Erasure) -> Erasure:
        """What comes from now on stays, however long it takes until its turn. Raises StoreError."""
        dropped, last = await self._recorder.forget_waiting(erasure.selection)
        return self._erasures.draw_line(erasure.request, last, dropped)

    async def _delete(self, selection: Selection, *, request: str = "", until: Position | None = None) -> int:
        """What waits to leave, by every way. Raises StoreError."""
        records = await self._recorder.erase(selection, request=request, until=until)
        if self._uplink is not None:
            self._uplink.erased()
        if self._platform is not None and (selection.purposes is None or "safety" in selection.purposes):
            await self._platform.forget(selection)
        return records

    def _tell_overdue(self) -> None:
        for erasure in self._erasures.overdue(self._time.now()):
            if erasure.request not in self._told_overdue:
                self._told_overdue.add(erasure.request)
                self._say(f"erasure {erasure.request}: the insurer has not signed for it in time")

    def _say(self, text: str) -> None:
        _LOG.info("%s", text)
        self._notify(Notice("sync", self._clock.monotonic_ns(), text))

    def _tell(self, purpose: Purpose) -> dict[str, Any]:
        standing = self.consents.standing(purpose)
        choice = _plain(standing.choice) if standing.choice else {}
        return {
            **choice,
            "purpose": purpose,
            "in_force": standing.in_force,
            "why": standing.why,
            "notice_now": self._versions[purpose],
            "withheld": self.egress.withheld[purpose],
        }

    async def _carry_out(self, request: Request) -> str:
        if isinstance(request, Grant):
            self.grant(request.purpose, request, by="command")
            return f"{request.purpose}: agreed to"
        if isinstance(request, Revoke):
            await self.revoke(request.purposes, by="command")
            return f"{', '.join(request.purposes)}: no longer agreed to"
        selection = Selection(frozenset(request.purposes) or None, request.from_ns, request.until_ns)
        if name := await self.begin_erasure(selection, by="command"):
            return f"erasure {name}: gone from this box"
        return "the erasure is begun; `outrider status` has erasures_undone until it is gone from this box"


def _plain(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(value, builtin_types=(bytes,)))
