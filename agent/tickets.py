"""The driver's side of his insurer's tickets: takes the desk's messages, has them told, tells what he makes of them.

What came is remembered over starts, so that nothing is told twice and nothing is lost that was not told yet.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from agent.core.best_time import Now
from agent.core.desk import DeskNote
from agent.core.desk_events import Channel, DeskMessage, TicketReopened
from agent.core.desk_state import DeskBook, Kept, parse_book, save_book
from agent.core.errors import SealError
from agent.core.event_base import Event
from agent.core.events import Feedback
from agent.core.keeper import Keeper
from agent.core.ports import Clock, Keystore, Language, StateStore
from agent.desk import open_note

DID_IT_HELP: Final = "did_it_help"

_LOG: Final = logging.getLogger(__name__)
_HOUR_NS: Final = 3_600 * 10**9
_PER_HOUR_MAX: Final = 20
_TIMES_MAX: Final = 64
_CRASH_NS: Final = 60 * 10**9  # the desk counts impacts within a minute as one crash
_CRASHES: Final = frozenset({"collision", "rollover"})
_DESK: Final = "desk_message"


class Tickets:
    """Hears the way down and the driver's answers. Its words go the way of all events: through the gate."""

    def __init__(
        self,
        keystore: Keystore,
        insurer_key: bytes,
        clock: Clock,
        *,
        now: Callable[[], Now],
        language: Callable[[], Language],
        emit: Callable[[Event], None],
        speak: Callable[[Event], None],
        store: StateStore | None = None,
    ) -> None:
        """insurer_key: of receipts. emit: keeps an event; speak: has a message said, of each kind one at a time.

        store: raises StoreError; a disk that refuses is tried again.
        """
        self._keystore = keystore
        self._insurer_key = insurer_key
        self._clock = clock
        self._now = now
        self._language = language
        self._emit = emit
        self._speak = speak
        self._keeper = Keeper(store, "desk messages and tickets", lambda: save_book(self._book))
        self._book = self._keeper.load(parse_book) or DeskBook()
        self._boot = 0
        self._taken_ns: deque[int] = deque(maxlen=_PER_HOUR_MAX)
        self._offered: dict[str, tuple[str, int]] = {}  # kind -> id of the message that waits to be said, since when
        self._looked_ns = clock.monotonic_ns()
        self._fresh: dict[str, DeskMessage] = {}  # as just emitted
        self._numbers: dict[int, tuple[int, str]] = {}  # t_ns of a message -> its ticket and id
        self._counts: Counter[str] = Counter()

    @property
    def book(self) -> DeskBook:
        """What is remembered: for the page, which shows it."""
        return self._book

    def counters(self) -> Mapping[str, int]:
        """taken, refused, again (came once more), lapsed (never told in time)."""
        return self._counts

    def begin(self, boot: int) -> None:
        """Have told what an earlier start took and did not get to tell."""
        self._boot = boot
        self._offer()

    def on_desk(self, blob: bytes) -> None:
        """Take a message as it came down; what is wrong with it is one line, and no more."""
        try:
            note = open_note(blob, self._keystore, self._insurer_key)
        except SealError as exc:
            self._refuse(f"a desk message is refused: {exc}")
            return
        if reason := self._book.refuses(note):
            self._counts["again"] += 1
            _LOG.info("%s: ignored", reason)
            return
        if self._now().passed(note.expires_ns):
            self._refuse(f"desk message {note.id} is refused: it has expired")
            return
        now_ns = self._clock.monotonic_ns()
        if len(self._taken_ns) == _PER_HOUR_MAX and now_ns - self._taken_ns[0] < _HOUR_NS:
            self._refuse(f"desk message {note.id} is refused for now: {_PER_HOUR_MAX} came within an hour")
            return
        self._taken_ns.append(now_ns)
        self._counts["taken"] += 1
        self._book.add(note, blob)
        self._keeper.save()
        self._fresh[note.id] = event = self._event_of(note)
        self._emit(event)
        if event.channel == "voice":
            self._offer()
        else:
            self._tell(note.id)
        self._fresh.clear()

    def look(self) -> None:
        """Once an hour: offer anew what waits; who speaks may have given it up, in a car that stood for days."""
        now_ns = self._clock.monotonic_ns()
        self._keeper.look(now_ns)
        if now_ns - self._looked_ns < _HOUR_NS:
            return
        self._looked_ns = now_ns
        self._offered = {what: one for what, one in self._offered.items() if now_ns - one[1] < _HOUR_NS}
        self._offer()

    def ticket_of(self, event: Feedback) -> int:
        """The ticket that an answer of the driver belongs to, 0 for none."""
        if event.about_ns is None:
            return 0
        if event.about == _DESK:
            return self._numbers.get(event.about_ns, (0, ""))[0]
        within_ns = _CRASH_NS if event.about in _CRASHES else 0
        return self._book.ticket_about(self._boot, event.about_ns, within_ns=within_ns)

    def open_tickets(self) -> list[int]:
        """Numbers of the tickets that are not closed, the newest first."""
        return [ticket.number for ticket in reversed(self._book.tickets.values()) if ticket.is_open]

    def on_event(self, event: Event) -> None:
        """Follow the driver's answers."""
        if not isinstance(event, Feedback):
            return
        if event.question == DID_IT_HELP and event.intent in {"yes", "no", "call_me"}:
            call = event.intent == "call_me"
            self.judge(event.ticket, helped=event.intent == "yes", words=event.transcript, call=call)

    def messages(self) -> list[tuple[DeskNote, bool]]:
        """What came, the oldest first, and whether it was told: for the page. What cannot be opened is left out."""
        opened = ((self._open_kept(kept), kept.told) for kept in self._book.kept)
        return [(note, told) for note, told in opened if note is not None]

    def judge(self, number: int, *, helped: bool, words: str = "", call: bool = False) -> None:
        """The driver says, by voice or on the page, whether a ticket's newest answer helped; call: he wants a call."""
        ticket = self._book.tickets.get(number)
        self._book.answered(number, helped=helped)
        if call:
            self._book.channel = "call"
        if not helped:
            message = ticket.message if ticket else ""
            t_ns = self._clock.monotonic_ns()
            self._emit(TicketReopened(t_ns=t_ns, ticket=number, message=message, words=words, call=call))
        self._keeper.save()

    def prefer(self, channel: Channel) -> None:
        """How the driver wants answers from now on."""
        self._book.channel = channel
        self._keeper.save()

    def on_told(self, event: Event) -> None:
        """What was said aloud of the desk counts as told; what only a screen showed is offered again."""
        if isinstance(event, DeskMessage):
            self._tell(event.id)

    def _tell(self, message: str) -> None:
        if any(one.id == message for one in self._book.untold()):
            self._book.told(message)
            self._keeper.save()
        left = {what: one for what, one in self._offered.items() if one[0] != message}
        if len(left) < len(self._offered):
            self._offered = left
            self._offer()

    def _offer(self) -> None:
        """Of each kind one message at a time: who speaks keeps no more of one kind."""
        for kept in list(self._book.untold()):
            note = self._open_kept(kept)
            if note is None:
                self._book.told(kept.id)
            elif self._now().passed(note.expires_ns):
                self._counts["lapsed"] += 1
                self._book.told(kept.id)
            elif note.what not in self._offered:
                self._offered[note.what] = note.id, self._clock.monotonic_ns()
                self._speak(self._fresh.get(note.id) or self._event_of(note))
        self._keeper.save()

    def _open_kept(self, kept: Kept) -> DeskNote | None:
        try:
            return open_note(kept.sealed, self._keystore, self._insurer_key)
        except SealError as exc:
            _LOG.warning("a desk message that was kept is let go: %s", exc)
            return None

    def _event_of(self, note: DeskNote) -> DeskMessage:
        t_ns, language = self._clock.monotonic_ns(), self._language()
        while t_ns in self._numbers:  # two in one instant: answers name them by their time
            t_ns += 1
        self._numbers[t_ns] = (note.ticket, note.id)
        if len(self._numbers) > _TIMES_MAX:
            del self._numbers[next(iter(self._numbers))]
        return DeskMessage(
            t_ns=t_ns,
            id=note.id,
            what=note.what,
            ticket=note.ticket,
            created_ns=note.created_ns,
            about_boot=note.boot,
            about_sequence=note.sequence,
            points=note.points,
            text=note.zh if language == "zh" else note.en,
            language=language,
            channel="voice" if note.what == "surveyor" else self._book.channel,
        )

    def _refuse(self, reason: str) -> None:
        self._counts["refused"] += 1
        _LOG.warning("%s", reason)
