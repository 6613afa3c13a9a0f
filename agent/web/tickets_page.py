"""What the insurer's desk has said, ticket by ticket, how each stands, and whether it helped. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, get_args

from agent.core.desk import DeskNote
from agent.core.desk_events import Channel
from agent.core.desk_state import DeskBook
from agent.web.box import Box
from agent.web.frame import Viewer, button_form, key_field

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)


def render_tickets(box: Box, viewer: Viewer) -> str:
    """The body."""
    return "".join(_parts(box.desk(), box.desk_notes(), viewer))


def _parts(book: DeskBook, notes: Sequence[DeskNote], viewer: Viewer) -> Iterator[str]:
    say = viewer.say
    yield f"<p>{say('tickets_text')}"
    yield f" {say('tickets_points', points=book.points)}</p>" if book.points else "</p>"
    yield from _channels(book, viewer)
    numbers = sorted({*book.tickets, *(note.ticket for note in notes if note.ticket)}, reverse=True)
    if not numbers and not notes:
        yield f'<p class="soft">{say("tickets_none")}</p>'
    for number in numbers:
        ticket = book.tickets.get(number)
        state = "closed" if ticket is None else ticket.state
        on = "on" if state in {"answered", "helped"} else ""
        yield f'<article aria-labelledby="ticket{number}"><h2 id="ticket{number}">{say("ticket", number=number)}'
        yield f' <span class="state {on}">{say("ticket_" + state)}</span></h2>'
        yield from _notes([note for note in notes if note.ticket == number], viewer)
        if state == "answered":
            yield f'<p>{say("ticket_helped_question")}</p><div class="row">'
            yield button_form(viewer, f"/tickets/{number}/helped", say("yes"))
            yield button_form(viewer, f"/tickets/{number}/not_helped", say("no"), "plain") + "</div>"
        yield "</article>"
    yield from _notes([note for note in notes if not note.ticket], viewer)


def _channels(book: DeskBook, viewer: Viewer) -> Iterator[str]:
    say = viewer.say
    yield f'<form class="terms" method="post" action="/channel">{key_field(viewer)}'
    yield f'<label>{say("tickets_channel")} <select name="channel">'
    for channel in CHANNELS:
        chosen = " selected" if channel == book.channel else ""
        yield f'<option value="{channel}"{chosen}>{say("tickets_channel_" + channel)}</option>'
    yield f'</select></label><button class="plain">{say("tickets_change")}</button></form>'


def _notes(notes: Sequence[DeskNote], viewer: Viewer) -> Iterator[str]:
    """Newest first; UTC, for the box does not know where the driver's clock is set."""
    if not notes:
        return
    yield '<ol class="events">'
    for note in notes:
        when = f"{datetime.fromtimestamp(note.created_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
        text = note.zh if viewer.language == "zh" else note.en
        yield f'<li><span class="when">{when}</span><div>{viewer.say(text)}</div></li>'
    yield "</ol>"
