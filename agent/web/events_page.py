"""What happened, was said and was heard, and what of the voice failed, since the box started. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Any, Final

import msgspec

from agent.core.events import Event
from agent.core.paths import EVIDENCE
from agent.core.ports import WORKS_AGAIN, Notice
from agent.core.words import load_words
from agent.web.box import Box
from agent.web.frame import Viewer, word

_HIDDEN: Final = frozenset({"kind", "t_ns", "features"})
_VALUE_MAX: Final = 200


def render_events(box: Box, viewer: Viewer) -> str:
    """The body."""
    return "".join(_parts(box, viewer))


def _parts(box: Box, viewer: Viewer) -> Iterator[str]:
    say, lines, now_ns = viewer.say, box.journal(), box.t_ns()
    yield f'<p class="soft">{say("events_text")}</p>'
    if not lines:
        yield f"<p>{say('events_none')}</p>"
        return
    yield '<ol class="events">'
    for line in lines:
        yield f'<li><span class="when">{_ago(now_ns - line.t_ns, viewer)}</span><div>{_told(line, viewer)}</div></li>'
    yield "</ol>"


def _told(line: Notice, viewer: Viewer) -> str:
    """What a talk says is its words, whatever event it is about; only what happened is told by kind and fields."""
    if line.topic == "event" and line.event is not None:
        return _happened(line.event, viewer)
    if line.topic == "source":
        return _device(line.text, viewer)
    if line.topic == "heard" and not line.text.strip():
        return f'<span class="who">{viewer.say("heard_nothing")}</span>'
    return f'<span class="who">{viewer.say(line.topic)}</span> {escape(line.text)}'


def _device(text: str, viewer: Viewer) -> str:
    """How a device of the voice does; why it fails is its driver's to say, as it stands in the log."""
    name, _, reason = text.partition(": ")
    device = word(f"device_{name}", viewer.language)
    if reason == WORKS_AGAIN:
        return f'<span class="who">{viewer.say("device_works", device=device)}</span>'
    return f'<span class="who">{viewer.say("device_lost", device=device)}</span> <code>{escape(reason)}</code>'


def _happened(event: Event, viewer: Viewer) -> str:
    words = load_words(EVIDENCE, viewer.language)
    kind = event.kind
    rows = "".join(
        f"<tr><th scope='row'>{escape(words.get(name, name.replace('_', ' ')))}</th><td>{escape(text)}</td></tr>"
        for name, text in _fields(event, words)
    )
    details = f"<details><summary>{viewer.say('events_more')}</summary><table>{rows}</table></details>" if rows else ""
    return f"{escape(words.get(kind, kind.replace('_', ' ')))}{details}"


def _fields(event: Event, words: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in msgspec.to_builtins(event).items():
        if name not in _HIDDEN and value not in (None, "", []):
            yield name, _text(value, words)[:_VALUE_MAX]


def _text(value: Any, words: dict[str, str]) -> str:
    if isinstance(value, bool):
        return words["yes"] if value else words["no"]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(item, words) for item in value)
    return words.get(str(value), str(value))


def _ago(past_ns: int, viewer: Viewer) -> str:
    seconds = max(0, past_ns // 10**9)
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return viewer.say(f"ago_{unit}", count=seconds // size)
    return viewer.say("ago_now")
