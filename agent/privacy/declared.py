"""What each kind of event declares of its fields: on which ground each may leave. Read once a class."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from agent.core.errors import InputError
from agent.core.events import Event, Ground

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
