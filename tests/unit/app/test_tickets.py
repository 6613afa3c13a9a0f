"""The box's side of tickets: what it takes, has told and remembers, and what it makes of the driver's answers."""

import logging
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.best_time import BestTime
from agent.core.desk import DeskNote
from agent.core.desk_events import DeskMessage, TicketReopened
from agent.core.desk_state import KEPT_MAX, SEEN_MAX, TICKETS_MAX, load_book, protecting_rest
from agent.core.event_base import Event
from agent.core.events import Feedback
from agent.core.keys import parse_ed25519
from agent.core.ports import Language
from agent.desk import seal_note
from agent.tickets import Tickets
from drivers.keystore import FileKeystore
from simulators.clock import ManualClock
from tests.held_state import HeldState

INSURER = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
CAR = FileKeystore(Ed25519PrivateKey.from_private_bytes(b"\7" * 32), "car-1")
DAY_NS = 86_400 * 10**9


class Box:
    """Tickets with ears: what was emitted, and what is to be said."""

    def __init__(self, disk: HeldState, clock: ManualClock | None = None, language: Language = "en") -> None:
        self.clock = clock or ManualClock(start_ns=5)
        self.emitted: list[Event] = []
        self.spoken: list[DeskMessage] = []
        self.tickets = Tickets(
            CAR,
            INSURER.public_key().public_bytes_raw(),
            self.clock,
            now=BestTime(self.clock).now,
            language=lambda: language,
            emit=self._emit,
            speak=self._speak,
            store=disk,
        )
        self.tickets.begin(boot=3)

    def take(self, number: int = 1, **changes: Any) -> DeskNote:
        """Have a message come down; number makes its id."""
        now_ns = self.clock.wall_ns()
        fields: dict[str, Any] = {"what": "answer", "ticket": 1, "created_ns": now_ns, "expires_ns": now_ns + DAY_NS}
        note = DeskNote(id=f"m{number}", device="car-1", zh=f"答{number}", en=f"Answer {number}.", **fields | changes)
        self.tickets.on_desk(sealed(note))
        return note

    def say(self, event: DeskMessage) -> None:
        self.tickets.on_told(event)

    def answer(self, intent: str, *, question: str = "did_it_help", about: DeskMessage | None = None) -> Feedback:
        message = about or self.spoken[-1]
        said = self.complete(
            Feedback(
                t_ns=message.t_ns + 1, question=question, about=message.kind, about_ns=message.t_ns, intent=intent,
                transcript="words", confidence=1.0, language="en", asked_ns=message.t_ns,
            )
        )  # fmt: skip
        self.tickets.on_event(said)
        return said

    def complete(self, event: Feedback) -> Feedback:
        return msgspec.structs.replace(event, ticket=self.tickets.ticket_of(event))

    def _emit(self, event: Event) -> None:
        self.emitted.append(event)
        self.tickets.on_event(event)

    def _speak(self, event: Event) -> None:
        assert isinstance(event, DeskMessage)
        self.spoken.append(event)


def sealed(note: DeskNote) -> bytes:
    return seal_note(note, parse_ed25519(CAR.public_key), INSURER.sign)


def test_a_message_is_kept_as_proof_and_told_in_the_drivers_language() -> None:
    for language, text in (("zh", "答1"), ("en", "Answer 1.")):
        box = Box(HeldState(), language=language)  # type: ignore[arg-type]  # one of the two
        box.take(boot=3, sequence=9, about_ns=77)
        assert box.emitted == box.spoken
        (message,) = box.spoken
        assert (message.text, message.id, message.ticket, message.about_sequence) == (text, "m1", 1, 9)


def test_what_came_before_is_passed_over_also_after_a_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    disk = HeldState()
    note = Box(disk).take()
    again = Box(disk)
    again.tickets.on_desk(sealed(note))
    assert again.emitted == []
    assert again.tickets.counters() == {"again": 1}
    assert [record.message for record in caplog.records] == ["desk message m1 came again: ignored"]


def test_an_id_that_was_forgotten_cannot_be_used_again() -> None:
    disk, clock = HeldState(), ManualClock(start_ns=5)
    first = Box(disk, clock).take(number=0, what="thanks")
    book = load_book(disk.state)
    for number in range(1, SEEN_MAX + 1):
        book.add(msgspec.structs.replace(first, id=f"x{number}", created_ns=first.created_ns + number), b"")
    assert len(book.seen) == SEEN_MAX
    assert "older than what is remembered" in book.refuses(first)
    assert len(book.kept) == KEPT_MAX


