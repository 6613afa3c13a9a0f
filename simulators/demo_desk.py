"""The demo's way of a crash: found in the car, on the disk, on the wire, at the desk, and back. Says each step once."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.core.events import (
    BatteryAlarm,
    ChargingFault,
    Collision,
    DeskMessage,
    Event,
    Feedback,
    Rollover,
    TicketReopened,
)
from agent.core.ports import Clock, Language, Notice
from fleet.desk.claims import Ticket
from fleet.desk.ticket import DeskTicket
from fleet.receiver.intake import Outcome
from fleet.receiver.store import Store
from simulators.claims_facts import note_text
from simulators.claims_page import page_name
from simulators.claims_pages import write_pages
from simulators.claims_words import word
from simulators.cloud import Cloud
from simulators.mosquitto import BrokerFailed

Say = Callable[[str], None]
_STEPS: Final = {"stored": "on the disk", "sent": "sent"}
_CONCERNS_A_DESK: Final = (Collision, Rollover, BatteryAlarm, ChargingFault, Feedback, TicketReopened)
_TURN_TIMEOUT_S: Final = 15.0


class DemoDesk:
    """Hears the car's notices and what the receiver accepts. on_air: whether car time is real time.

    The network is real, so what it takes is told in real time; and since when it happened only where the car's clock
    keeps step with it. What goes down to the car goes in turns: car time stands still meanwhile, so that it is taken at
    the same instant in every run. takes_turns: nothing is looked at before the first of them, since what waited for the
    network comes in an order of its own, and tickets count.
    """

    def __init__(
        self, say: Say, cloud: Cloud, clock: Clock, *, seed: int, on_air: bool, takes_turns: bool = False
    ) -> None:
        self._cloud = cloud
        self._desk = cloud.open_desk(tell=self._tell_ticket, on_case=self._tell_case, seed=seed)
        self._say = say
        self._clock = clock
        self._on_air = on_air
        self._found_s = 0.0
        self._awaited: list[str] = []
        self._looks = not takes_turns
        self._under_way: set[tuple[str, int]] = set()
        self._taken = 0
        self._changed = asyncio.Event()

    def notice(self, notice: Notice) -> None:
        """What the car shows: of the first notice of each crash, when it was safe and when it was sent."""
        if isinstance(notice.event, _CONCERNS_A_DESK) and notice.topic == "event":
            self._under_way.add(_name(notice.event))
        elif isinstance(notice.event, DeskMessage) and notice.topic == "event":
            self._taken += 1
            self._changed.set()
        if isinstance(notice.event, (Collision, Rollover)) and notice.topic == "event":
            self._found_s = time.perf_counter()
            self._awaited = list(_STEPS)
        elif notice.topic in self._awaited:
            self._awaited.remove(notice.topic)
            took_ms = (time.perf_counter() - self._found_s) * 1000
            self._say(f"the first notice of the crash is {_STEPS[notice.topic]}, {took_ms:.0f} ms after it was found")

    def take(self, outcome: Outcome) -> None:
        """What the receiver did with an envelope: the ticket that it opens or changes."""
        if outcome.event is None:
            return
        self._under_way.discard(_name(outcome.event))
        if self._looks:
            self._desk.desk.step()
        self._changed.set()

    async def turn(self) -> None:
        """The desk's turn, once it has heard all that concerns it; returns when the car has heard the desk.

        Raises BrokerFailed where that takes too long.
        """
        try:
            async with asyncio.timeout(_TURN_TIMEOUT_S):
                await self._until(lambda: not self._under_way)
                self._looks = True
                due = self._taken + await self._desk.turn(self._cloud.insurer_link())
                await self._until(lambda: self._taken >= due)
        except TimeoutError as exc:
            raise BrokerFailed(f"car and desk did not hear each other within {_TURN_TIMEOUT_S:g} s") from exc

    def write(self, store: Store, directory: Path, scenario: str, language: Language) -> Path | None:
        """Write the pages below directory; return the crash's, or the list, None where there is no ticket."""
        claims = self._desk.desk.claims
        if not claims.tickets:
            return None
        folder = directory / re.sub(r"[^\w.-]", "_", scenario)
        write_pages(store, claims, folder)
        crashes = [ticket.number for ticket in claims.tickets if ticket.kind == "collision"]
        return folder / page_name(crashes[0] if crashes else 0, language)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _tell_ticket(self, ticket: DeskTicket, what: str) -> None:
        if what in {"helped", "reopened", "overdue"}:
            self._say(
                f"ticket {ticket.number} {'is closed: the driver says that it helped' if what == 'helped' else what}"
            )

    def _tell_case(self, ticket: Ticket, before: Ticket | None) -> None:
        name = f"ticket {ticket.number}"
        if before is None:
            opened_s = (self._clock.monotonic_ns() - ticket.opened_ns) / 1e9
            after = f", {opened_s:.1f} s after T0" if self._on_air else ""
            crash = ticket.kind == "collision"
            what = word(f"kind_{ticket.kind}", "en").lower()
            self._say(f"{name} opened ({what}){after if crash else ''}: {word(ticket.answer, 'en')}")
        elif ticket.records != before.records:
            told = ", ".join(f"{number} {word(f'record_{state}', 'en')}" for number, state in ticket.records)
            self._say(f"{name}: crash record {told}")
        elif ticket.outcome != before.outcome:
            self._say(f"{name} closed: {word(ticket.outcome, 'en')}")
        elif ticket.notes != before.notes and ticket.notes[-1].key == "driver":
            self._say(f"{name}: {note_text(ticket.notes[-1], 'en')}")


def _name(event: Event) -> tuple[str, int]:
    return event.kind, event.t_ns
