from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import vss
from agent.proto import gbt32960 as gbt
from agent.proto.gbt32960 import Edition, Frame, Quality, edition2016, edition2025
from agent.proto.gbt32960.snapshot import Flag, Terms, snapshot
from simulators.platform import split_bodies

TIME = datetime(2026, 9, 17, 4, 30, tzinfo=UTC)
VALUES = {
    vss.SPEED: 52.3,
    vss.TRAVELED_DISTANCE: 48_213_400.0,
    vss.PACK_VOLTAGE: 350.4,
    vss.PACK_CURRENT: -45.5,  # VSS: discharge is negative
    vss.STATE_OF_CHARGE: 61.0,
    vss.LATITUDE: -31.2,
    vss.LONGITUDE: 121.4,
    vss.cell_voltage(0): 3.651,
    vss.cell_voltage(2): 3.640,
    vss.cell_temperature(0): 27.0,
    vss.cell_temperature(1): 31.0,
}


def bodies(
    values: dict[str, float], edition: Edition, *flags: Flag, position: bool = False
) -> list[dict[type, object]]:
    told = snapshot(values, flags, time=TIME, terms=Terms(edition, 1, position))
    read: list[dict[type, object]] = []
    for message in told:
        data = gbt.encode_message(message)
        split_bodies(int(edition), data[6:])  # the other reading of the layouts agrees
        parsed = gbt.parse_message(Frame(edition, gbt.Command.REALTIME, "L" * 17, data))
        assert parsed == message
        assert isinstance(parsed, gbt.Realtime)
        read.append({type(body): body for body in parsed.bodies})
    return read


def test_the_vehicle_of_2016_is_told_with_the_platforms_sign_of_current() -> None:
    (told,) = bodies(VALUES, Edition.V2016)
    vehicle = told[edition2016.Vehicle]
    assert isinstance(vehicle, edition2016.Vehicle)
    assert (vehicle.speed_kmh.value, vehicle.current_a.value, vehicle.odometer_km.value) == (52.3, 45.5, 48_213.4)
    assert vehicle.state.value == 1
    assert vehicle.insulation_kohm.quality is Quality.INVALID
    extremes = told[edition2016.Extremes]
    assert isinstance(extremes, edition2016.Extremes)
    assert (extremes.voltage_max_cell.value, extremes.voltage_min_cell.value) == (1, 3)
    assert (extremes.temperature_max_probe.value, extremes.temperature_max_celsius.value) == (2, 31)
    assert edition2016.Position not in told


def test_a_cell_that_is_not_known_is_invalid_between_those_that_are() -> None:
    (told,) = bodies(VALUES, Edition.V2025)
    cells = told[edition2025.Cells]
    assert isinstance(cells, edition2025.Cells)
    assert [reading.value for reading in cells.packs[0].cells_v] == [3.651, None, 3.640]


@pytest.mark.parametrize("edition", list(Edition))
def test_the_position_is_told_where_it_may_be(edition: Edition) -> None:
    (told,) = bodies(VALUES, edition, position=True)
    position = told[edition2016.Position if edition is Edition.V2016 else edition2025.Position]
    assert isinstance(position, edition2016.Position | edition2025.Position)
    assert position.degrees == (-31.2, 121.4)
    (told,) = bodies({vss.SPEED: 1.0}, edition, position=True)
    position = told[edition2016.Position if edition is Edition.V2016 else edition2025.Position]
    assert isinstance(position, edition2016.Position | edition2025.Position)
    assert position.degrees is None


def test_alarms_by_edition() -> None:
    flags = (Flag(1, 3), Flag(23, 4))
    (old,), (new,) = bodies(VALUES, Edition.V2016, *flags), bodies(VALUES, Edition.V2025, *flags)
    old_alarms, new_alarms = old[edition2016.Alarms], new[edition2025.Alarms]
    assert isinstance(old_alarms, edition2016.Alarms)
    assert isinstance(new_alarms, edition2025.Alarms)
    assert (old_alarms.flags, old_alarms.level.value) == (1 << 1, 3)  # bit 23 came later, its gravity stays
    assert [(a.bit, a.level) for a in gbt.active_alarms(new_alarms)] == [(1, 3), (23, 4)]


def test_a_large_pack_goes_in_several_messages_of_2016() -> None:
    cells = {vss.cell_voltage(place): 3.3 + place / 1000 for place in range(450)}
    told = bodies(VALUES | cells, Edition.V2016)
    systems = [body.systems[0] for one in told if isinstance(body := one[edition2016.Cells], edition2016.Cells)]
    assert [(system.first.value, len(system.cells_v)) for system in systems] == [(1, 200), (201, 200), (401, 50)]
    assert {system.total.value for system in systems} == {450}


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.dictionaries(st.sampled_from([*VALUES, vss.ENGINE_SPEED, vss.IS_CHARGING, vss.LOW_VOLTAGE_STATE]), NUMBERS),
    st.sampled_from(list(Edition)),
)
def test_no_value_breaks_a_message(values: dict[str, float], edition: Edition) -> None:
    bodies(values, edition, Flag(11, 2), position=True)
