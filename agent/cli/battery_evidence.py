"""What speaks against each cell that advice was told of, in sentences. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Final

from agent.cli.battery_facts import BatteryFacts, day_text
from agent.cli.battery_words import word
from agent.core.ports import Language
from agent.detect.battery_diary import Advised
from agent.detect.cell_evidence import Evidence
from agent.detect.cell_slow import Leak

_UNLIKE: Final = 3.0  # sigmas, below which a measure helps nobody who reads it
_BEYOND: Final = 0.1  # of the median cell's resistance
_MV: Final = 1000.0


def evidence_part(facts: BatteryFacts, language: Language) -> Iterator[str]:
    """A list a cell; nothing where no advice is open."""
    if not facts.evidence:
        return
    yield f"<h2>{escape(word('evidence_title', language))}</h2>"
    for found in facts.evidence:
        yield f"<h3>{escape(word('cell', language, number=found.cell + 1))}</h3><ul>"
        for line in (*_told(facts, found.cell, language), *_sentences(found, facts.report.capacity_ah, language)):
            yield f"<li>{escape(line)}</li>"
        yield "</ul>"


def _told(facts: BatteryFacts, cell: int, language: Language) -> Iterator[str]:
    """The newest advice of each fault."""
    newest: dict[str, Advised] = {told.fault: told for told in facts.diary.advice if told.cell == cell}
    for told in newest.values():
        fault, level = word(f"cell_{told.fault}", language), word(f"level_{told.level}", language)
        yield word("evidence_told", language, date=day_text(told.day, language), fault=fault, level=level)


def _sentences(found: Evidence, capacity_ah: float | None, language: Language) -> Iterator[str]:
    if found.volt is not None:
        yield word("evidence_rest", language, mv=f"{_MV * found.volt:+.0f}".replace("-", "\u2212"))
    if found.leak is not None:
        yield _leak(found.leak, capacity_ah, language)
    if found.resistance is not None and found.resistance >= _BEYOND:
        yield word("evidence_resistance", language, percent=f"{100 * found.resistance:.0f}")
    if found.entropy is not None and found.entropy >= _UNLIKE:
        yield word("evidence_entropy", language, sigmas=f"{found.entropy:.1f}")
    if found.correlation is not None and found.correlation <= -_UNLIKE:
        yield word("evidence_correlation", language, sigmas=f"{-found.correlation:.1f}")


def _leak(leak: Leak, capacity_ah: float | None, language: Language) -> str:
    rates = {"rate": leak.rate, "low": leak.low, "high": leak.high}
    text = word(
        "evidence_leak", language, **{key: f"{rate:.2f}" for key, rate in rates.items()}, days=f"{leak.days:.0f}"
    )
    if capacity_ah is None:
        return text
    ma = {key: f"{rate / 100 * capacity_ah / 24 * _MV:.0f}" for key, rate in rates.items()}
    return text + word("evidence_leak_ma", language, **ma)
