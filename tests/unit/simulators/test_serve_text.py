"""What the served wires say, read back by the parsers of the agent."""

import json

import pytest

from agent.core import vss
from agent.proto.j1939 import parse_identifier
from agent.proto.j1939_dm import LampState, parse_diagnosis
from agent.proto.nmea import NmeaParser
from simulators.serve_text import imu_line, j1939_frames, j1939_lamps, nmea_fix
from simulators.world.diagnosis import MIL

_WALL_NS = 1_790_000_000_250_000_000


@pytest.mark.parametrize(("latitude", "longitude"), [(31.2164832, 121.4366), (-33.9, -70.0000001), (59.9999999, 0.0)])
def test_a_fix_is_read_back(latitude: float, longitude: float) -> None:
    values = {
        vss.LATITUDE: latitude,
        vss.LONGITUDE: longitude,
        vss.ALTITUDE: 15.4,
        vss.GNSS_SPEED: 50.0,
        vss.HEADING: 359.99,
        vss.HORIZONTAL_ACCURACY: 10.0,
    }
    parser = NmeaParser()
    fixes = parser.feed(nmea_fix(values, _WALL_NS))
    assert (parser.sentences, parser.bad) == (2, 0)
    first, second = fixes
    assert first.latitude == pytest.approx(latitude, abs=1e-6)
    assert first.longitude == pytest.approx(longitude, abs=1e-6)
    assert first.speed_kmh == pytest.approx(50.0, abs=0.02)
    assert first.utc_ns == _WALL_NS
    assert (second.altitude_m, second.hdop) == (15.4, 2.0)


def test_a_sample_is_one_line_of_json() -> None:
    line = imu_line(5, [1.0, 2.0, 9.8066512, 0.1, 0.2, 0.3])
    assert json.loads(line) == {"t_ns": 5, "a": [1.0, 2.0, 9.80665], "w": [0.1, 0.2, 0.3]}
    assert line.count(b"\n") == 1


def test_j1939_has_what_the_car_has() -> None:
    frames = {
        parse_identifier(can_id).pgn: data
        for can_id, data in j1939_frames({vss.ENGINE_SPEED: 1500.0, vss.SPEED: 80.0, vss.COOLANT_TEMPERATURE: 90.0})
    }
    assert int.from_bytes(frames[0xF004][3:5], "little") * 0.125 == 1500
    assert int.from_bytes(frames[0xFEF1][1:3], "little") / 256 == 80
    assert frames[0xFEEE][0] - 40 == 90
    assert frames[0xFEF7] == b"\xff" * 8  # no voltage: not available


@pytest.mark.parametrize(("lit", "state"), [(1.0, LampState.ON), (0.0, LampState.OFF)])
def test_the_lamp_is_a_dm1(lit: float, state: LampState) -> None:
    can_id, data = j1939_lamps({MIL: lit})
    assert parse_identifier(can_id).pgn == 0xFECA
    diagnosis = parse_diagnosis(data)
    assert (diagnosis.malfunction.state, diagnosis.faults) == (state, ())
