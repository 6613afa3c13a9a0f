"""Whatever the event and whatever is agreed to: in the bytes that are sealed is no field that may not leave."""

import typing
from collections.abc import Iterator
from itertools import chain, combinations

import cbor2
import msgspec
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from agent.core.declared import grounds_of
from agent.core.events import Event, Ground, Leaves
from agent.core.records import Position, encode_event
from agent.privacy.agreed import Agreed
from agent.privacy.egress import EgressFilter
from tests.property.drawn_events import KINDS, events_of

GROUNDS: tuple[Ground, ...] = typing.get_args(Ground)
ANY = settings(max_examples=10, phases=[Phase.generate], database=None)
CONSENTS = st.frozensets(st.sampled_from(GROUNDS))
PLACES = st.fixed_dictionaries(dict.fromkeys(GROUNDS, st.sampled_from(["none", "area", "exact"])))


class Mixed(Event, frozen=True, kw_only=True, tag="mixed"):
    """Of several purposes, with a field that nobody declared."""

    leaves: typing.ClassVar[Leaves] = {"diagnostics": "shared own", "service": "shared parts"}

    shared: int
    own: str = "nothing"
    parts: list[int] = msgspec.field(default_factory=list)
    forgotten: str | None = None


class Forgotten(Event, frozen=True, kw_only=True, tag="forgotten"):
    """Cannot be without a field that nobody declared."""

    secret: str


EVERY: tuple[type[Event], ...] = (*KINDS, Mixed, Forgotten)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_of_every_event_declares_what_it_may_leave_on(kind: type[Event]) -> None:
    """Who adds a field names it in `leaves` of its class."""
    assert [name for name, grounds in grounds_of(kind).items() if not grounds] == []
    assert set(kind.leaves) <= set(GROUNDS)


@given(st.sampled_from(EVERY).flatmap(events_of), CONSENTS, PLACES)
def test_no_field_leaves_that_is_not_agreed_to(
    event: Event, in_force: frozenset[Ground], places: dict[Ground, typing.Literal["none", "area", "exact"]]
) -> None:
    agreed = Agreed(in_force, places)
    leaving = EgressFilter(lambda: agreed).admit(event)
    if leaving is None:
        return
    told = cbor2.loads(encode_event(leaving, position=Position(1, 1), wall_offset_ns=None, agent_version="0"))["event"]
    for field in msgspec.structs.fields(type(event)):
        if grounds_of(type(event))[field.name].isdisjoint(in_force):
            assert told[field.name] == _default_of(field)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_agreed_to_leaves_and_nothing_without(kind: type[Event]) -> None:
    """Every set of purposes, for every kind: whether it leaves at all is what its declaration says."""
    event = _least(kind)
    needed = [grounds_of(kind)[field.name] for field in msgspec.structs.fields(kind) if field.required]
    for in_force in _subsets():
        agreed = Agreed(in_force, {})
        door = EgressFilter(lambda agreed=agreed: agreed)  # type: ignore[misc]  # mypy does not infer it
        covered = all(grounds & in_force for grounds in needed)
        assert (door.admit(event) is not None) == covered, in_force


def test_a_field_of_another_purpose_is_blanked() -> None:
    door = _door("diagnostics")
    event = Mixed(t_ns=1, shared=1, own="mine", parts=[1, 2], forgotten="never")
    assert door.admit(event) == Mixed(t_ns=1, shared=1, own="mine")
    assert _door("diagnostics", "service").admit(event) == Mixed(t_ns=1, shared=1, own="mine", parts=[1, 2])
    assert _door("service").admit(event) is None  # its time is of diagnostics
    assert event.parts == [1, 2]


def test_an_event_with_an_undeclared_field_it_cannot_be_without_stays() -> None:
    assert _door(*GROUNDS).admit(Forgotten(t_ns=1, secret="s")) is None


def _door(*grounds: Ground) -> EgressFilter:
    agreed = Agreed(frozenset(grounds), {})
    return EgressFilter(lambda: agreed)


def _subsets() -> Iterator[frozenset[Ground]]:
    return map(frozenset, chain.from_iterable(combinations(GROUNDS, size) for size in range(len(GROUNDS) + 1)))


def _default_of(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _least(kind: type[Event]) -> Event:
    """One of the kind with nothing in it that it can be without."""
    return find(events_of(kind, least=True), lambda _: True, settings=ANY)
