"""What the desk said to a driver about one ticket, and its clock, as a part of the ticket's page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fleet.desk.store import DeskStore, Sent
from fleet.desk.ticket import DeskTicket
from fleet.receiver.store import Store
from simulators.claims_facts import utc
from simulators.claims_words import Language, word
from simulators.report_html import table


@dataclass(frozen=True, slots=True)
class Talk:
    """A ticket as the desk keeps it, and its messages, oldest first."""

    ticket: DeskTicket
    messages: Sequence[Sent]


def load_talk(store: Store, number: int) -> Talk | None:
    """None where no desk keeps this ticket. Raises StoreError."""
    desk = DeskStore(store)
    ticket = desk.ticket(number)
    return None if ticket is None else Talk(ticket, desk.messages(number))


def talk_section(talk: Talk | None, language: Language, *, now_ns: int) -> str:
    """Empty where there is nothing to show."""
    if talk is None:
        return ""
    head = f"<h2>{escape(word('talk', language))}</h2><p>{escape(_clock(talk.ticket, language, now_ns))}</p>"
    if not talk.messages:
        return head
    heads = [word(key, language) for key in ("talk_when", "talk_what", "talk_text", "talk_state")]
    rows = [
        [
            utc(sent.note.created_ns),
            word(f"talk_{sent.note.what}", language),
            sent.note.zh if language == "zh" else sent.note.en,
            _state(sent, language),
        ]
        for sent in talk.messages
    ]
    return f'{head}<div class="scroll">{table(heads, rows, text=4)}</div>'


def _clock(ticket: DeskTicket, language: Language, now_ns: int) -> str:
    if not ticket.is_open:
        return word("talk_closed", language, outcome=word(ticket.outcome, language))
    key = "talk_due_solution" if ticket.state == "answered" else "talk_due_answer"
    parts = [word(key, language, time=utc(ticket.due_ns))]
    if ticket.missed(now_ns):
        parts.append(word("talk_overdue", language))
    if ticket.reopened:
        parts.append(word("talk_reopened", language, count=ticket.reopened))
    if ticket.call_back:
        parts.append(word("talk_call", language))
    return ("" if language == "zh" else " ").join(parts)


def _state(sent: Sent, language: Language) -> str:
    if sent.taken_ns is not None:
        return word("talk_taken", language, time=utc(sent.taken_ns))
    return word("talk_sent", language, count=sent.sends) if sent.sends else word("talk_waits", language)
