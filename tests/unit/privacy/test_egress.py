import typing

import pytest

from agent.core.config import Consent
from agent.core.events import AgentStopped, AnyEvent, Collision, CrashRecord, EmergencyData, Event, Purpose, TripStarted
from agent.privacy.agreed import Agreed
from agent.privacy.egress import EgressFilter
from agent.proto.msd import Msd, decode_msd, encode_msd, place_of

HERE = (48.137_154_321, 11.576_124_987)
COLLISION = Collision(
    t_ns=1,
    delta_v_kmh=20,
    duration_ms=90,
    peak_mps2=100,
    stationary=False,
    latitude=HERE[0],
    longitude=HERE[1],
    position_accuracy_m=4.0,
)
MSD = Msd(place=place_of(*HERE), trusted=True, direction_deg=90, recent=((0, 10), (0, 30)), passengers=2)
EMERGENCY = EmergencyData(t_ns=1, msd=encode_msd(MSD))
NOTHING_CUT = Collision(t_ns=1, delta_v_kmh=20, duration_ms=90, peak_mps2=100, stationary=False)


def _claims(position: typing.Literal["none", "area", "exact"]) -> EgressFilter:
    return _door(Consent(purposes=["claims"], crash_position=position))


def test_only_consented_purposes_pass_and_the_rest_is_counted() -> None:
    door = _door(Consent(purposes=["claims"]))
    events: list[Event] = [NOTHING_CUT, TripStarted(t_ns=2), AgentStopped(t_ns=3, reason="x"), TripStarted(t_ns=4)]
    assert [door.admit(event) for event in events] == [NOTHING_CUT, None, None, None]
    assert door.withheld == {"ubi_score": 2, "diagnostics": 1}


def test_without_consent_nothing_passes() -> None:
    door = _door(Consent(crash_position="exact"))
    assert door.admit(COLLISION) is None
    assert door.admit(EMERGENCY) is None


def test_every_kind_of_event_declares_a_known_purpose() -> None:
    purposes = {*typing.get_args(Purpose), "rights"}
    assert {kind.purpose for kind in typing.get_args(AnyEvent)} <= purposes


@pytest.mark.parametrize(
    ("position", "left"),
    [
        ("none", (None, None, None)),
        ("area", (48.14, 11.58, 673.0)),  # 557 m to the north and 371 m to the east is the corner, and 4 m
        ("exact", (48.13715, 11.57612, 4.0)),
    ],
)
def test_a_collision_tells_its_place_as_precisely_as_was_agreed(
    position: typing.Literal["none", "area", "exact"], left: tuple[float | None, ...]
) -> None:
    leaving = _claims(position).admit(COLLISION)
    assert isinstance(leaving, Collision)
    assert (leaving.latitude, leaving.longitude, leaving.position_accuracy_m) == left
    assert leaving.delta_v_kmh == 20


@pytest.mark.parametrize("wrong", [{"latitude": float("nan")}, {"longitude": 181.0}, {"longitude": None}])
def test_what_is_no_place_is_not_told(wrong: dict[str, float | None]) -> None:
    fields = {"latitude": 48.0, "longitude": 11.0} | wrong
    collision = Collision(t_ns=1, delta_v_kmh=20, duration_ms=90, peak_mps2=100, stationary=False, **fields)  # type: ignore[arg-type]  # two numbers
    leaving = _claims("exact").admit(collision)
    assert isinstance(leaving, Collision)
    assert (leaving.latitude, leaving.longitude) == (None, None)


def test_a_minimum_set_of_data_tells_no_more_than_that() -> None:
    sets = {}
    for position in typing.get_args(typing.Literal["none", "area", "exact"]):
        leaving = _claims(position).admit(EMERGENCY)
        assert isinstance(leaving, EmergencyData)
        sets[position] = decode_msd(leaving.msd)
    assert sets["none"] == Msd(passengers=2)
    assert sets["area"] == Msd(place=place_of(48.14, 11.58), direction_deg=90, passengers=2)
    assert sets["exact"].place == place_of(48.13715, 11.57612)
    assert (sets["exact"].trusted, sets["exact"].recent) == (True, MSD.recent)


@pytest.mark.parametrize("msd", [b"", b"\2", encode_msd(Msd(additional=(b"\1", b"48.137"))), b"\xff" * 200])
def test_a_set_that_could_tell_anything_is_withheld(msd: bytes) -> None:
    door = _claims("exact")
    assert door.admit(EmergencyData(t_ns=1, msd=msd)) is None
    assert door.withheld == {"claims": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"part": "signals", "signals": ["Vehicle.Speed", "Vehicle.CurrentLocation.Latitude"]},
        {"part": "signals", "signals": ["Vehicle.CurrentLocation.Heading"]},
        {"part": "table", "elements": '{"crash_latitude": 48.1}'},
    ],
)
def test_a_crash_record_that_tells_a_place_is_withheld(fields: dict[str, typing.Any]) -> None:
    record = CrashRecord(t_ns=1, record=1, fragment=0, from_ns=0, until_ns=1, **fields)
    assert _claims("exact").admit(record) is None


def test_a_crash_record_that_tells_none_passes() -> None:
    record = CrashRecord(
        t_ns=1,
        record=1,
        fragment=0,
        part="table",
        from_ns=0,
        until_ns=1,
        elements='{"delta_v_longitudinal_kmh": [0, -3.5]}',
        signals=["Vehicle.Speed", "Vehicle.Acceleration.Longitudinal"],
    )
    assert _claims("none").admit(record) == record


def _door(consent: Consent) -> EgressFilter:
    agreed = Agreed(frozenset(consent.purposes), {"claims": consent.crash_position})
    return EgressFilter(lambda: agreed)
