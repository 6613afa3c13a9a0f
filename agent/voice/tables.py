"""Tables of the phrase files, and errors that name key, file and line."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.core.config import Section
from agent.core.errors import ConfigError

T = TypeVar("T", bound=Section)


def read_table(entry: dict[str, Any], kind: type[T], path: Path, *where: str) -> T:
    """Convert one table; msgspec cannot name the key of a dict, so each is converted alone. Raises ConfigError."""
    try:
        return msgspec.convert(entry, kind, strict=True)
    except msgspec.ValidationError as exc:
        raise wrong(str(exc), path, *where) from exc


def wrong(reason: str, path: Path, *where: str) -> ConfigError:
    """The error for the table of that name."""
    return ConfigError(f"{'.'.join(where)}: {reason}", path=path, line=_header_line(path, where))


def _header_line(path: Path, where: tuple[str, ...]) -> int | None:
    """Line of the table's header, as the shipped files spell them."""
    keys = r"\s*\.\s*".join(rf'"?{re.escape(key)}"?' for key in where)
    header = re.compile(rf"\s*\[\s*{keys}\s*\]")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if header.match(line):
            return number
    return None
