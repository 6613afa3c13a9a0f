"""What the agent tells of its insurer's desk: what came down, and what the driver makes of it."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Leaves, Priority, Purpose

DeskKind = Literal["ticket_opened", "answer", "surveyor", "overdue", "thanks", "closed"]
Channel = Literal["voice", "page", "call"]


class DeskMessage(Event, frozen=True, kw_only=True, tag="desk_message"):
    """A message of the insurer's desk was taken: its signature holds, it is for this car, and came once.

    t_ns is when. what: the ticket that was opened, an answer, when the surveyor comes, that the desk is late, thanks
    for an idea (points are told, not paid), that the ticket is closed. text is what the driver is told, in his
    language; channel how: aloud, on the page only, or by a person who calls. about_boot and about_sequence name the
    record that it answers, 0 where it answers none.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "feedback"
    leaves: ClassVar[Leaves] = {
        "feedback": "t_ns id what ticket created_ns about_boot about_sequence points text language channel",
        "claims": "t_ns id what ticket created_ns",  # of a claim too the desk must know what arrived
    }

    id: str
    what: DeskKind
    ticket: int
    created_ns: int
    about_boot: int = 0
    about_sequence: int = 0
    points: int = 0
    text: str = ""
    language: Literal["zh", "en"] = "zh"
    channel: Channel = "voice"


class TicketReopened(Event, frozen=True, kw_only=True, tag="ticket_reopened"):
    """The driver says that an answer did not help.

    message: the answer's id; words: what he said; call: he wants to be called.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "feedback"
    leaves: ClassVar[Leaves] = {"feedback": "ticket message words call"}

    ticket: int
    message: str
    words: str = ""
    call: bool = False
