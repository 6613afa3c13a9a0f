"""The owner's will at run time: what he agrees to, what he takes back. The page, the voice and commands come here.

`consents.agreed()` is what is in force now; whoever collects for a purpose asks it each time. `grant` and `revoke`
change it; `state` tells it to people. All are for the event loop's thread.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.events import Event, Purpose, TripEnded
from agent.core.paths import CONSENT
from agent.core.ports import Clock, Hardware
from agent.core.privacy_events import By, Precision
from agent.privacy.consent import DAYS_DEFAULT, Consents
from agent.privacy.door import Door, Grant, Request
from agent.privacy.egress import EgressFilter
from agent.privacy.notices import PURPOSES, load_notices, versions_of
from agent.store.recorder import Recorder

_PERIOD_S: Final = 0.5


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
        self.sent: Collection[Purpose] = InForce(self.consents) if config.link.host else ()
        self._clock = clock
        self._emit = emit
        self._door = Door(Path(config.store.directory), self._carry_out)
        self._ended = self.consents.start()

    async def open(self, recorder: Recorder) -> None:
        """Before anything is emitted: do what was asked for while the agent was off."""
        self._recorder = recorder
        for event in self._ended:
            self._emit(event)
        self._door.open()
        await self._door.look()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_PERIOD_S)
            for event in self.consents.look():
                self._emit(event)
            with self._clock.hold():
                await self._door.look()

    def on_event(self, event: Event) -> None:
        """Behind the door: a consent for one trip covers the trip's own end."""
        if isinstance(event, TripEnded):
            for ended in self.consents.end_trip():
                self._emit(ended)

    def allows(self, purpose: Purpose) -> bool:
        """Whether a purpose is agreed to now."""
        return self.consents.agreed().allows(purpose)

    def grant(
        self,
        purpose: Purpose,
        *,
        by: By,
        notice: int,
        days: int = DAYS_DEFAULT,
        trip_only: bool = False,
        score_only: bool = False,
        place: Precision = "none",
    ) -> None:
        """Agree to a purpose from now on; see Consents.grant. Raises InputError."""
        event = self.consents.grant(
            purpose, by=by, notice=notice, days=days, trip_only=trip_only, score_only=score_only, place=place
        )
        self._emit(event)

    async def revoke(self, purposes: Sequence[Purpose], *, by: By) -> None:
        """Agree no longer. When this returns nothing of these purposes is collected."""
        for purpose in purposes:
            event = self.consents.revoke(purpose, by=by)
            if event is not None:
                self._emit(event)

    def state(self) -> dict[str, Any]:
        """How things stand, as plain values: `purposes`, a list in the order of agent.privacy.notices.PURPOSES."""
        return {"purposes": [self._tell(purpose) for purpose in PURPOSES]}

    def _tell(self, purpose: Purpose) -> dict[str, Any]:
        standing = self.consents.standing(purpose)
        choice = cast("dict[str, Any]", msgspec.to_builtins(standing.choice) if standing.choice else {})
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
            self.grant(
                request.purpose,
                by="command",
                notice=request.notice,
                days=request.days,
                trip_only=request.trip_only,
                score_only=request.score_only,
                place=request.place,
            )
            return f"{request.purpose}: agreed to"
        await self.revoke(request.purposes, by="command")
        return f"{', '.join(request.purposes)}: no longer agreed to"


class InForce(Collection[Purpose]):
    """The purposes that are agreed to at the moment somebody looks."""

    def __init__(self, consents: Consents) -> None:
        self._consents = consents

    def __contains__(self, purpose: object) -> bool:
        return purpose in self._consents.agreed().grounds

    def __iter__(self) -> Iterator[Purpose]:
        return (purpose for purpose in PURPOSES if purpose in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
