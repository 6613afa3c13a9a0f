"""The words and the style of the claims desk's pages: data beside this file, the same keys in both languages."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal

Language = Literal["zh", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
_HERE: Final = Path(__file__).parent


def word(key: str, language: Language, *places: object, **values: object) -> str:
    """In this language, with values in its places; a key without words with its underscores as spaces."""
    found = load_words(language).get(key)
    if found is None:
        return key.replace("_", " ")
    return found.format(*places, **values) if places or values else found


def value_of(name: str, language: Language) -> str:
    """The word for a value (an intent, a question, an alarm, ...); a name that has none as it is."""
    key = f"v_{name}"
    return word(key, language) if key in load_words(language) else name


@cache
def load_words(language: Language) -> dict[str, str]:
    """All of them."""
    words: dict[str, str] = tomllib.loads((_HERE / f"claims.{language}.toml").read_text(encoding="utf-8"))
    return words


@cache
def load_style() -> str:
    """CSS: the reports', and what a claims page has besides."""
    return "".join((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "claims.css"))
