"""What every page has: words, head, menu and banners. It needs no script, and loads nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from agent.core.paths import PAGE
from agent.core.ports import Language
from agent.core.words import load_words

MENU: Final = (("/", "now"), ("/events", "events"), ("/tickets", "tickets"), ("/consent", "consent"), ("/data", "data"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks. key: what his forms carry, empty while he is not paired; path: of the page, for the menu."""

    language: Language
    path: str
    device: str
    key: str = ""

    def say(self, name: str, **places: object) -> str:
        """Words of the page, escaped, with values in their places."""
        return escape(word(name, self.language, **places))


def word(name: str, language: Language, **places: object) -> str:
    """Words of the page as plain text; a name without words as it is."""
    text = load_words(PAGE, language).get(name, name)
    return text.format(**places) if places else text


def render_page(viewer: Viewer, title: str, body: str, *, status: Mapping[str, Any] | None = None) -> str:
    """The whole page around a body of HTML. title: plain text. status: of the box, for the banner; None shows none."""
    return "".join(_parts(viewer, title, body, status)) + "\n"


def button_form(viewer: Viewer, action: str, text: str, style: str = "") -> str:
    """A form that is nothing but its button. text: escaped already."""
    return f'<form method="post" action="{action}">{key_field(viewer)}<button class="{style}">{text}</button></form>'


def key_field(viewer: Viewer) -> str:
    """What proves that a form is of this page."""
    return f'<input type="hidden" name="key" value="{viewer.key}">'


def banner(viewer: Viewer, status: Mapping[str, Any]) -> str:
    """Says that the insurer cannot be reached, if so."""
    link = status.get("link", {})
    if not link.get("trouble"):
        return ""
    text = viewer.say("banner_offline", waiting=status.get("waiting", 0))
    return f'<div class="banner" role="status" id="offline">{text} <code>{escape(link["trouble"])}</code></div>'


def _parts(viewer: Viewer, title: str, body: str, status: Mapping[str, Any] | None) -> Iterator[str]:
    say = viewer.say
    yield f'<!doctype html>\n<html lang="{"zh-CN" if viewer.language == "zh" else "en"}"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f'<title>{escape(title)} · {say("title")}</title><link rel="stylesheet" href="/page.css"></head><body>'
    yield f'<a class="skip" href="#main">{say("skip")}</a><header><div class="wide"><b>{say("title")}</b>'
    yield f'<span class="device">{say("device", device=viewer.device)}</span>'
    if viewer.key:
        yield f'<nav aria-label="{say("menu")}"><ul>'
        for path, name in MENU:
            current = ' aria-current="page"' if path == viewer.path else ""
            yield f'<li><a href="{path}"{current}>{say(name)}</a></li>'
        yield "</ul></nav>"
    other = "en" if viewer.language == "zh" else "zh"
    yield f'<a class="language" lang="{other}" href="?language={other}">{say("other_language")}</a></div></header>'
    yield f'<main class="wide" id="main">{banner(viewer, status) if status is not None else ""}'
    yield f'<div class="banner gone" role="alert" id="gone" hidden>{say("banner_gone")}</div>'
    yield f"<h1>{escape(title)}</h1>{body}</main>"
    if viewer.key:
        yield f'<footer class="wide">{button_form(viewer, "/unpair", say("unpair"), "plain")}</footer>'
        yield '<script src="/page.js"></script>'
    yield "</body></html>"
