"""The words and the style of the battery's page, from firmware_config/battery."""

from functools import cache

from agent.core.paths import BATTERY, EVIDENCE
from agent.core.ports import Language
from agent.core.words import load_words


def word(key: str, language: Language, **places: object) -> str:
    """In this language, with values in its places; a key without words as it is."""
    text = load_words(BATTERY, language).get(key)
    if text is None:
        return key
    return text.format(**places) if places else text


@cache
def load_style() -> str:
    """CSS: the evidence page's, and what this one has besides."""
    return "".join((folder / "page.css").read_text(encoding="utf-8") for folder in (EVIDENCE, BATTERY))
