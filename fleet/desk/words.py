"""What the desk tells a driver by itself, out of firmware_config/desk: the same keys and places in both languages."""

import string
from functools import cache
from typing import Annotated, Final

from msgspec import Meta

from agent.core.errors import ConfigError
from agent.core.paths import DESK
from agent.core.ports import Language
from agent.core.section import Section
from agent.core.toml import load_toml

_LANGUAGES: Final[tuple[Language, Language]] = ("zh", "en")


class _File(Section, frozen=True, kw_only=True):
    words: dict[str, Annotated[str, Meta(min_length=1)]]


def both(key: str, **values: object) -> tuple[str, str]:
    """In Chinese and in English. Raises KeyError for a key or a value that is not there."""
    zh, en = _load()
    return zh[key].format_map(values), en[key].format_map(values)


@cache
def _load() -> tuple[dict[str, str], dict[str, str]]:
    """Raises ConfigError where the two files do not match."""
    zh, en = (load_toml(DESK / f"{language}.toml", _File).words for language in _LANGUAGES)
    for key in sorted(zh.keys() | en.keys()):
        if key not in zh or key not in en or _places(zh[key]) != _places(en[key]):
            raise ConfigError(f"words.{key}: not in both languages with the same places", path=DESK)
    return zh, en


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)}
