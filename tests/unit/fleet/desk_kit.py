"""The insurer's desk over a receiver's store, with its own time."""

from agent.core.desk_events import DeskMessage, TicketReopened
from agent.core.events import ChargingFault, Collision, Event, Feedback
from agent.core.records import GENESIS, Header, Told, digest_of
from fleet.desk.desk import Desk
from fleet.desk.store import DeskStore
from fleet.receiver.database import open_store
from fleet.receiver.store import Row, Store

START_NS = 1_790_000_000_000_000_000
CRASH = Collision(t_ns=10**9, delta_v_kmh=20, duration_ms=90, peak_mps2=150, stationary=False, severity="moderate")
FAULT = ChargingFault(t_ns=2 * 10**9, fault="charger", power_kw=0.0)


class Office:
    """A desk with its own time, over a receiver's store."""

    def __init__(self, address: str) -> None:
        self.now_ns = START_NS
        self.receiver: Store = open_store(address, create=True)
        self.told: list[str] = []
        self.sequence = 0
        self.open()

    def open(self) -> None:
        """A desk that starts (again)."""
        self.store = DeskStore(self.receiver)
        self.desk = Desk(
            self.store,
            now_ns=lambda: self.now_ns,
            tell=lambda ticket, what: self.told.append(f"{ticket.number} {what}"),
        )
        self.desk.catch_up()

    def come(self, *events: Event, device: str = "car-1", work: bool = True) -> None:
        """These are received, and dealt with."""
        rows = []
        for event in events:
            self.sequence += 1
            header = Header(device=device, boot=1, sequence=self.sequence, priority=event.priority, previous=GENESIS)
            told = Told(
                v=1, agent="0", boot=1, sequence=self.sequence, wall_ns=None, clock_synced=False,
                event=event,  # type: ignore[arg-type]  # one of them
            )  # fmt: skip
            envelope = f"{device} {self.sequence}".encode()
            rows.append(Row(header, told, envelope, digest_of(envelope)))
        self.receiver.put(rows, [], received_ns=self.now_ns)
        if work:
            self.desk.step()

    def said(self, number: int = 1) -> list[str]:
        return [sent.note.what for sent in self.store.messages(number)]

    def take(self, number: int = 1) -> DeskMessage:
        """The car says that it has the newest message."""
        note = self.store.messages(number)[-1].note
        message = DeskMessage(t_ns=5, id=note.id, what=note.what, ticket=number, created_ns=note.created_ns)
        self.come(message)
        return message

    def answer(self, intent: str, number: int = 1, *, device: str = "car-1") -> None:
        """The driver says whether it helped."""
        feedback = Feedback(
            t_ns=9, question="did_it_help", about="desk_message", about_ns=5, intent=intent, transcript="words",
            confidence=1, language="en", asked_ns=7, ticket=number,
        )  # fmt: skip
        events: list[Event] = [feedback]
        if intent != "yes":
            events.append(TicketReopened(t_ns=9, ticket=number, message="m", call=intent == "call_me"))
        self.come(*events, device=device)
