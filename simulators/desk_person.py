"""The person at the insurer's desk, simulated: seeded, one ticket a turn, the gravest first; in its own time."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.core.paths import ROOT
from agent.core.section import Section
from agent.core.toml import load_toml
from fleet.desk.acts import Acts, Texts
from fleet.desk.store import DeskStore
from fleet.desk.ticket import DeskTicket

_WORDS: Final = ROOT / "simulators" / "desk_person.toml"
_SHANGHAI: Final = timedelta(hours=8)
_POINTS: Final = 50
_QUARTER_S: Final = 900
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Answer(Section, frozen=True, kw_only=True):
    zh: str
    en: str


class _File(Section, frozen=True, kw_only=True):
    """answers: by kind of ticket, the first one, and what is said after each reopening."""

    answers: dict[str, list[_Answer]]
    places: list[_Answer]


class DeskPerson:
    """Answers what is open. delay_s: how long a ticket waits for its answer, at least and at most."""

    def __init__(
        self, store: DeskStore, *, now_ns: Callable[[], int], seed: int = 7, delay_s: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._store = store
        self._acts = Acts(store, now_ns=now_ns)
        self._now_ns = now_ns
        self._seed = seed
        self._delay_s = delay_s
        self._file = load_toml(_WORDS, _File)

    def act(self) -> DeskTicket | None:
        """Do the next thing that is to be done; returns the ticket, None where nothing is."""
        waiting = [ticket for ticket in self._store.tickets(is_open=True) if self._is_ready(ticket)]
        ticket = min(waiting, key=lambda one: (-one.severity, one.number), default=None)
        if ticket is None:
            return None
        if ticket.kind == "collision" and ticket.answered_ns is None:
            place = self._chance(ticket).choice(self._file.places)
            return self._acts.announce_surveyor(ticket, self._arrival(ticket), (place.zh, place.en))
        if ticket.call_back:
            return self._acts.close(ticket, "called")
        if ticket.kind == "idea":
            self._acts.thank(ticket, _POINTS)
            return self._acts.close(ticket, "taken_up")
        answers = self._file.answers[ticket.kind]
        answer = answers[min(ticket.reopened, len(answers) - 1)]
        return self._acts.answer(ticket, (answer.zh, answer.en))

    def _is_ready(self, ticket: DeskTicket) -> bool:
        """Unanswered; or a crash whose surveyor was told, and that nobody has been asked about yet."""
        answered = ticket.state == "answered"
        if answered and not ticket.call_back and (ticket.kind != "collision" or ticket.asked_ns is not None):
            return False
        since_ns = ticket.answered_ns if answered and ticket.answered_ns else ticket.clock_ns
        return self._now_ns() - since_ns >= self._chance(ticket).uniform(*self._delay_s) * 1e9

    def _arrival(self, ticket: DeskTicket) -> Texts:
        """A quarter of an hour, 30 to 90 minutes from now, by China's clocks; as long to read at any time of day."""
        wait_s = self._chance(ticket).uniform(1800, 5400)
        quarter = round((self._now_ns() / 1e9 + wait_s) / _QUARTER_S) * _QUARTER_S
        at = _EPOCH + timedelta(seconds=quarter) + _SHANGHAI
        return f"{at:%H:%M}", f"at {at:%H:%M}"

    def _chance(self, ticket: DeskTicket) -> random.Random:
        return random.Random(f"{self._seed}/{ticket.number}/{ticket.reopened}")
