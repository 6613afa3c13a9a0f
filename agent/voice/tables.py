"""Tables of the phrase and scene files, and errors that name key, file and line."""

import re
import string
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
    """The error for the table of that name; key: what the line is looked for by below the table's header."""
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


def _line(path: Path, where: tuple[str, ...], key: str) -> int | None:
    """Line of the key, else of the table's header, as the shipped files spell them."""
    keys = r"\s*\.\s*".join(rf'"?{re.escape(name)}"?' for name in where)
    header = re.compile(rf"\s*\[+\s*{keys}\s*\]+")
    spelt = re.compile(rf"\s*{re.escape(key)}\b\s*[.=]")
    found = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found is None:
            found = number if header.match(line) else None
        elif line.lstrip().startswith("["):
            break
        elif key and spelt.match(line):
            return number
    return found