@pytest.mark.parametrize("what", ["expired", "forged", "flood"])
def test_what_is_refused_is_one_line_and_leaves_no_trace(what: str, caplog: pytest.LogCaptureFixture) -> None:
    disk, clock = HeldState(), ManualClock(start_ns=5)
    box = Box(disk, clock)
    if what == "flood":
        for number in range(20):
            box.take(number=number)
    before, caught = disk.state, len(box.emitted)
    if what == "expired":
        box.take(created_ns=clock.wall_ns() - DAY_NS, expires_ns=clock.wall_ns() - 1)
    elif what == "forged":
        box.tickets.on_desk(b"\0" * 100)
    else:
        box.take(number=99)
    assert len(caplog.records) == 1
    assert "refused" in caplog.records[0].message
    assert (disk.state, len(box.emitted)) == (before, caught)


async def test_a_flood_is_taken_when_it_comes_again_later() -> None:
    box = Box(HeldState())
    notes = [box.take(number=number) for number in range(21)]
    assert len(box.emitted) == 20
    await box.clock.advance(3601)
    box.tickets.on_desk(sealed(notes[-1]))
    assert len(box.emitted) == 21


def test_what_was_not_told_before_a_start_is_told_after_it_and_not_emitted_twice() -> None:
    disk = HeldState()
    box = Box(disk)
    box.take(number=1, what="surveyor")
    box.take(number=2)
    box.say(box.spoken[0])
    later = Box(disk)
    assert [message.id for message in later.spoken] == ["m2"]
    assert later.emitted == []
    later.say(later.spoken[0])
    assert Box(disk).spoken == []


def test_of_each_kind_one_is_told_after_the_other_in_order() -> None:
    box = Box(HeldState())
    for number in (1, 2, 3):
        box.take(number=number)
    assert [message.id for message in box.spoken] == ["m1"]
    box.say(box.spoken[-1])
    box.say(box.spoken[-1])
    assert [message.id for message in box.spoken] == ["m1", "m2", "m3"]


async def test_what_expires_before_it_could_be_told_is_let_go() -> None:
    disk, clock = HeldState(), ManualClock(start_ns=5)
    Box(disk, clock).take()
    await clock.advance(86_401)
    later = Box(disk, clock)
    assert later.spoken == []
    assert later.tickets.counters() == {"lapsed": 1}


def test_the_disk_holds_no_word_and_nobody_can_put_one_into_the_boxs_mouth() -> None:
    disk = HeldState()
    Box(disk).take()
    assert b"Answer" not in disk.state
    book = load_book(disk.state)
    book.kept[0].sealed = b"\0" * 100
    disk.state = msgspec.msgpack.encode(book)
    assert Box(disk).spoken == []
    disk.state = b"\xc1 spoilt"
    assert Box(disk).spoken == []


def test_a_ticket_goes_from_opened_over_not_helped_to_helped() -> None:
    disk = HeldState()
    box = Box(disk)
    box.take(number=1, what="ticket_opened", ticket=4)
    box.take(number=2, ticket=4)
    assert box.tickets.book.tickets[4].state == "answered"
    answer = box.answer("no")
    assert answer.ticket == 4
    reopened = box.emitted[-1]
    assert reopened == TicketReopened(t_ns=5, ticket=4, message="m2", words="words")
    box = Box(disk)
    assert box.tickets.book.tickets[4].state == "reopened"
    box.take(number=3, ticket=4)
    box.answer("yes", about=box.emitted[-1])  # type: ignore[arg-type]  # the message just taken
    assert load_book(disk.state).tickets[4].state == "helped"


def test_who_wants_to_be_called_is_also_after_a_start() -> None:
    disk = HeldState()
    box = Box(disk)
    box.take()
    box.answer("call_me")
    assert isinstance(box.emitted[-1], TicketReopened)
    assert box.emitted[-1].call
    box.say(box.spoken[-1])
    later = Box(disk)
    later.take(number=2)
    later.take(number=3, what="surveyor")
    assert [message.channel for message in later.emitted] == ["call", "voice"]  # type: ignore[attr-defined]
    assert [message.what for message in later.spoken] == ["surveyor"]


