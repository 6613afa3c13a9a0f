"""Raw replies of real Ford F-150s in an ELM327's own notation (OBDb/Ford-F-150 @090509f, CC BY-SA 4.0).

Their expected values were worked out by others, from the same published PID tables.
"""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.config import load_toml
from agent.core.paths import OBD_PIDS
from agent.proto import obd
from agent.proto.elm327_lines import is_data, parse_with_headers, split_lines

pytestmark = pytest.mark.interop

# Their name, and what a unit of ours is of theirs (VSS wants m, they give km); one signal alone needs no name.
NAMES = {
    "Vehicle.Private.OBD.IsMILOn": ("MIL", 1), "Vehicle.Diagnostics.DTCCount": ("DTC_CNT", 1),
    "Vehicle.TraveledDistance": ("ODO", 1000), "Vehicle.Private.OBD.EVAPVaporPressureAlternate": ("EVAP_VP_WIDE", 1000),
} | {f"Vehicle.Private.OBD.{ours}": (theirs, 1) for ours, theirs in {
    "O2.Sensor2.Voltage": "O2S12", "O2.Sensor2.ShortTermFuelTrim": "SHRTFT12",
    "O2.Sensor6.Voltage": "O2S22", "O2.Sensor6.ShortTermFuelTrim": "SHRTFT22",
    "O2WR.Sensor1.LambdaByCurrent": "LAMBDA11_CURRENT", "O2WR.Sensor1.Current": "O2S11_CURRENT",
    "IntakeTempBank1Sensor1": "IAT_11", "IntakeTempBank1Sensor2": "IAT_12", "IntakeTempBank1Sensor3": "IAT_13",
    "IntakeTempBank2Sensor1": "IAT_21", "IntakeTempBank2Sensor2": "IAT_22", "IntakeTempBank2Sensor3": "IAT_23",
    "EGRA.Commanded": "EGR_A_CMD", "EGRA.Actual": "EGR_A_ACT", "EGRA.Error": "EGR_A_ERR",
    "EGRB.Commanded": "EGR_B_CMD", "EGRB.Actual": "EGR_B_ACT", "EGRB.Error": "EGR_B_ERR",
    "ThrottleA.Commanded": "TAC_A_CMD", "ThrottleA.Relative": "TP_A_REL",
    "ThrottleB.Commanded": "TAC_B_CMD", "ThrottleB.Relative": "TP_B_REL",
    "WastegateA.Commanded": "WG_A_CMD", "WastegateA.Actual": "WG_A_ACT",
    "WastegateB.Commanded": "WG_B_CMD", "WastegateB.Actual": "WG_B_ACT",
    "HybridBatteryVoltage": "HEV_BATT_V", "HybridBatteryCurrent": "HEV_BATT_A",
    "EngineFuelRateMass": "FUEL_RATE_ALT", "VehicleFuelRateMass": "VFUEL_RATE",
}.items()}  # fmt: skip
CASE = re.compile(r"- expected_values:\n((?:    \S+: .*\n)*)  response: (?:\|-\n((?:    .*\n?)+)|'?([0-9A-F ]+)'?)")


def cases(folder: Path) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """Command, expected values by name, reply lines."""
    with tarfile.open(folder / "obd_responses_f150" / "tests.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if "/commands/" in member.name else None
            if file is None:
                continue
            for values, several, one in CASE.findall(file.read().decode()):
                expected = dict(line.strip().split(": ", 1) for line in values.splitlines())
                yield Path(member.name).stem, expected, list(filter(is_data, split_lines((several or one).encode())))


def test_every_reply_of_the_powertrain_is_read_whole(shared_data: Path) -> None:
    count, spoilt = 0, []
    for command, _, lines in cases(shared_data):
        if not re.match(r"7E[89A-F]", lines[0]):
            continue  # ECUs of the body, which no OBD-II request reaches
        parsed = parse_with_headers(lines)
        count += 1
        if parsed.bad or not parsed.messages:
            spoilt.append((command, lines))
    assert count > 6500
    assert len(spoilt) <= 13, spoilt  # body ECUs among the lines, a line cut off, frames of a message long begun


def test_live_data_is_what_others_made_of_it(shared_data: Path) -> None:
    table: dict[int, list[obd.PidSpec]] = {}
    for spec in load_toml(OBD_PIDS, obd.PidTable).pids:
        table.setdefault(spec.pid, []).append(spec)
    compared: dict[int, int] = {}
    absent = 0
    for command, expected, lines in cases(shared_data):
        match = re.search(r"(?:^|\.)01([0-9A-F]{2})$", command)
        if match is None or int(match[1], 16) not in table:
            continue
        pid = int(match[1], 16)
        request = obd.encode_request(obd.CURRENT_DATA, [pid])
        [*_, answer] = [m.data for m in parse_with_headers(lines).messages if obd.is_answer(m.data, request)]
        data = obd.parse_pids(answer, [pid])[pid]
        for spec in table[pid]:
            name, factor = NAMES.get(spec.path, (next(iter(expected)), 1))
            # Theirs are rounded to five digits, and one is scaled by 2 / 65535 where we have 2 / 65536.
            theirs = pytest.approx(float(expected.get(name, "nan")) * factor, abs=2e-5 * factor, rel=2e-5)
            value = spec.value(data)
            if not spec.minimum <= value <= spec.maximum:  # not fitted, or a marker: no number for us, one for them
                absent += 1
                continue
            if spec.path.endswith("LambdaByCurrent"):
                value = min(value, 1.99)  # theirs ends there
            assert value == theirs, (command, lines)
            compared[pid] = compared.get(pid, 0) + 1
    assert (len(compared), sum(compared.values()), absent) == (54, 1740, 155)
