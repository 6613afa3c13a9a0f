"""What the box sees now, and why there is no data where there is none. Pure."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from agent.core.paths import PAGE
from agent.core.words import load_words
from agent.web.box import Box
from agent.web.frame import Viewer
from agent.web.why import find_reasons

_PREFIX: Final = "signal:"
_ROWS_MAX: Final = 1000
_KM_FROM_M: Final = 10_000
_UNITS: Final = {"Celsius": "°C", "percent": "%", "degrees": "°", "degrees/s": "°/s", "m/s^2": "m/s²"}


def render_now(box: Box, viewer: Viewer) -> str:
    """The body, which the page's script also asks for alone."""
    return "".join(_parts(box, viewer))


def _parts(box: Box, viewer: Viewer) -> Iterator[str]:
    say, status = viewer.say, box.status()
    yield f'<h2>{say("why_title")}</h2><ul class="why">'
    reasons = find_reasons(status, box.purposes())
    for reason in reasons:
        yield f'<li class="{reason.weight}">{say("why_" + reason.key, **reason.places)}</li>'
    if not reasons:
        yield f'<li class="good">{say("why_good")}</li>'
    yield f"</ul><h2>{say('signals_title')}</h2>"
    yield from _signals(box.values(), box.units(), viewer)
    yield f"<h2>{say('sources_title')}</h2>"
    yield from _sources(status, viewer)


def _signals(values: Mapping[str, float], units: Mapping[str, str], viewer: Viewer) -> Iterator[str]:
    """Those with a common name as tiles, in the order of the words; the rest below, by path."""
    say = viewer.say
    if not values:
        yield f'<p class="soft">{say("signals_none")}</p>'
        return
    names = {key: name for key, name in load_words(PAGE, viewer.language).items() if key.startswith(_PREFIX)}
    known = [key.removeprefix(_PREFIX) for key in names if key.removeprefix(_PREFIX) in values]
    yield '<dl class="tiles">'
    for path in known:
        number, unit = _value(path, values[path], units, viewer)
        small = f" <small>{escape(unit)}</small>" if unit else ""
        yield f"<div><dt>{escape(names[_PREFIX + path])}</dt><dd>{escape(number)}{small}</dd></div>"
    yield "</dl>"
    rest = sorted(values.keys() - set(known))[:_ROWS_MAX]
    if not rest:
        return
    yield f"<details><summary>{say('signals_more', count=len(rest))}</summary><table><thead><tr>"
    yield f'<th scope="col">{say("signal")}</th><th scope="col" class="num">{say("value")}</th></tr></thead><tbody>'
    for path in rest:
        shown = " ".join(filter(None, _value(path, values[path], units, viewer)))
        yield f'<tr><td><code>{escape(path)}</code></td><td class="num">{escape(shown)}</td></tr>'
    yield "</tbody></table></details>"


def _value(path: str, value: float, units: Mapping[str, str], viewer: Viewer) -> tuple[str, str]:
    """Number and unit; a flag, which VSS calls Is..., in words."""
    if path.rpartition(".")[2].startswith("Is") and value in {0.0, 1.0}:
        return viewer.say("yes" if value else "no"), ""
    unit = units.get(path, "")
    if unit == "m" and abs(value) >= _KM_FROM_M:
        value, unit = value / 1000, "km"
    return f"{round(value, 2):.3g}" if abs(value) < 1000 else f"{value:,.0f}", _UNITS.get(unit, unit)


def _sources(status: Mapping[str, Any], viewer: Viewer) -> Iterator[str]:
    say, sources = viewer.say, status.get("sources", {})
    if not sources:
        yield f'<p class="soft">{say("sources_none")}</p>'
        return
    yield f'<table><thead><tr><th scope="col">{say("source")}</th><th scope="col">{say("counts")}</th></tr></thead>'
    yield "<tbody>"
    for name, counters in sources.items():
        counts = ", ".join(f"{key} {count}" for key, count in counters.items() if count) or "0"
        yield f"<tr><td>{escape(name)}</td><td>{escape(counts)}</td></tr>"
    yield "</tbody></table>"
