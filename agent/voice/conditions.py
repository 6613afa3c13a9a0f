"""What a scene wants of an event's fields: whether that can ever be so, and whether it is so. Pure."""

from math import isnan
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from agent.core.config import Section
from agent.core.event_base import Event

Scalar = str | bool | int | float


class Bounds(Section, frozen=True, kw_only=True):
    """A number at least min and at most max; a list that has this; set: whether the field is there at all."""

    min: float | None = None
    max: float | None = None
    has: Scalar | None = None
    set: bool | None = None


Condition = Scalar | list[Scalar] | Bounds

_NAMES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", bytes: "bytes"}


def fields_of(kind: type[Event]) -> dict[str, Any]:
    """The fields of an event by name, with their types."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def misfit(kind: type[Event], field: str, condition: Condition) -> str:
    """What keeps a condition from ever being so; "" if nothing."""
    fields = fields_of(kind)
    if field not in fields:
        return f"{kind.__struct_config__.tag} has no field {field!r}; it has {', '.join(sorted(fields))}"
    annotation = fields[field]
    if isinstance(condition, Bounds):
        reason = _misfit_of_bounds(annotation, condition)
    elif get_origin(annotation) is list:
        reason = "is a list; what it must have is { has = ... }"
    elif condition == []:
        reason = "wants one value at least"
    else:
        reason = _never(annotation, condition if isinstance(condition, list) else [condition])
    return f"{field}: {reason}" if reason else ""


def fits(value: Any, wanted: Condition) -> bool:
    """Whether a field's value is as a condition wants it."""
    if isinstance(wanted, list):
        return bool(value in wanted)
    if not isinstance(wanted, Bounds):
        return bool(value == wanted)
    if wanted.set is not None and wanted.set != (value not in (None, "", [])):
        return False
    if wanted.has is not None and not (isinstance(value, list) and wanted.has in value):
        return False
    if wanted.min is None and wanted.max is None:
        return True
    if not isinstance(value, int | float):
        return False
    low, high = wanted.min, wanted.max
    return bool((low is None or value >= low) and (high is None or value <= high))


def _misfit_of_bounds(annotation: Any, wanted: Bounds) -> str:
    limits = [limit for limit in (wanted.min, wanted.max) if limit is not None]
    listed = get_origin(annotation) is list
    if wanted == Bounds():
        return "wants min, max, has or set"
    if limits and not {int, float} >= {type_ for type_ in _parts(annotation) if type_ is not NoneType}:
        return f"is {_named(annotation)}, which has no min or max"
    if any(map(isnan, limits)) or limits != sorted(limits):
        return f"no number is at least {wanted.min:g} and at most {wanted.max:g}" if len(limits) > 1 else "is no bound"
    if wanted.has is not None and not listed:
        return f"is {_named(annotation)}, no list that could have something"
    if wanted.set is False and (limits or wanted.has is not None):
        return "what is not set has no min, max or has"
    if wanted.set is False and not _may_be_unset(annotation):
        return "is always set"
    return "" if wanted.has is None else _never(get_args(annotation)[0], [wanted.has])


def _never(annotation: Any, values: list[Scalar]) -> str:
    """Which of the values a field of that type never has."""
    for value in values:
        if annotation is not bytes:
            try:
                msgspec.convert(value, annotation, strict=True)
                continue
            except msgspec.ValidationError:
                pass
        return f"is never {value!r}; it is {_named(annotation)}"
    return ""


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _may_be_unset(annotation: Any) -> bool:
    """Whether it may be None, an empty text or an empty list."""
    parts = _parts(annotation)
    return any(part in (NoneType, str) or get_origin(part) is list or "" in get_args(part) for part in parts)


def _named(annotation: Any) -> str:
    """What a field may be, for people."""
    parts = [part for part in _parts(annotation) if part is not NoneType]
    if get_origin(annotation) is list:
        return "a list"
    return " or ".join(
        ", ".join(map(str, get_args(part))) if get_origin(part) is Literal else _NAMES.get(part, str(part))
        for part in parts
    )
