"""Events of any kind with every field drawn: for properties of the door through which they leave."""

import typing

import msgspec
from hypothesis import strategies as st

from agent.core.events import AnyEvent, EmergencyData, Event
from agent.proto.msd import Msd, encode_msd

KINDS: tuple[type[Event], ...] = typing.get_args(AnyEvent)


def events_of(kind: type[Event], *, least: bool = False) -> st.SearchStrategy[Event]:
    """least: nothing in it that it can be without. Not by from_type: it takes a field's factory for its value."""
    fields = [field for field in msgspec.structs.fields(kind) if field.required or not least]
    return st.builds(kind, **{field.name: _values_of(kind, field) for field in fields})


def _values_of(kind: type[Event], field: msgspec.structs.FieldInfo) -> st.SearchStrategy[typing.Any]:
    if (kind, field.name) == (EmergencyData, "msd"):
        return st.just(encode_msd(Msd(passengers=3)))
    return st.from_type(field.type)
