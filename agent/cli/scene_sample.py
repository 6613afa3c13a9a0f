"""An event made up so that it pulls a trigger: to try a scene without a car."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from agent.core.errors import InputError
from agent.core.event_base import Event
from agent.voice.conditions import Bounds, Condition
from agent.voice.facts import KNOWN_KINDS, keys_of
from agent.voice.scene_file import Step, Trigger

_CHANGES_MAX: Final = 2  # fields that are varied together to find a variant
_CODE: Final = "P0171"


def sample(step: Step | Trigger, t_ns: int) -> tuple[Event, bool]:
    """An event as a step wants it, and whether nobody was in the car then. Raises InputError where none is found."""
    kind = KNOWN_KINDS[step.event.partition(".")[0]]
    fields = {field.name: field for field in msgspec.structs.fields(kind) if field.name != "t_ns"}
    plain = {name: _usual(field) for name, field in fields.items()}
    fixed = {name: _wanted(fields[name].type, condition) for name, condition in step.where.items()}
    free = {name: field.type for name, field in fields.items() if name not in fixed}
    for changes in _changes(free):
        event = kind(t_ns=t_ns, **(plain | changes | fixed))
        for empty in (False, True):
            if step.event in (event.kind, *keys_of(event, empty=empty)):
                return event, empty
    fields_wanted = f" with {' and '.join(fixed)} as wanted" if fixed else ""
    raise InputError(f"no event could be made up that is {step.event}{fields_wanted}")


def _changes(free: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Other values for none, one, then several fields."""
    choices = [(name, value) for name, annotation in free.items() for value in _candidates(annotation)]
    for count in range(_CHANGES_MAX + 1):
        for chosen in combinations(choices, count):
            changes = dict(chosen)
            if len(changes) == count:
                yield changes


def _usual(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return _candidates(field.type)[0]


def _candidates(annotation: Any) -> list[Any]:
    """Values that a field may have, the plainest first."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(parts)
    if origin in (Union, UnionType):
        return [value for part in parts if part is not type(None) for value in _candidates(part)] + [None]
    if origin is list:
        return [[_CODE], []] if parts[0] is str else [[], *([value] for value in _candidates(parts[0]))]
    plain: dict[Any, list[Any]] = {
        bool: [False, True],
        int: [0, 1, 3],
        float: [30.0, 0.0],
        str: ["A"],
        bytes: [b""],
    }
    return plain.get(annotation, [None])


def _wanted(annotation: Any, condition: Condition) -> Any:
    """A value that fits a condition."""
    if isinstance(condition, list):
        return condition[0]
    if not isinstance(condition, Bounds):
        return condition
    if condition.has is not None:
        return [condition.has]
    if condition.set is False:
        return None
    bound = condition.min if condition.min is not None else condition.max
    if bound is None:
        return _candidates(annotation)[0]
    return int(bound) if int in (annotation, *get_args(annotation)) else bound
