"""Words of the pages that people read: one flat TOML file a language, keys to texts."""

import tomllib
from functools import cache
from pathlib import Path

from agent.core.ports import Language


@cache
def load_words(folder: Path, language: Language) -> dict[str, str]:
    """The texts of {zh,en}.toml in a folder of firmware_config."""
    words: dict[str, str] = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
    return words
