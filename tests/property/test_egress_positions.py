"""Whatever the event and the consent: no place leaves that was not agreed to, and none more precisely."""

import typing
from math import isnan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.config import Consent
from agent.core.declared import grounds_of
from agent.core.events import Collision, CrashRecord, EmergencyData, Event, Purpose, Telemetry
from agent.core.records import Position, encode_event
from agent.privacy.agreed import Agreed
from agent.privacy.egress import EgressFilter
from agent.proto.msd import Msd, decode_msd, degrees_of, encode_msd, place_of
from tests.property.drawn_events import KINDS, events_of

PRECISION = {"area": 2, "exact": 5}
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
CONSENTS = st.builds(
    Consent,
    purposes=st.lists(st.sampled_from(typing.get_args(Purpose)), unique=True),
    crash_position=st.sampled_from(["none", "area", "exact"]),
)
PATHS = st.lists(
    st.sampled_from(
        ["Vehicle.Speed", "Vehicle.CurrentLocation.Latitude", "Vehicle.CurrentLocation.Longitude", "Vehicle.Angle"]
    ),
    max_size=3,
)


def events_at(place: tuple[float, float], paths: list[str]) -> st.SearchStrategy[Event]:
    """Any event of any kind; those that have a field for a place, or can name signals, filled with it."""
    special: dict[type, st.SearchStrategy[Event]] = {
        Collision: st.floats(0, 1e4).map(
            lambda accuracy_m: Collision(
                t_ns=1,
                delta_v_kmh=9,
                duration_ms=90,
                peak_mps2=99,
                stationary=False,
                latitude=place[0],
                longitude=place[1],
                position_accuracy_m=accuracy_m,
            )
        ),
        EmergencyData: st.booleans().map(
            lambda trusted: EmergencyData(
                t_ns=1, msd=encode_msd(Msd(place=place_of(*place), trusted=trusted, recent=((1, 2),)))
            )
        ),
        CrashRecord: st.just(
            CrashRecord(t_ns=1, record=1, fragment=0, part="signals", from_ns=0, until_ns=1, signals=paths)
        ),
        Telemetry: st.just(
            Telemetry(t_ns=1, period_s=1, count=1, signals=paths, steps=[1.0] * len(paths), columns=b"\1" * len(paths))
        ),
    }
    return st.sampled_from(KINDS).flatmap(lambda kind: special[kind] if kind in special else events_of(kind))


@given(st.data(), PLACES, PATHS, CONSENTS)
def test_no_place_leaves_that_was_not_agreed_to(
    data: st.DataObject, place: tuple[float, float], paths: list[str], consent: Consent
) -> None:
    event = data.draw(events_at(place, paths))
    leaving = _door(consent).admit(event)
    if leaving is None:
        return
    assert grounds_of(type(leaving))["t_ns"] & {*consent.purposes, "rights"}
    told = _place_of(leaving)
    if isinstance(leaving, (CrashRecord, Telemetry)):
        assert not any("CurrentLocation" in path for path in leaving.signals)
    if consent.crash_position == "none":
        assert told is None
    elif told is not None:
        digits = PRECISION[consent.crash_position]
        assert told == pytest.approx((round(place[0], digits), round(place[1], digits)), abs=1e-6)


def test_no_kind_has_a_field_for_a_place_that_the_door_does_not_know() -> None:
    """Who adds one must teach the door."""
    words = ("latitude", "longitude", "position", "location", "place")
    fields = {
        (kind, field.name)
        for kind in KINDS
        for field in msgspec.structs.fields(kind)
        if any(word in field.name for word in words)
    }
    assert fields == {(Collision, name) for name in ("latitude", "longitude", "position_accuracy_m")}


def _place_of(event: Event) -> tuple[float, float] | None:
    if isinstance(event, EmergencyData):
        msd = decode_msd(event.msd)
        return None if msd.place is None else degrees_of(msd.place)
    if isinstance(event, Collision) and event.latitude is not None and event.longitude is not None:
        assert not isnan(event.latitude)
        return event.latitude, event.longitude
    return None


@given(PLACES)
def test_the_bytes_that_are_sealed_hold_no_trace_of_it(place: tuple[float, float]) -> None:
    collision = Collision(
        t_ns=1,
        delta_v_kmh=9,
        duration_ms=90,
        peak_mps2=99,
        stationary=False,
        latitude=place[0],
        longitude=place[1],
        position_accuracy_m=1.0,
    )
    nowhere = msgspec.structs.replace(collision, latitude=None, longitude=None, position_accuracy_m=None)
    leaving = _door(Consent(purposes=["claims"])).admit(collision)
    assert leaving is not None
    sealed = [
        encode_event(event, position=Position(1, 1), wall_offset_ns=0, agent_version="0")
        for event in (leaving, nowhere)
    ]
    assert sealed[0] == sealed[1]


def _door(consent: Consent) -> EgressFilter:
    agreed = Agreed(frozenset({"rights", *consent.purposes}), {"claims": consent.crash_position})
    return EgressFilter(lambda: agreed)
