"""What a first notice says, in one sentence and as a table, in either language. Pure."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from agent.core.events import Collision, Feedback, Rollover
from agent.proto.msd import NO_VIN, Msd, degrees_of
from fleet.desk.claims import SURE, Note
from simulators.claims_case import Case
from simulators.claims_svg import clock_of
from simulators.claims_words import Language, value_of, word

_G: Final = 9.80665  # m/s^2
_SAID: Final = {"help": "s_help", "fine": "s_fine", "none": "s_silence", "garage": "s_garage"}
_COARSE_M: Final = 200.0  # a place no surer than this has two decimals
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_9000_NS: Final = 221_845_392_000 * 10**9


def sentence(case: Case, language: Language) -> str:
    """What happened, how sure that is, and what the driver said of it."""
    return ("" if language == "zh" else " ").join(_sentences(case, language))


def km_h(value: float, language: Language, *, least: bool = False) -> str:
    """A speed; least: it is a lower bound."""
    text = f"{value:.0f} km/h"
    return word("at_least", language, value=text) if least else text


def percent(share: float) -> str:
    """A share of one; what is no number as "?"."""
    return f"{share * 100:.0f}" if math.isfinite(share) else "?"


def clock_text(pdof_deg: float | None, language: Language, *, bare: bool = False) -> str:
    """The hour from which the force came; bare: only its number."""
    if pdof_deg is None or not math.isfinite(pdof_deg):
        return word("unknown", language)
    hour = clock_of(pdof_deg)
    return str(hour) if bare else word("clock", language, hour=hour)


def note_text(note: Note, language: Language) -> str:
    """A note of the desk in words."""
    return word(f"note_{note.key}", language, *(value_of(value, language) for value in note.values))


def facts_table(case: Case, language: Language) -> str:
    """Of the gravest impact, and of the rollover where there was one."""
    return _rows(_facts(case, language), language)


def emergency_table(msd: Msd, language: Language) -> str:
    """A minimum set of data in words."""
    told = {
        "vin": word("untold", language) if msd.vin == NO_VIN else msd.vin,
        "category": msd.category,
        "propulsion": ", ".join(sorted(word(name, language) for name in msd.propulsion)) or word("untold", language),
        "when": utc(msd.timestamp_s * 10**9) if msd.timestamp_s else word("undated", language),
        "position": word("position_not_agreed", language),
        "belted": word("untold", language) if msd.passengers is None else str(msd.passengers),
    }
    if msd.place is not None:
        latitude, longitude = degrees_of(msd.place)
        told["position"] = _place(latitude, longitude, language)
    return _rows(told.items(), language)


def utc(ns: int) -> str:
    """Date and time; a time that no calendar has as it is."""
    if not 0 <= ns < _YEAR_9000_NS:
        return f"{ns} ns"
    return (_EPOCH + timedelta(seconds=ns // 10**9)).strftime("%Y-%m-%d %H:%M:%S UTC")


def _rows(rows: Iterable[tuple[str, str]], language: Language) -> str:
    cells = "".join(f"<tr><th>{escape(word(key, language))}</th><td>{escape(text)}</td></tr>" for key, text in rows)
    return f'<table class="facts">{cells}</table>'


def _sentences(case: Case, language: Language) -> Iterator[str]:
    ticket, impacts, rolled = case.ticket, case.events(Collision), case.events(Rollover)
    silent = any(state == "silent" for _, state in ticket.records)
    if impacts:
        first = max(impacts, key=lambda event: event.delta_v_kmh)
        mode = word(f"mode_{first.crash_mode or 'none'}", language)
        delta_v = km_h(first.delta_v_kmh, language, least=first.clipped)
        yield word("s_collision", language, mode=mode, where=_where(first, language), delta_v=delta_v)
    if rolled:
        yield word("s_rollover", language, turns=max(event.quarter_turns for event in rolled))
    if len(impacts) > 1:
        span_s = (impacts[-1].t_ns - impacts[0].t_ns) / 1e9
        yield word("s_impacts", language, count=len(impacts), seconds=f"{span_s:.1f}")
    if impacts and not rolled and all(event.confidence < SURE for event in impacts):
        yield word("s_doubt", language, percent=percent(max(event.confidence for event in impacts)))
    if silent:
        yield word("s_silent_after" if impacts or rolled else "s_silent", language)
    elif not impacts and not rolled:
        gravest = max(ticket.notes, key=lambda note: int(note.values[1]) if note.key == "alarm" else 0)
        yield word("s_other", language, note=note_text(gravest, language))
    if ticket.false_alarm:
        yield word("s_false_alarm", language)
    said = [one.intent for one in case.events(Feedback) if one.question.startswith("all_right")]
    if said and said[-1] in _SAID:
        yield word(_SAID[said[-1]], language)


def _where(event: Collision, language: Language) -> str:
    if event.stationary:
        return word("s_standing", language)
    if event.speed_before_kmh is None:
        return word("s_moving", language)
    return word("s_at", language, speed=f"{event.speed_before_kmh:.0f}")


def _facts(case: Case, language: Language) -> Iterator[tuple[str, str]]:
    worst = max(case.events(Collision), key=lambda event: event.delta_v_kmh, default=None)
    if worst is not None:
        yield from _collision_facts(worst, language)
    for event in case.events(Rollover):
        yield "roll", _known(event.roll_deg, "°", language)
        yield "resting", _known(event.resting_deg, "°", language)
        if worst is None:
            yield "speed_before", _known(event.speed_before_kmh, " km/h", language)


def _collision_facts(event: Collision, language: Language) -> Iterator[tuple[str, str]]:
    def bound(text: str) -> str:
        return word("at_least", language, value=text) if event.clipped else text

    def flag(value: bool | None) -> str:  # noqa: FBT001  # yes, no, or not told
        return word("untold" if value is None else "yes" if value else "no", language)

    parts = (event.delta_v_longitudinal_kmh, event.delta_v_lateral_kmh)
    shown = " / ".join("–" if part is None else _signed(part) for part in parts)
    yield "delta_v_parts", bound(f"{shown} km/h")
    yield "max_after", _known(event.max_after_ms, " ms", language)
    yield "duration", f"{event.duration_ms:.0f} ms"
    yield "peak", bound(f"{event.peak_mps2 / _G:.1f} g")
    yield "asi", word("unknown", language) if event.asi is None else bound(f"{event.asi:.2f}")
    yield "standing", flag(event.stationary)
    yield "airbag", flag(event.airbag_deployed)
    for key, count in (("occupants", event.occupants), ("belted", event.belted)):
        yield key, word("untold", language) if count is None else str(count)
    yield "braking", flag(event.braking)
    yield "drivable", word(event.drivable, language)
    yield "position", _position(event, language)
    limits = [word(limit, language) for limit in event.limits_of_data]
    yield "limits", ", ".join(limits) or word("limits_none", language)


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−") if round(value) else "0"


def _position(event: Collision, language: Language) -> str:
    if event.latitude is None or event.longitude is None:
        return word("position_not_agreed", language)
    coarse = event.position_accuracy_m is not None and event.position_accuracy_m >= _COARSE_M
    place = _place(event.latitude, event.longitude, language, digits=2 if coarse else 5)
    if event.position_accuracy_m is None:
        return place
    return word("position_within", language, place=place, accuracy=f"{event.position_accuracy_m:.0f}")


def _place(latitude: float, longitude: float, language: Language, *, digits: int = 5) -> str:
    return word("position_at", language, latitude=f"{latitude:.{digits}f}", longitude=f"{longitude:.{digits}f}")


def _known(value: float | None, unit: str, language: Language) -> str:
    return word("unknown", language) if value is None else f"{value:.0f}{unit}".replace("-", "−")
