"""What the served wires say, as bytes: NMEA 0183 of a fix, a JSON line of the IMU, J1939 of a moment. No I/O."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from agent.core import vss
from agent.proto.j1939 import GLOBAL, PGN_DM1, Identifier, encode_identifier
from agent.proto.j1939_dm import Diagnosis, Lamp, LampState, encode_diagnosis
from agent.proto.nmea import KNOTS_KMH, encode_sentence
from simulators.world.diagnosis import MIL

_RANGE_ERROR_M: Final = 5.0  # accuracy of a fix per unit of HDOP
_ENGINE, _BODY = 0x00, 0x21  # source addresses of SAE J1939: engine 1, body controller

# PGN, source, priority; signal, first byte (from 0), bytes, units a bit, offset. Widely published SAE J1939-71 layouts.
_MESSAGES: Final = (
    (0xF004, _ENGINE, 3, ((vss.ENGINE_SPEED, 3, 2, 0.125, 0.0),)),  # EEC1, SPN 190
    (0xFEEE, _ENGINE, 6, ((vss.COOLANT_TEMPERATURE, 0, 1, 1.0, -40.0),)),  # ET1, SPN 110
    (0xFEF1, _ENGINE, 6, ((vss.SPEED, 1, 2, 1 / 256, 0.0),)),  # CCVS1, SPN 84
    (0xFEF7, _BODY, 6, ((vss.LOW_VOLTAGE, 4, 2, 0.05, 0.0),)),  # VEP1, SPN 168
    (0xFEF5, _BODY, 6, ((vss.AIR_TEMPERATURE, 3, 2, 1 / 32, -273.0),)),  # AMB, SPN 171
)


def nmea_fix(values: Mapping[str, float], wall_ns: int) -> bytes:
    """RMC and GGA of one fix; values by VSS path, in VSS units."""
    now = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    clock = f"{now:%H%M%S}.{now.microsecond // 10_000:02d}"
    latitude = _angle(values[vss.LATITUDE], 2, "NS")
    longitude = _angle(values[vss.LONGITUDE], 3, "EW")
    knots, heading = values[vss.GNSS_SPEED] / KNOTS_KMH, values[vss.HEADING] % 360
    hdop = max(0.5, values[vss.HORIZONTAL_ACCURACY] / _RANGE_ERROR_M)
    rmc = f"GNRMC,{clock},A,{latitude},{longitude},{knots:.2f},{heading:.1f},{now:%d%m%y},,,A"
    gga = f"GNGGA,{clock},{latitude},{longitude},1,12,{hdop:.1f},{values[vss.ALTITUDE]:.1f},M,0.0,M,,"
    return encode_sentence(rmc) + encode_sentence(gga)


def imu_line(t_ns: int, row: Sequence[float]) -> bytes:
    """One sample: {"t_ns", "a": [forward, right, up] in m/s^2, "w": [roll, pitch, yaw] in degrees/s}."""
    rounded = [round(value, 5) for value in row]
    return json.dumps({"t_ns": t_ns, "a": rounded[:3], "w": rounded[3:]}, separators=(",", ":")).encode() + b"\n"


def j1939_frames(values: Mapping[str, float]) -> list[tuple[int, bytes]]:
    """29-bit identifiers and data of this moment; what the car has no signal for stays "not available" (FF)."""
    frames = []
    for pgn, source, priority, parts in _MESSAGES:
        data = bytearray(b"\xff" * 8)
        for path, start, size, scale, offset in parts:
            if path in values:
                limit = (0xFB << 8 * (size - 1)) - 1  # above it lie "error" and "not available"
                raw = min(max(round((values[path] - offset) / scale), 0), limit)
                data[start : start + size] = raw.to_bytes(size, "little")
        frames.append((encode_identifier(Identifier(priority, pgn, source, GLOBAL)), bytes(data)))
    return frames


def j1939_lamps(values: Mapping[str, float]) -> tuple[int, bytes]:
    """DM1 with the lamp alone: which SPN a car's P-code is, nobody says."""
    lamp = Lamp(LampState.ON if values.get(MIL, 0.0) > 0.5 else LampState.OFF)
    return encode_identifier(Identifier(6, PGN_DM1, _ENGINE, GLOBAL)), encode_diagnosis(Diagnosis(malfunction=lamp))


def _angle(degrees: float, digits: int, signs: str) -> str:
    minutes = round(abs(degrees) * 60, 5)
    return f"{int(minutes // 60):0{digits}d}{minutes % 60:08.5f},{signs[int(degrees < 0)]}"
