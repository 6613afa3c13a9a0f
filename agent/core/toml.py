"""TOML into typed values: every mistake is one line that names the key, the file and the line."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.core.errors import ConfigError

T = TypeVar("T")


def load_toml(path: Path, kind: type[T], *, base: dict[str, Any] | None = None) -> T:
    """Read any typed TOML file of firmware_config/; base: what holds where the file is silent. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", path=path) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"is not UTF-8: byte {exc.start}", path=path) from exc
    return parse_toml(text, kind, path=path, base=base)


def parse_toml(text: str, kind: type[T], *, path: Path, base: dict[str, Any] | None = None) -> T:
    """Parse TOML text into kind. Tables merge with the base's, lists replace them. Raises ConfigError."""
    return convert_text(merge(base or {}, parse_text(text, path)), kind, text=text, path=path)


def parse_text(text: str, path: Path) -> dict[str, Any]:
    """TOML as plain values. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        line = re.search(r"at line (\d+)", str(exc))  # else it is at the end
        raise ConfigError(f"not TOML: {exc}", path=path, line=int(line[1]) if line else text.count("\n") + 1) from exc


def convert_text(data: dict[str, Any], kind: type[T], *, text: str, path: Path) -> T:
    """Plain values as kind; text is where a line number is looked for. Raises ConfigError."""
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as exc:
        reason, keys = _explain(str(exc))
        raise ConfigError(reason, path=path, line=find_line(text, keys)) from exc


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; anything else replaces what was there."""
    merged = dict(base)
    for key, value in overlay.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _explain(message: str) -> tuple[str, list[str]]:
    """Turn msgspec's message into one sentence and the key path it is about."""
    reason, _, where = message.partition(" - at `$")
    keys = re.findall(r"[A-Za-z0-9_-]+", where.rstrip("`"))
    unknown = re.search(r"unknown field `([^`]+)`", reason)
    if unknown:
        keys.append(unknown[1])
        return f"unknown key {'.'.join(keys)}", keys
    return f"{'.'.join(keys) or 'file'}: {reason}", keys


def find_line(text: str, keys: list[str]) -> int | None:
    """Line of the last key, looked for below the headers of its tables; None where it is not spelt out."""
    names = [key for key in keys if not key.isdigit()]
    if not names:
        return None
    lines = text.splitlines()
    start = 0
    for place, table in enumerate(keys):
        header = re.compile(rf"\s*\[+[^\]]*\b{re.escape(table)}\b")
        nth = int(keys[place + 1]) if keys[place + 1 : place + 2] and keys[place + 1].isdigit() else 0
        found = [number for number in range(start, len(lines)) if header.match(lines[number])]
        if nth < len(found) and not table.isdigit() and place < len(keys) - 1:
            start = found[nth] + 1
    pattern = re.compile(rf'(^|[{{,\s\[."]){re.escape(names[-1])}"?\s*[=\].]')
    for number in chain(range(max(0, start - 1), len(lines)), range(start)):
        if pattern.search(lines[number]):
            return number + 1
    return None
