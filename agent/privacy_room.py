"""The owner's will at run time: what he agrees to, takes back, or lets be erased. Page, voice and commands come here.

`consents.agreed()` is what is in force now; whoever collects for a purpose asks it each time. `grant`, `revoke` and
`erase` change things; `state` tells people how they stand. All are for the event loop's thread.
"""

import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.erasure import ErasureReceipt, Selection
from agent.core.errors import StoreError
from agent.core.events import Event, Purpose, TripEnded
from agent.core.paths import CONSENT
from agent.core.ports import Clock, Hardware, Notice
from agent.core.privacy_events import By
from agent.core.terms import Terms
from agent.link.uplink import Uplink
from agent.platform import NationalPlatform
from agent.privacy.consent import Consents, InForce
from agent.privacy.door import Door, Grant, Request, Revoke
from agent.privacy.egress import EgressFilter
from agent.privacy.erasures import Erasures
from agent.privacy.notices import PURPOSES, load_notices, versions_of
from agent.store.recorder import Recorder
from agent.sweep import Sweeper

_LOG: Final = logging.getLogger(__name__)
_PERIOD_S: Final = 0.5


class PrivacyRoom:
    """What the app starts and stops. notices: what the driver is told, by language and purpose; egress: the filter."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        clock: Clock,
        *,
        time: BestTime,
        emit: Callable[[Event], None],
        forget_wishes: Callable[[], None] = lambda: None,
    ) -> None:
        """Read what was chosen in earlier runs. Raises ConfigError where a notice is not whole.

        forget_wishes: called where everything is erased, for what others remember of the owner's wishes.
        """
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
        self._clock = clock
        self._emit = emit
        self._door = Door(Path(config.store.directory), self._carry_out)
        self._ended = self.consents.start()
        self._time = time
        self._notify = hardware.notify
        self._service = hardware.service
        self._opened = False
        self._erasures = Erasures(hardware.erasure_store)
        self._told_overdue: set[str] = set()
        self._sweeper = Sweeper(
            self.consents,
            self._erasures,
            hardware.kept,
            clock,
            tell_busy=self._tell_busy,
            say=self._say,
            forget_wishes=forget_wishes,
        )
        self.withholds = self._sweeper.withholds

    async def open(self, recorder: Recorder, uplink: Uplink | None, platform: NationalPlatform | None) -> None:
        """Before anything is emitted: do what was asked for while the agent was off, and what was broken off."""
        self._boot = recorder.outbox.boot
        self._sweeper.open(recorder, uplink, platform)
        for erasure in self._erasures.all():
            if erasure.is_asked_again(self._time.now()):  # the insurer did not hear of it, or his answer was lost
                self._emit(erasure.event(self._clock.monotonic_ns()))
        await self._sweeper.catch_up_for_a_while()
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
                    await self._sweeper.try_again()
                self._tell_overdue()
        finally:
            await self._sweeper.close()

    def on_event(self, event: Event) -> None:
        """Behind the door: a consent for one trip covers the trip's own end."""
        if isinstance(event, TripEnded):
            for ended in self.consents.end_trip():
                self._emit(ended)

    def allows(self, purpose: Purpose) -> bool:
        """Whether a purpose is agreed to now."""
        return self.consents.agreed().allows(purpose)

    def grant(self, purpose: Purpose, terms: Terms, *, by: By) -> None:
        """Agree to a purpose from now on. Raises InputError."""
        self._emit(self.consents.grant(purpose, terms, by=by))

    async def revoke(self, purposes: Sequence[Purpose], *, by: By) -> None:
        """Agree no longer. When this returns nothing of these purposes is collected, and what waits is deleted.

        Behind a long erasure that goes on by itself.
        """
        self._stop(purposes, by)
        await self._sweeper.catch_up_for_a_while()

    def take_back(self, purposes: Sequence[Purpose], *, by: By) -> None:
        """As revoke, for who cannot wait: what waits is deleted by `run`, at its next look."""
        self._stop(purposes, by)
        self._sweeper.hurry()

    async def erase(self, selection: Selection, *, by: By) -> str:
        """Let data be gone, here and at the insurer's; returns the request's name. Consents stay as they are.

        What the disk refuses now is tried again, also after a restart; `state` says when it is done. What was learnt of
        the car is in memory until the agent stops, and is not written again. Raises StoreError where not even the
        request can be kept.
        """
        request = os.urandom(16).hex()
        erasure = self._erasures.add(selection, request=request, boot=self._boot, by=by, now=self._time.now())
        self._emit(erasure.event(self._clock.monotonic_ns()))
        with suppress(StoreError):  # it is told when it is tried again, in its turn
            await self._sweeper.draw_line(erasure)
        await self._sweeper.catch_up()
        return request

    async def begin_erasure(self, selection: Selection, *, by: By) -> str:
        """As erase, but returns after some seconds, and then "" where it is not done yet and goes on by itself."""
        erasing = self._sweeper.begin(self.erase(selection, by=by), "erasure")
        done = await self._sweeper.wait_for(erasing)
        return erasing.result() if done and not self._sweeper.behind else ""

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

    def _stop(self, purposes: Sequence[Purpose], by: By) -> None:
        for event in self.consents.revoke(purposes, by=by):
            self._emit(event)

    def _tell_busy(self) -> None:
        self._service("alive" if self._opened else "starting")

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
