"""The page of a bundle that people read: HTML by itself, no script, nothing loaded, fit for paper. Pure.

The same facts give the same bytes, so that whoever checks the bundle can draw the page anew and compare.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from itertools import groupby
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.cli.evidence_facts import Facts, Shown
from agent.cli.evidence_words import UNITS, load_style, word
from agent.core.events import CrashRecord
from agent.core.keys import raw_bytes
from agent.core.ports import Language
from agent.core.records import Told, digest_of

PAGE_VERSION: Final = 3
_NS: Final = 10**9
_BEIJING: Final = timezone(timedelta(hours=8))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_G: Final = 9.80665  # m/s2
_YEARS: Final = 200  # a clock beyond this is shown as a number
_DIGITS: Final = {  # after the point, where it is not one; a degree's fifth is a metre
    "latitude": 5,
    "longitude": 5,
    "asi": 2,
    "confidence": 2,
    "confidence_rules": 2,
    "confidence_model": 2,
    "spread_v": 4,
    "weakest_v": 4,
    "weakest_trend": 2,
}
_PRINCIPAL: Final = {"collision": ("delta_v_kmh", "speed_before_kmh", "peak_mps2")}


def render_page(facts: Facts, language: Language, *, by: Literal["insurer", "device"], exported_ns: int) -> str:
    """One page. by and exported_ns are the manifest's."""
    return "\n".join(_parts(facts, language, by, exported_ns)) + "\n"


def _parts(facts: Facts, language: Language, by: str, exported_ns: int) -> Iterator[str]:
    told = _opened(facts.record)
    event = told.event

    def say(key: str, **values: object) -> str:
        return escape(word(key, language).format(**values))

    yield f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{say('title')}: {say(event.kind)}</title><style>\n{load_style()}</style></head><body><main>"
    yield f'<header><div><div class="over">{say("title")}</div><h1>{say(event.kind)}</h1>'
    yield f'<div class="when">{_moment(facts, told, language)}</div></div>'
    yield f'<div class="id">{say("vehicle")}<b>{escape(facts.device)}</b>'
    yield f"{say('record')}<br>{say('place', **facts.position._asdict())}</div></header>"
    yield from _content(event, language)
    yield f'<h2>{say("proof")}</h2><ul class="proof">'
    for good, name, text in _proofs(facts, language):
        yield f'<li class="{"ok" if good else "missing"}"><b>{say(name)}</b>{escape(text)}</li>'
    yield f"</ul><h2>{say('records')}</h2>"
    yield from _table(facts, language)
    yield f'<h2>{say("not_shown")}</h2><ul class="limits">'
    yield "".join(f"<li>{say(key)}</li>" for key in ("limit_1", "limit_2", "limit_3")) + "</ul>"
    yield f"<h2>{say('check')}</h2>{say('check_text')}<pre><code>outrider evidence verify FILE.zip"
    yield f" --device-cert DEVICE.pem --receipt-key INSURER.pem</code></pre>{say('check_more')}"
    yield f"<h2>{say('fingerprints')}</h2><table>"
    for name, value in _fingerprints(facts, language):
        yield f'<tr><th>{say(name)}</th><td class="mono">{escape(value)}</td></tr>'
    made = say("made", by=word(f"by_{by}", language), time=_time(exported_ns, language), page=PAGE_VERSION)
    yield f"</table><footer>{made}</footer></main></body></html>"


def _opened(shown: Shown) -> Told:
    if shown.told is None:
        raise ValueError("the event's record is not opened")
    return shown.told


def _content(event: Any, language: Language) -> Iterator[str]:
    """The event's fields: the two or three that matter most, then all as a table, with the direction drawn."""
    principal = _PRINCIPAL.get(event.kind, ())
    if principal:
        yield '<div class="key">'
        for name in principal:
            value, _, other = _value(name, getattr(event, name), language).partition(" (")
            other = f" <small>({escape(other)}</small>" if other else ""
            yield f"<div><span>{escape(word(name, language))}</span><b>{escape(value)}</b>{other}</div>"
        yield "</div>"
    yield f'<h2>{escape(word("said", language))}</h2><div class="two"><table>'
    for name, value in _fields(event, language):
        if name not in principal:
            yield f"<tr><th>{escape(word(name, language))}</th><td>{escape(value)}</td></tr>"
    yield "</table>"
    angle = getattr(event, "pdof_deg", None)
    if angle is not None and math.isfinite(angle):
        yield _compass(angle, language)
    yield "</div>"


