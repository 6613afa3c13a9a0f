"""What each kind of event declares of its fields: on which ground each may leave. Read once a class."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from agent.core.errors import InputError
from agent.core.events import Event, Ground, Purpose

_TIME: Final = "t_ns"


@lru_cache(maxsize=256)
def grounds_of(kind: type[Event]) -> Mapping[str, frozenset[Ground]]:
    """Grounds on which each field may leave, empty for one that nobody declared.

    The event's time leaves on its purpose where nothing else is said. Raises InputError for a name that is no field.
    """
    found: dict[str, set[Ground]] = {field.name: set() for field in msgspec.structs.fields(kind)}
    for ground, names in kind.leaves.items():
        for name in names.split():
            if name not in found:
                raise InputError(f"{kind.__name__}.leaves: {name} is no field of it")
            found[name].add(ground)
    if not found[_TIME]:
        found[_TIME].add(kind.purpose)
    return {name: frozenset(grounds) for name, grounds in found.items()}


@dataclass(frozen=True, slots=True)
class Blanks:
    """Fields that may not leave and are blanked: values, and what makes a fresh value."""

    values: Mapping[str, Any]
    made: Mapping[str, Any]

    def of(self) -> dict[str, Any]:
        """Field -> what stands there instead: its default."""
        return {**self.values, **{name: make() for name, make in self.made.items()}}


def blanks_of(kind: type[Event], in_force: Collection[Ground]) -> Blanks | None:
    """What must be blanked before an event of this kind leaves; None where it may not leave at all.

    It may not where a field without a default, or its time, has no ground in force.
    """
    values: dict[str, Any] = {}
    made: dict[str, Any] = {}
    grounds = grounds_of(kind)
    for field in msgspec.structs.fields(kind):
        if not grounds[field.name].isdisjoint(in_force):
            continue
        if field.default is not msgspec.NODEFAULT:
            values[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            made[field.name] = field.default_factory
        else:
            return None
    return Blanks(values, made)


def purposes_of(event: Event) -> frozenset[Purpose | Literal["rights"]]:
    """Whose data an event holds: its own purpose, and those on which fields leave that have something in them."""
    kind = type(event)
    found = {kind.purpose}
    for field, grounds in _foreign_fields(kind):
        if getattr(event, field.name) != _default_of(field):
            found |= {_purpose_of(ground) for ground in grounds}
    return frozenset(found)


@lru_cache(maxsize=256)
def _foreign_fields(kind: type[Event]) -> Sequence[tuple[msgspec.structs.FieldInfo, frozenset[Ground]]]:
    """Fields that do not leave on the event's own purpose."""
    grounds = grounds_of(kind)
    return [
        (field, grounds[field.name])
        for field in msgspec.structs.fields(kind)
        if kind.purpose not in set(map(_purpose_of, grounds[field.name]))
    ]


def _purpose_of(ground: Ground) -> Purpose | Literal["rights"]:
    return "ubi_score" if ground == "ubi_detail" else ground


def _default_of(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
