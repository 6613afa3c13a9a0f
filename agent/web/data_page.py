"""A copy of what the box itself can read, and the form that lets data be gone. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import Any

import msgspec

from agent.core.erasure import Selection
from agent.core.events import Purpose
from agent.web.box import Box
from agent.web.consent_page import purpose_of
from agent.web.frame import Viewer, key_field
from agent.web.refusal import Refusal


def render_data(box: Box, viewer: Viewer, *, asked: bool = False) -> str:
    """The body. asked: whether to say that an erasure was asked for."""
    return "".join(_parts(box, viewer, asked))


def copy_of(box: Box) -> bytes:
    """JSON of everything that the box can read of its driver: sealed records need the owner's key, elsewhere."""
    lines = [
        {"t_ns": line.t_ns, "topic": line.topic, "text": line.text}
        | ({"event": msgspec.to_builtins(line.event)} if line.event is not None else {})
        for line in box.journal()
    ]
    told = {
        "device": box.device,
        "purposes": list(box.purposes()),
        "erasures": list(box.erasures()),
        "tickets": msgspec.to_builtins(list(box.desk().tickets.values())),
        "desk": msgspec.to_builtins(list(box.desk_notes())),
        "asked_no_more": dict(box.silenced(box.language)),
        "signals": dict(box.values()),
        "since_start": lines,
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode()


def parse_selection(fields: Mapping[str, str], box: Box) -> Selection:
    """What a form of this page asks to erase; days are UTC, the last one included. Raises Refusal."""
    if fields.get("sure") != "on":
        raise Refusal("unsure")
    name = fields.get("purpose", "")
    purpose = purpose_of(name, box)
    if name and purpose is None:
        raise Refusal("again")
    from_ns, until_ns = _day(fields.get("from", "")), _day(fields.get("until", ""), after=True)
    if from_ns is not None and until_ns is not None and from_ns >= until_ns:
        raise Refusal("days")
    return Selection(None if purpose is None else frozenset({purpose}), from_ns, until_ns)


def _day(text: str, *, after: bool = False) -> int | None:
    """Midnight of a day, or the one after it, in ns; None where none is given."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=after)
        return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
    except (ValueError, OverflowError) as exc:
        raise Refusal("day", day=text[:20]) from exc


def _parts(box: Box, viewer: Viewer, asked: bool) -> Iterator[str]:  # noqa: FBT001  # render_data names it
    say, notices = viewer.say, box.notices(viewer.language)
    if asked:
        yield f'<p role="status"><b>{say("erase_asked")}</b></p>'
    yield f"<h2>{say('copy_title')}</h2><p>{say('copy_text')}</p>"
    yield f'<p><a href="/copy" download="outrider.json">{say("copy_button")}</a></p>'
    yield f'<h2>{say("erase_title")}</h2><p>{say("erase_text")}</p><form class="erase" method="post" action="/erase">'
    yield f'{key_field(viewer)}<label>{say("erase_what")} <select name="purpose">'
    yield f'<option value="">{say("erase_everything")}</option>'
    for standing in box.purposes():
        yield f'<option value="{standing["purpose"]}">{say(notices[standing["purpose"]].title)}</option>'
    yield "</select></label>"
    yield f'<label>{say("erase_from")} <input type="date" name="from"></label>'
    yield f'<label>{say("erase_until")} <input type="date" name="until"></label>'
    yield f'<label><input type="checkbox" name="sure" required>{say("erase_sure")}</label>'
    yield f'<button class="away">{say("erase_button")}</button></form>'
    titles = {purpose: notice.title for purpose, notice in notices.items()}
    yield from _erasures(box.erasures(), titles, viewer)


def _erasures(erasures: Sequence[Mapping[str, Any]], titles: Mapping[Purpose, str], viewer: Viewer) -> Iterator[str]:
    """titles: of the purposes, in the viewer's language."""
    say = viewer.say
    if not erasures:
        return
    yield f'<h2>{say("erasures_title")}</h2><table><thead><tr><th scope="col">{say("erasures_request")}</th>'
    yield f'<th scope="col">{say("erasures_here")}</th><th scope="col">{say("erasures_there")}</th></tr></thead><tbody>'
    for erasure in reversed(erasures):
        what = say("comma").join(escape(titles[purpose]) for purpose in erasure["purposes"]) or say("erase_everything")
        here = say("erasures_done", count=erasure["records_here"]) if erasure["done_here"] else say("erasures_tried")
        if erasure["receipt"]:
            there = say("erasures_signed", count=erasure["records_there"])
        elif erasure["overdue"]:
            there = say("erasures_overdue")
        elif erasure["deadline_ns"] is not None:
            day = datetime.fromtimestamp(erasure["deadline_ns"] / 1e9, UTC)
            there = say("erasures_until", date=f"{day:%Y-%m-%d}")
        else:
            there = say("erasures_asked")
        yield f"<tr><td>{what} <code>{erasure['request'][:8]}</code></td><td>{here}</td><td>{there}</td></tr>"
    yield "</tbody></table>"