def _compass(angle_deg: float, language: Language) -> str:
    """The vehicle from above, its front up, and an arrow from where the force came."""
    side = f"from_{round(angle_deg / 45) % 8 * 45}"
    return (
        '<figure><svg viewBox="-110 -120 220 240" width="190" role="img">'
        '<circle r="104" fill="none" stroke="#d9e0e7"/>'
        '<rect x="-32" y="-58" width="64" height="116" rx="20" fill="#f4f7fa" stroke="#1c2733" stroke-width="2"/>'
        '<path d="M-24 -24 q24 -14 48 0 l-5 14 h-38 z M-20 38 h40 l4 10 q-24 8 -48 0 z" fill="#c9d3dd"/>'
        f'<text y="-36" font-size="12" text-anchor="middle" fill="#5b6b7b">{escape(word("front", language))}</text>'
        f'<g transform="rotate({angle_deg:.1f})" stroke="#b3261e" fill="#b3261e">'
        '<path d="M0 -102 V-80" stroke-width="7" stroke-linecap="round"/><path d="M0 -64 l-9 -16 h18 z"/></g></svg>'
        f"<figcaption>{escape(word('direction', language))}: {escape(word(side, language))}, {angle_deg:.0f}°"
        "</figcaption></figure>"
    )


def _proofs(facts: Facts, language: Language) -> Iterator[tuple[bool, str, str]]:
    """Whether it is there, its name, and a sentence."""

    def say(key: str, **values: object) -> str:
        return word(key, language).format(**values)

    opened = sum(shown.told is not None for shown in facts.records)
    origin = say("uncertified_text")
    if facts.certificates:
        origin = say("certified_text", issuer=facts.certificates[0].issuer.rfc4514_string())
    yield True, "signed", f"{say('signed_text', opened=opened)} {origin}"
    first, last = facts.records[0].header.sequence, facts.records[-1].header.sequence
    yield True, "chained", say("chained_text", first=first, last=last, count=len(facts.records))
    if facts.receipt is None:
        yield False, "received_not", say("received_not_text")
    else:
        yield True, "received", say("received_text", time=_time(facts.receipt.received_ns, language))
    if facts.day is not None:
        until = _time(facts.day.until_ns, language)
        yield True, "anchored", say("anchored_text", day=facts.day.day, count=facts.day.records, time=until)
    if facts.stamped_ns is not None:
        yield True, "stamped", say("stamped_text", time=_time(facts.stamped_ns, language))
    else:
        yield False, "stamped_not", say("stamped_not_text")


def _table(facts: Facts, language: Language) -> Iterator[str]:
    """All records of the range in the order of the chain, times relative to the event; fragments that adjoin as one."""
    t_ns = _opened(facts.record).event.t_ns
    heads = (
        ("num", "#"),
        ("num", word("relative", language)),
        ("", word("kind", language)),
        ("", word("details", language)),
    )
    yield "<table><thead><tr>" + "".join(f'<th class="{c}">{escape(text)}</th>' for c, text in heads) + "</tr></thead>"
    for _, group in groupby(facts.records, lambda shown: _row_of(shown, facts)):
        run = list(group)
        shown, last = run[0], run[-1].told
        here = shown.header.position == facts.position
        if shown.told is None or last is None:
            when, kind, details = "", word("sealed", language), ""
        else:
            event = shown.told.event
            when = f"{(event.t_ns - t_ns) / _NS:+.2f} s".replace("-", "−")
            kind = word(event.kind, language)
            details = word("this", language) if here else _short(event, language)
            if len(run) > 1:
                details = _fragments(run, last.event, language)
        row = "this" if here else "sealed" if shown.told is None else ""
        number = str(shown.header.sequence) + (f"–{run[-1].header.sequence}" if len(run) > 1 else "")
        cells = ((("num"), number), ("num", when), ("", kind), ("", details))
        yield f'<tr class="{row}">' + "".join(f'<td class="{c}">{escape(text)}</td>' for c, text in cells) + "</tr>"
    yield "</table>"


