"""The words and the style of the evidence page, from firmware_config/evidence."""

from functools import cache
from typing import Final

from agent.core.paths import EVIDENCE
from agent.core.ports import Language
from agent.core.words import load_words

UNITS: Final = {
    "_kmh": " km/h",
    "_mps2": " m/s²",
    "_mps": " m/s",
    "_ms": " ms",
    "_s": " s",
    "_m": " m",
    "_deg": "°",
    "_v": " V",
    "_kw": " kW",
    "_kwh": " kWh",
    "_ah": " Ah",
    "_bytes": " B",
    "_percent": " %",
}
"""What the ending of a field's name says."""


def word(key: str, language: Language) -> str:
    """In this language; a key without words with its underscores as spaces."""
    return load_words(EVIDENCE, language).get(key) or key.replace("_", " ")


@cache
def load_style() -> str:
    """CSS of the page."""
    return (EVIDENCE / "page.css").read_text(encoding="utf-8")