async def test_what_a_full_disk_refused_is_kept_once_it_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    disk = HeldState()
    box = Box(disk)
    disk.refuses = True
    box.take()
    box.tickets.prefer("call")
    assert [record.getMessage() for record in caplog.records] == [
        "desk messages and tickets: not kept yet, tried again: full"
    ]
    disk.refuses = False
    await box.clock.advance(61)
    box.tickets.look()
    assert Box(disk).tickets.book.channel == "call"
    assert load_book(disk.state).kept


def test_a_damaged_book_is_told_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    assert Box(HeldState(b"\x81")).tickets.book.kept == []
    (record,) = caplog.records
    assert record.getMessage() == "desk messages and tickets: cannot be read, begun anew: Input data was truncated"


def test_an_answer_about_the_event_of_a_ticket_names_the_ticket() -> None:
    box = Box(HeldState())
    box.take(what="ticket_opened", ticket=7, boot=3, about_ns=10**10)
    said = Feedback(
        t_ns=1, question="garage", about="collision", about_ns=10**10 + 10**9, intent="yes", transcript="",
        confidence=1.0, language="en", asked_ns=1,
    )  # fmt: skip
    assert box.tickets.ticket_of(said) == 7
    other = msgspec.structs.replace(said, about="charge_session")
    assert box.tickets.ticket_of(other) == 0
    assert box.tickets.open_tickets() == [7]


def test_points_are_told_once_and_summed() -> None:
    disk = HeldState()
    note = Box(disk).take(what="thanks", points=50)
    box = Box(disk)
    box.tickets.on_desk(sealed(note))
    box.take(number=2, what="thanks", points=20)
    assert load_book(disk.state).points == 70


def test_tickets_have_a_limit_and_closed_ones_go_first() -> None:
    book = load_book(b"")
    note = Box(HeldState()).take()
    for number in range(1, TICKETS_MAX + 2):
        what: Any = "closed" if number == 3 else "ticket_opened"
        book.add(msgspec.structs.replace(note, id=f"n{number}", ticket=number, what=what), b"")
    assert len(book.tickets) == TICKETS_MAX
    assert 3 not in book.tickets


def test_the_page_shows_what_came_and_reopens_a_ticket_too() -> None:
    disk = HeldState()
    box = Box(disk)
    box.tickets.prefer("page")
    box.take(number=1, ticket=4)
    box.take(number=2, ticket=4, what="surveyor")
    assert [(note.id, told) for note, told in box.tickets.messages()] == [("m1", True), ("m2", False)]
    box.tickets.judge(4, helped=False, words="still odd")
    assert box.emitted[-1] == TicketReopened(t_ns=5, ticket=4, message="m1", words="still odd")
    assert load_book(disk.state).tickets[4].state == "reopened"
    box.tickets.judge(4, helped=True)
    assert Box(disk).tickets.open_tickets() == []


async def test_a_message_that_nobody_was_there_to_hear_is_offered_again_and_keeps_no_other_waiting_for_good() -> None:
    box = Box(HeldState())
    box.take(expires_ns=box.clock.wall_ns() + 3 * DAY_NS)
    box.tickets.look()
    assert [message.id for message in box.spoken] == ["m1"]
    await box.clock.advance(2 * 86_400)  # parked: who speaks has let go of it
    box.take(number=2)
    box.tickets.look()
    box.tickets.look()
    assert [message.id for message in box.spoken] == ["m1", "m1"]
    box.say(box.spoken[-1])
    assert [message.id for message in box.spoken] == ["m1", "m1", "m2"]
    await box.clock.advance(3 * 86_400)
    box.tickets.look()
    assert len(box.spoken) == 3, "it has expired"


def test_no_message_comes_again_after_an_erasure(caplog: pytest.LogCaptureFixture) -> None:
    """Of its name nothing is readable meanwhile: it tells the ticket, and when."""
    caplog.set_level(logging.INFO)
    disk = HeldState()
    note = Box(disk).take()
    disk.state = protecting_rest(disk.state)
    assert note.id.encode() not in disk.state
    again = Box(disk)
    again.tickets.on_desk(sealed(note))
    assert (again.emitted, again.tickets.book.tickets) == ([], {})
    assert [record.message for record in caplog.records] == ["desk message m1 came again: ignored"]