def _row_of(shown: Shown, facts: Facts) -> tuple[object, ...]:
    """What stands in one row of the table: a record, or what follows it of the same crash record."""
    event = shown.told.event if shown.told else None
    if isinstance(event, CrashRecord) and shown.header.position != facts.position:
        return event.kind, event.record
    return shown.header.position


def _fragments(run: list[Shown], last: Any, language: Language) -> str:
    """How many, of which crash record, and what came of it where the last of them says so."""
    text = word("fragments", language).format(count=len(run), record=last.record)
    if last.part == "withdrawn":
        return f"{text}; {word('withdrawn', language)}"
    known = f"{word('complete', language)}: {word('yes' if last.complete else 'no', language)}"
    return f"{text}; {known}" if last.part == "end" else text


def _short(event: Any, language: Language) -> str:
    separator = "，" if language == "zh" else ", "
    told = {name for name in event.__struct_fields__ if getattr(event, name) not in (None, "", False)}
    shown = [f"{word(name, language)} {value}" for name, value in _fields(event, language) if name in told]
    return separator.join(shown[:4])


def _fields(event: Any, language: Language) -> Iterator[tuple[str, str]]:
    """Names and texts of what an event says; a unit that has a field of its own joins its values."""
    unit = getattr(event, "unit", "")
    for name in event.__struct_fields__:
        if name in {"t_ns", "unit"}:
            continue
        value = _value(name, getattr(event, name), language)
        yield name, f"{value} {word(unit, language)}" if unit and name in {"value", "limit"} else value


def _fingerprints(facts: Facts, language: Language) -> Iterator[tuple[str, str]]:
    yield "device_key", _fingerprint(facts.device_key)
    for certificate in facts.certificates[:1]:
        until = _time(int((certificate.not_valid_after_utc - _EPOCH).total_seconds()) * _NS, language)
        yield "certificate", f"{certificate.subject.rfc4514_string()}, {word('until', language)} {until}"
    if facts.insurer_key is not None:
        yield "insurer_key", _fingerprint(facts.insurer_key)
    yield "digest", _grouped(facts.record.digest)
    if facts.day is not None:
        yield "root", _grouped(facts.day.root)


def _fingerprint(key: Ed25519PublicKey) -> str:
    return _grouped(digest_of(raw_bytes(key)))


def _grouped(digest: bytes) -> str:
    text = digest.hex()
    return " ".join(text[start : start + 8] for start in range(0, len(text), 8))


def _moment(facts: Facts, told: Told, language: Language) -> str:
    wall_ns = facts.wall_ns(told)
    if wall_ns is None:
        return escape(word("undated", language))
    derived = word("derived", language) if told.wall_ns is None else ""
    other = _format(wall_ns, UTC) + " UTC" if language == "zh" else f"{_format(wall_ns, _BEIJING)} UTC+8"
    return f"{escape(_time(wall_ns, language) + derived)}<small>{escape(other)}</small>"


def _time(ns: int, language: Language) -> str:
    """In Chinese, Beijing time; in English, UTC."""
    if language == "zh":
        return f"{word('beijing', language)} {_format(ns, _BEIJING)}"
    return f"{_format(ns, UTC)} UTC"


def _format(ns: int, zone: timezone) -> str:
    if not 0 <= ns < _YEARS * 366 * 86_400 * _NS:
        return f"{ns} ns"
    return (_EPOCH + timedelta(seconds=ns // _NS)).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _value(name: str, value: Any, language: Language) -> str:
    """With its unit, as the ending of the field's name says."""
    if value is None or value == "":
        return word("none", language)
    if isinstance(value, bool):
        return word("yes" if value else "no", language)
    if isinstance(value, list):
        return ", ".join(word(item, language) if isinstance(item, str) else str(item) for item in value)
    if isinstance(value, bytes):
        return f"{len(value)} B"
    if isinstance(value, float):
        digits = _DIGITS.get(name, 1)
        text = f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else str(value)
    elif isinstance(value, str):
        text = word(value, language)
    else:
        text = str(value)
    if not isinstance(value, (int, float)):
        return text
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    return f"{text}{unit} ({value / _G:.1f} g)" if name.endswith("_mps2") else text + unit
