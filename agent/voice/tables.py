"""Tables of the phrase and scene files, and errors that name key, file and line."""

import re
import string
from collections.abc import Iterable
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
        below = re.search(r"`\$\.([A-Za-z0-9_]+)", str(exc))
        unknown = re.search(r"unknown field `([^`]+)`", str(exc))
        raise wrong(str(exc), path, *where, key=(below or unknown or ("", ""))[1]) from exc


def wrong(reason: str, path: Path, *where: str, key: str = "") -> ConfigError:
    """The error for the table of that name, or for the file's own keys; key: what the line is looked for by in it.

    A key of a key ("text.en") is looked for by its first name where it is not spelt out.
    """
    reason = f"{'.'.join(where)}: {reason}" if where else reason
    return ConfigError(reason, path=path, line=_line(path, where, key))


def placeholders(text: str) -> frozenset[str]:
    """Names in braces. Raises ValueError on anything but {name}."""
    names = set()
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if spec or conversion or not re.fullmatch(r"[a-z_]+", name):
            raise ValueError(f"a placeholder is a name in braces, not {{{name}}}")
        names.add(name)
    return frozenset(names)


def _line(path: Path, where: tuple[str, ...], key: str) -> int:
    """Line of the key, else of the table's header, as the shipped files spell them; else the first."""
    lines = path.read_text(encoding="utf-8").splitlines()
    above = _header(lines, where) if where else 0
    if above is None:
        return 1
    end = next((number for number in range(above, len(lines)) if lines[number].lstrip().startswith("[")), len(lines))
    for spelt in filter(None, (key, key.partition(".")[0])):
        pattern = re.compile(rf"\s*{_dotted(spelt.split('.'))}\s*[.=]")
        for number in range(above, end):
            if pattern.match(lines[number]):
                return number + 1
    below = _header(lines, (*where, key)) if key else None  # the key is a table of its own
    return below or above or 1


def _header(lines: list[str], where: tuple[str, ...]) -> int | None:
    header = re.compile(rf"\s*\[+\s*{_dotted(where)}\s*\]+")
    return next((number for number, line in enumerate(lines, 1) if header.match(line)), None)


def _dotted(names: Iterable[str]) -> str:
    return r"\s*\.\s*".join(rf'"?{re.escape(name)}"?' for name in names)
