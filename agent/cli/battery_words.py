"""The words and the style of the battery's page, from firmware_config/battery."""

import tomllib
from functools import cache

from agent.cli.evidence_words import Language
from agent.core.paths import BATTERY, EVIDENCE


def word(key: str, language: Language, **places: object) -> str:
    """In this language, with values in its places; a key without words as it is."""
    text = _load(language).get(key)
    if text is None:
        return key
    return text.format(**places) if places else text


@cache
def load_style() -> str:
    """CSS: the evidence page's, and what this one has besides."""
    return "".join((folder / "page.css").read_text(encoding="utf-8") for folder in (EVIDENCE, BATTERY))


@cache
def _load(language: Language) -> dict[str, str]:
    words: dict[str, str] = tomllib.loads((BATTERY / f"{language}.toml").read_text(encoding="utf-8"))
    return words
