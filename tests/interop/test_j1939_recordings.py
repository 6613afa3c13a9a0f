"""Two trucks' J1939 traffic (CSS-Electronics/api-examples @f7932ba, MIT), read by us and by three others.

canmatrix takes every identifier apart, asammdf reads the files and decodes the signals, and can-j1939 2.0.12 (MIT) has
put the long messages together: its read-out of the first file is kept here as a digest, made once by feeding the same
frames to its ElectronicControlUnit. The second file is NMEA 2000, whose fast packets are another protocol: there only
identifiers count.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.core.frames import EXTENDED
from agent.diagnosis.watch import CodeWatch
from agent.proto.bus_codes import TruckCodes
from agent.proto.j1939 import PGN_DM1, Message, Transport, parse_identifier
from agent.proto.j1939_dm import Fault, Lamp, LampState, parse_diagnosis
from simulators.replay import open_recording
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

TRUCK, OTHER = "11111111-00000001.MF4", "94C49784-00000002.MF4"
# can-j1939's: how many messages in all, how many of more than 8 bytes, SHA-256 over PGN, source and data of the latter.
PEER_MESSAGES, PEER_LONG = 45_040, 152
PEER_DIGEST = "0500472cc264c35b8de35c43cb7e85ad461035f436fd652278efdde5c61533b5"
PEER_DM1 = (Fault(980, 9, 126), Fault(3216, 20, 2), Fault(609, 9, 1), Fault(609, 12, 3))
EEC1, EC1, CCVS1 = 0xF004, 0xFEE3, 0xFEF1


def read(path: Path) -> tuple[list[Message], Transport]:
    transport = Transport()
    found: list[Message] = []
    for batch in open_recording(path):
        for row in np.flatnonzero(batch.flags & EXTENDED):
            data = batch.data[row, : batch.length[row]].tobytes()
            message = transport.feed(int(batch.can_id[row]), data, int(batch.t_ns[row]))
            found += [] if message is None else [message]
    return found, transport


@pytest.fixture(scope="module")
def truck(shared_data: Path) -> tuple[list[Message], Transport]:
    return read(shared_data / "canedge_mf4" / "j1939" / TRUCK)


def frames_of(path: Path) -> Iterator[tuple[int, bool]]:
    """Identifier and whether it has 29 bits, as asammdf reads them."""
    asammdf = pytest.importorskip("asammdf", reason="the extra mf4 is not installed")
    with asammdf.MDF(path) as file:
        numbers = file.get("CAN_DataFrame.ID", raw=True).samples
        kinds = file.get("CAN_DataFrame.IDE", raw=True).samples
        yield from zip(numbers.astype(int).tolist(), (kinds == 1).tolist(), strict=True)


@pytest.mark.parametrize("name", [TRUCK, OTHER])
def test_identifiers_are_what_canmatrix_makes_of_them(shared_data: Path, name: str, figures: Figures) -> None:
    canmatrix = pytest.importorskip("canmatrix", reason="the extra mf4 is not installed")
    frames = list(frames_of(shared_data / "canedge_mf4" / "j1939" / name))
    assert len(frames) == {TRUCK: 57_849, OTHER: 9_600}[name]
    can_ids = {can_id for can_id, extended in frames if extended}
    figures("canedge_mf4", f"{name[:8]}: J1939 identifiers equal to canmatrix's", len(can_ids), f"all {len(can_ids)}")
    for can_id in can_ids:
        theirs = canmatrix.ArbitrationId(id=can_id, extended=True)
        priority, pgn, source, destination = parse_identifier(can_id)
        assert (priority, pgn, source) == (theirs.j1939_priority, theirs.pgn, theirs.j1939_source)
        assert destination == (theirs.j1939_ps if theirs.j1939_pf < 240 else 0xFF)


def test_long_messages_are_those_of_can_j1939(truck: tuple[list[Message], Transport], figures: Figures) -> None:
    messages, transport = truck
    long = [message for message in messages if len(message.data) > 8]
    digest = hashlib.sha256()
    for message in long:
        digest.update(message.pgn.to_bytes(3, "big") + bytes([message.source]) + message.data)
    figures("canedge_mf4", "J1939 messages, as many as can-j1939's", len(messages), PEER_MESSAGES)
    figures("canedge_mf4", "of them longer than a frame, equal to can-j1939's", len(long), PEER_LONG)
    assert (len(messages), len(long), digest.hexdigest()) == (PEER_MESSAGES, PEER_LONG, PEER_DIGEST)
    assert Counter(message.pgn for message in long) == {PGN_DM1: 127, EC1: 25}
    assert (transport.ignored, transport.aborted, transport.expired, len(transport)) == (0, 0, 0, 0)


def test_dm1_is_that_of_can_j1939(truck: tuple[list[Message], Transport]) -> None:
    told = {parse_diagnosis(message.data) for message in truck[0] if message.pgn == PGN_DM1}
    assert len(told) == 1
    [diagnosis] = told
    assert diagnosis.faults == PEER_DM1
    assert diagnosis.malfunction.is_on
    assert (diagnosis.stop, diagnosis.warning) == (Lamp(), Lamp())
    assert diagnosis.protect.state is LampState.NOT_AVAILABLE


def test_signals_of_our_messages_are_what_asammdf_decodes(
    shared_data: Path, truck: tuple[list[Message], Transport], figures: Figures
) -> None:
    asammdf = pytest.importorskip("asammdf", reason="the extra mf4 is not installed")
    folder = shared_data / "canedge_mf4"
    with asammdf.MDF(folder / "j1939" / TRUCK) as file:
        decoded = file.extract_bus_logging({"CAN": [(folder / "CSS-Electronics-SAE-J1939-DEMO.dbc", 0)]})
        speed = [float(value) for value in decoded.get("EngineSpeed").samples]
        wheel = [float(value) for value in decoded.get("WheelBasedVehicleSpeed").samples]
    ours = {pgn: [message.data for message in truck[0] if message.pgn == pgn] for pgn in (EEC1, CCVS1)}
    figures("canedge_mf4", "J1939 signal values equal to asammdf's", len(speed) + len(wheel), "all of two signals")
    assert len(speed) > 12_000
    assert [int.from_bytes(data[3:5], "little") * 0.125 for data in ours[EEC1]] == pytest.approx(speed)
    assert [int.from_bytes(data[1:3], "little") / 256 for data in ours[CCVS1]] == pytest.approx(wheel)


def test_the_other_truck_speaks_another_transport(shared_data: Path) -> None:
    messages, transport = read(shared_data / "canedge_mf4" / "j1939" / OTHER)
    assert len(messages) == 9_600
    assert (transport.ignored, len(transport)) == (0, 0)


def test_a_trucks_active_faults_are_heard(shared_data: Path, figures: Figures) -> None:
    heard, watch = TruckCodes(), CodeWatch()
    readings = [r for batch in open_recording(shared_data / "canedge_mf4" / "j1939" / TRUCK) for r in heard.feed(batch)]
    told = [event for reading in readings if (event := watch.take(reading)) is not None]
    figures("canedge_mf4", "changes of a truck's active faults told, of readings", len(told), len(readings))
    assert [event.stored for event in told] == [sorted(f"SPN {fault.spn} FMI {fault.fmi}" for fault in PEER_DM1)]
