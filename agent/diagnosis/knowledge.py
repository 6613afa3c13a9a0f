"""Loads the rule base: the generic files, and over them what a vehicle profile adds; mistakes name key, file, line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from agent.core.config import Section
from agent.core.errors import ConfigError
from agent.core.paths import DIAGNOSIS
from agent.core.toml import convert_text, find_line, parse_text
from agent.diagnosis.rules import CODE, Cause, CodeMeaning, Limit, RepairName, RuleFile

_GENERIC: Final = ("codes", "causes")

T = TypeVar("T", bound=Section)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything known: codes and repairs by name, causes in the order of the files, limits by id."""

    codes: Mapping[str, CodeMeaning]
    repairs: Mapping[str, RepairName]
    causes: Mapping[str, Cause]
    limits: Mapping[str, Limit]

    def names(self, language: str) -> dict[str, str]:
        """Words for causes and codes, by id."""
        return {name: getattr(thing, language) for name, thing in (*self.causes.items(), *self.codes.items())}


def load_knowledge(names: Sequence[str] = (), *, directory: Path = DIAGNOSIS) -> Knowledge:
    """The generic rule base with these files of it laid over: a code, repair, cause or limit replaces its namesake.

    names: of firmware_config/diagnosis, or paths that end in .toml. Raises ConfigError naming key, file and line.
    """
    whole = Knowledge({}, {}, {}, {})
    for name in (*_GENERIC, *names):
        path = Path(name) if name.endswith(".toml") else directory / f"{name}.toml"
        whole = _load(path, whole)
    return whole


def _load(path: Path, below: Knowledge) -> Knowledge:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"rule base cannot be read: {exc}", path=path) from exc
    file = convert_text(parse_text(text, path), RuleFile, text=text, path=path)
    codes = {name: _convert(entry, CodeMeaning, text, path, "codes", name) for name, entry in file.codes.items()}
    repairs = {name: _convert(entry, RepairName, text, path, "repairs", name) for name, entry in file.repairs.items()}
    for code in codes:
        if not CODE.fullmatch(code):
            raise _wrong(f"{code} is no trouble code such as P0171", text, path, "codes", code)
    causes = _by_id(file.causes, "causes", text, path)
    limits = _by_id(file.limits, "limits", text, path)
    whole = Knowledge(
        {**below.codes, **codes},
        {**below.repairs, **repairs},
        {**below.causes, **causes},
        {**below.limits, **limits},
    )
    _check(whole, causes, text, path)
    return whole


def _by_id(things: Sequence[Any], table: str, text: str, path: Path) -> dict[str, Any]:
    """By id, which must not come twice in one file."""
    found: dict[str, Any] = {}
    for thing in things:
        if thing.id in found:
            raise _wrong(f"{thing.id} stands there twice", text, path, table, thing.id)
        found[thing.id] = thing
    return found


def _check(whole: Knowledge, causes: Mapping[str, Cause], text: str, path: Path) -> None:
    """Names that a file uses must be known, here or below."""
    for cause in causes.values():
        ids = [evidence.id for evidence in cause.evidence]
        if twice := next((name for name in ids if ids.count(name) > 1), None):
            raise _wrong(f"{cause.id} has the evidence {twice} twice", text, path, "causes", cause.id)
    for thing in (*whole.limits.values(), *(e for cause in causes.values() for e in cause.evidence)):
        if unknown := next((name for name in thing.repairs if name not in whole.repairs), None):
            raise _wrong(f"{thing.id}: there is no repair {unknown!r} in [repairs]", text, path, "causes", unknown)
    groups = {group for cause in whole.causes.values() for group in cause.groups}
    if not causes:  # a file of codes alone: what explains them may come in the next one
        return
    for code, meaning in whole.codes.items():
        if meaning.group not in groups:
            raise _wrong(f"{code}: no cause has the group {meaning.group!r}", text, path, "codes", code)
    known = {meaning.group for meaning in whole.codes.values()}
    for cause in causes.values():
        if unknown := next((group for group in cause.groups if group not in known), None):
            raise _wrong(f"{cause.id}: no code has the group {unknown!r}", text, path, "causes", cause.id)


def _convert(entry: dict[str, Any], kind: type[T], text: str, path: Path, *where: str) -> T:
    try:
        return msgspec.convert(entry, kind, strict=True)
    except msgspec.ValidationError as exc:
        raise _wrong(str(exc), text, path, *where) from exc


def _wrong(reason: str, text: str, path: Path, table: str, name: str) -> ConfigError:
    """The error for a key of a table, or for the value that names an entry of a list."""
    line = find_line(text, [table, name])
    if line is None:
        spelt = f'"{name}"'
        line = next((n for n, row in enumerate(text.splitlines(), 1) if spelt in row), None)
    return ConfigError(f"{table}.{name}: {reason}", path=path, line=line)
