"""The battery's page that people read: HTML by itself, no script, nothing loaded, fit for paper. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from agent.cli.battery_charts import cells_chart, charges_chart, health_chart
from agent.cli.battery_evidence import evidence_part
from agent.cli.battery_facts import BatteryFacts, day_text
from agent.cli.battery_words import load_style, word
from agent.core.ports import Language

_CELL_ADVICE: Final = frozenset({"leave_the_car", "weak_cell_garage", "weak_cell_service"})
_NOW: Final = frozenset({"leave_the_car"})
_SOON: Final = frozenset({"weak_cell_garage", "alarm_check", "charger_check"})


def render_battery(facts: BatteryFacts, language: Language) -> str:
    """One page."""
    return "\n".join(_parts(facts, language)) + "\n"


def _parts(facts: BatteryFacts, language: Language) -> Iterator[str]:
    def say(key: str, **places: object) -> str:
        return escape(word(key, language, **places))

    period = say("period", since=day_text(facts.since, language), until=day_text(facts.until - 1, language))
    yield f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{say('title')}</title><style>\n{load_style()}</style></head><body><main>"
    yield f'<header><div><h1>{say("title")}</h1><div class="when">{period}</div></div>'
    yield f'<div class="id">{say("device")}<b>{escape(facts.device)}</b></div></header><div class="key">'
    for name, value, *notes in _figures(facts, language):
        small = "".join(f"<small>{escape(note)}</small>" for note in notes)
        yield f"<div><span>{escape(name)}</span><b>{escape(value)}</b>{small}</div>"
    yield f'</div><h2>{say("advice")}</h2><ul class="todo">'
    cells = ", ".join(str(cell + 1) for cell in facts.report.cells)
    for key in facts.report.advice:
        css = "now" if key in _NOW else "soon" if key in _SOON else ""
        text = say(f"advice_{key}", cells=cells) if key in _CELL_ADVICE else say(f"advice_{key}")
        yield f'<li class="{css}">{text}</li>'
    yield "</ul>"
    yield from evidence_part(facts, language)
    yield from _charts(facts, language)
    yield from _tables(facts, language)
    yield f"<h2>{say('limits_title')}</h2><p>{say('limits_text')}</p></main></body></html>"


def _figures(facts: BatteryFacts, language: Language) -> Iterator[tuple[str, ...]]:
    """Name, value and notes of each figure at the top."""
    report = facts.report

    def say(key: str, **places: object) -> str:
        return word(key, language, **places)

    newest = facts.estimates[-1] if facts.estimates else None
    if newest is None:
        yield say("health"), say("health_none"), say("health_none_why")
    elif report.soh_percent is not None and report.soh_low_percent is not None and report.soh_high_percent is not None:
        low, high = f"{report.soh_low_percent:.1f}", f"{report.soh_high_percent:.1f}"
        between = say("health_between", low=low, high=high, segments=facts.diary.estimates[-1].segments)
        yield say("health"), say("health_soh", value=f"{report.soh_percent:.1f}"), between
    else:
        between = say(
            "health_between", low=f"{newest.low_ah:.0f}", high=f"{newest.high_ah:.0f}", segments=newest.segments
        )
        yield say("health"), say("health_ah", value=f"{newest.ah:.0f}"), between
    energies = (report.energy_ac_kwh, report.energy_dc_kwh, report.energy_unknown_kwh)
    ac, dc, unknown = (f"{kwh:.0f}" for kwh in energies)
    energy = say("charges_energy", kwh=f"{sum(energies):.0f}", ac=ac, dc=dc, unknown=unknown)
    trouble = say("charges_trouble", interrupted=report.interrupted, faults=report.charging_faults)
    count = report.sessions_ac + report.sessions_dc + report.sessions_unknown
    yield say("charges"), str(count), *((energy, trouble) if count else ())
    if report.weakest is not None and report.weakest_v is not None:
        notes = [say("weakest_at", mv=_signed(1000 * report.weakest_v, 0))]
        if report.weakest_trend is not None:
            notes.append(say("weakest_trend", trend=_signed(report.weakest_trend, 1)))
        yield say("weakest"), say("cell", number=report.weakest + 1), *notes
    if report.spread_v is not None:
        yield say("spread"), say("spread_value", mv=f"{1000 * report.spread_v:.1f}"), say("spread_of")


def _charts(facts: BatteryFacts, language: Language) -> Iterator[str]:
    def head(name: str) -> str:
        return f"<h2>{escape(word(f'{name}_title', language))}</h2><p>{escape(word(f'{name}_text', language))}</p>"

    def none(name: str) -> str:
        return f"<h2>{escape(word(f'{name}_title', language))}</h2><p>{escape(word(f'{name}_none', language))}</p>"

    yield head("cells") + _wide(cells_chart(facts, language)) if len(facts.numbers) else none("cells")
    if facts.estimates:
        yield head("health") + _wide(health_chart(facts, language))
    yield head("charges") + _wide(charges_chart(facts, language)) if facts.diary.charges else none("charges")


def _wide(chart: str) -> str:
    """Legible on a telephone: it scrolls there, and begins at its newest end."""
    return f'<div class="wide"><div>{chart}</div></div>'


def _tables(facts: BatteryFacts, language: Language) -> Iterator[str]:
    """Alarms by level, and sensors that lie; nothing where there were none."""
    if any(facts.report.alarms):
        yield f"<h2>{escape(word('alarms_title', language))}</h2><table>"
        for level, count in enumerate(facts.report.alarms, 1):
            if count:
                name = escape(word(f"alarms_level_{level}", language))
                yield f'<tr><td>{name}</td><td class="num">{count}</td></tr>'
        yield "</table>"
    if facts.report.sensors:
        yield f"<h2>{escape(word('sensors_title', language))}</h2><ul>"
        yield "".join(f'<li class="mono">{escape(signal)}</li>' for signal in facts.report.sensors) + "</ul>"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return f"{0:.{digits}f}" if float(text.replace("−", "-")) == 0 else text
