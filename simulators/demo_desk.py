"""The demo's way of a crash: found in the car, on the disk, on the wire, at the claims desk. Says each step once."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.core.events import Collision, Rollover
from agent.core.ports import Language, Notice
from fleet.receiver.intake import Outcome
from fleet.receiver.store import Store
from simulators.claims import ClaimsDesk, Ticket
from simulators.claims_facts import note_text
from simulators.claims_page import page_name
from simulators.claims_pages import write_pages
from simulators.claims_words import word

Say = Callable[[str], None]
_STEPS: Final = {"stored": "on the disk", "sent": "sent"}


class DemoDesk:
    """Hears the car's notices and what the receiver accepts. on_air: whether car time is real time.

    The network is real, so what it takes is told in real time; and since when it happened only where the car's clock
    keeps step with it.
    """

    def __init__(self, say: Say, *, now_ns: Callable[[], int], on_air: bool) -> None:
        self.desk = ClaimsDesk()
        self._say = say
        self._now_ns = now_ns
        self._on_air = on_air
        self._found_s = 0.0
        self._awaited: list[str] = []

    def notice(self, notice: Notice) -> None:
        """What the car shows: of the first notice of each crash, when it was safe and when it was sent."""
        if isinstance(notice.event, (Collision, Rollover)) and notice.topic == "event":
            self._found_s = time.perf_counter()
            self._awaited = list(_STEPS)
        elif notice.topic in self._awaited:
            self._awaited.remove(notice.topic)
            took_ms = (time.perf_counter() - self._found_s) * 1000
            self._say(f"the first notice of the crash is {_STEPS[notice.topic]}, {took_ms:.0f} ms after it was found")

    def take(self, outcome: Outcome) -> None:
        """What the receiver did with an envelope: the ticket that it opens or changes."""
        if outcome.event is None or outcome.position is None:
            return
        before = {ticket.number: ticket for ticket in self.desk.tickets}
        boot = outcome.position.boot
        ticket = self.desk.take(outcome.device, boot, outcome.event, received_ns=time.time_ns())
        if ticket is not None:
            self._tell(ticket, before.get(ticket.number))

    def write(self, store: Store, directory: Path, scenario: str, language: Language) -> Path | None:
        """Write the pages below directory; return the crash's, or the list, None where there is no ticket."""
        if not self.desk.tickets:
            return None
        folder = directory / re.sub(r"[^\w.-]", "_", scenario)
        write_pages(store, self.desk, folder)
        crashes = [ticket.number for ticket in self.desk.tickets if ticket.kind == "collision"]
        return folder / page_name(crashes[0] if crashes else 0, language)

    def _tell(self, ticket: Ticket, before: Ticket | None) -> None:
        name = f"ticket {ticket.number}"
        if before is None:
            after = f", {(self._now_ns() - ticket.opened_ns) / 1e9:.1f} s after T0" if self._on_air else ""
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
