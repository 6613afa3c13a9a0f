"""What the driver agrees to, purpose by purpose, with what each one sends, and what he wants to be asked no more.

And the forms that change it. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from urllib.parse import quote

from agent.core.events import Purpose
from agent.core.paths import PAGE
from agent.core.privacy_events import Precision
from agent.core.terms import Terms
from agent.core.words import load_words
from agent.web.box import Box
from agent.web.frame import Viewer, button_form, key_field
from agent.web.refusal import Refusal

_ROWS: Final = ("sends", "to", "kept", "why", "refusing")
_DAYS: Final = (365, 30, 1826)
_TRIP: Final = "trip"
_PLACES: Final[tuple[Precision, ...]] = ("none", "area", "exact")
_WITH_PLACE: Final = frozenset({"claims", "safety"})


def render_consent(box: Box, viewer: Viewer, *, changed: bool = False) -> str:
    """The body. changed: whether to say that something was."""
    return "".join(_parts(box, viewer, changed))


def parse_terms(fields: Mapping[str, str]) -> Terms:
    """The terms that a form of this page carries. Raises Refusal where they are none of ours."""
    notice, days, place = fields.get("notice", ""), fields.get("days", ""), fields.get("place", "none")
    numbers = {str(number): number for number in _DAYS}
    if not notice.isascii() or not notice.isdigit() or len(notice) > 6 or (days not in numbers and days != _TRIP):
        raise Refusal("again")
    if place not in _PLACES:
        raise Refusal("again")
    return Terms(
        notice=int(notice),
        days=numbers.get(days, _DAYS[0]),
        trip_only=days == _TRIP,
        score_only=fields.get("score_only") == "on",
        place=place,
    )


def _parts(box: Box, viewer: Viewer, changed: bool) -> Iterator[str]:  # noqa: FBT001  # render_consent names it
    say, notices = viewer.say, box.notices(viewer.language)
    if changed:
        yield f'<p role="status"><b>{say("consent_changed")}</b></p>'
    yield f"<p>{say('consent_text')}</p>"
    for standing in box.purposes():
        yield from _purpose(standing, notices[standing["purpose"]], viewer)
    yield from _silenced(box.silenced(viewer.language), viewer)


def _silenced(scenes: Mapping[str, Sequence[str]], viewer: Viewer) -> Iterator[str]:
    """A scene that is no shipped one is called by the name of its file; its questions say the rest."""
    say, names = viewer.say, load_words(PAGE, viewer.language)
    yield f'<section id="silenced"><h2>{say("silenced_title")}</h2>'
    yield f"<p>{say('silenced_text' if scenes else 'silenced_none')}</p>"
    for scene, questions in scenes.items():
        yield f"<article><h3>{escape(names.get(f'scene:{scene}', scene))}</h3>"
        yield "".join(f'<p class="soft">{say("silenced_question", question=question)}</p>' for question in questions)
        yield button_form(viewer, f"/scenes/{quote(scene, safe='')}/ask", say("silenced_ask")) + "</article>"
    yield "</section>"


def _purpose(standing: Mapping[str, Any], notice: Any, viewer: Viewer) -> Iterator[str]:
    say, purpose, agreed = viewer.say, standing["purpose"], standing["in_force"]
    state = f'<span class="state {"on" if agreed else ""}">{say("consent_on" if agreed else "consent_off")}</span>'
    yield f'<article aria-labelledby="{purpose}"><h2 id="{purpose}">{say(notice.title)} {state}</h2>'
    yield f'<p class="soft">{"; ".join(_standing(standing, viewer))}</p><dl>'
    for row in _ROWS:
        yield f"<dt>{say(f'consent_{row}')}</dt><dd>{say(getattr(notice, row))}</dd>"
    yield "</dl>"
    if standing["withheld"]:
        yield f'<p class="soft">{say("consent_withheld", count=standing["withheld"])}</p>'
    if agreed:
        yield button_form(viewer, f"/consent/{purpose}/revoke", say("consent_revoke"), "away") + "</article>"
        return
    yield f'<form class="terms" method="post" action="/consent/{purpose}/grant">{key_field(viewer)}'
    yield f'<input type="hidden" name="notice" value="{standing["notice_now"]}">'
    days = [(str(number), say(f"consent_days_{number}")) for number in _DAYS]
    yield _select("days", say("consent_days"), [*days, (_TRIP, say("consent_days_trip"))])
    if purpose in _WITH_PLACE:
        yield _select("place", say("consent_place"), [(place, say(f"consent_place_{place}")) for place in _PLACES])
    if purpose == "ubi_score":
        yield f'<label><input type="checkbox" name="score_only">{say("consent_score_only")}</label>'
    yield f"<button>{say('consent_grant')}</button></form></article>"


def _standing(standing: Mapping[str, Any], viewer: Viewer) -> Iterator[str]:
    """Why it stands so, and on which terms."""
    say = viewer.say
    yield say(f"why_choice_{standing['why']}")
    if not standing["in_force"]:
        return
    if standing.get("trip_only"):
        yield say("consent_trip")
    elif standing.get("until_ns"):
        yield say("consent_until", date=f"{datetime.fromtimestamp(standing['until_ns'] / 1e9, UTC):%Y-%m-%d}")
    elif standing.get("days"):
        yield say("consent_from_date", days=standing["days"])
    if standing.get("score_only"):
        yield say("consent_score_only")
    if standing.get("place", "none") != "none":
        yield say(f"consent_place_{standing['place']}")


def _select(name: str, label: str, options: list[tuple[str, str]]) -> str:
    chosen = "".join(f'<option value="{value}">{text}</option>' for value, text in options)
    return f'<label>{label} <select name="{name}">{chosen}</select></label>'


def purpose_of(name: str, box: Box) -> Purpose | None:
    """The purpose of that name, None where there is none."""
    return next((standing["purpose"] for standing in box.purposes() if standing["purpose"] == name), None)
