"""Trouble codes and data of real Hyundai Kona EVs (projectgus/hyundai-kona-ev-can-logs @83a5cac, CC0).

bench_kona: what Car Scanner wrote down of two scans, code and status in words; the bytes it shows are put into the
message an ECU sends, and must come out as the same text and status. The logs have real scans on the wire. obd2_uds
(CSS-Electronics/api-examples @f7932ba, MIT) has data identifiers that cantools decodes with their DBC.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cantools
import pytest

from agent.proto import uds
from agent.proto.bus_codes import CarCodes
from agent.proto.isotp import Reassembler
from agent.proto.obd import encode_dtc, parse_dtc
from agent.proto.uds import Advice, DtcStatus
from simulators.replay import open_recording
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

STATUS = {
    "Test failed": DtcStatus.TEST_FAILED,
    "Test failed (current drive cycle)": DtcStatus.TEST_FAILED_THIS_CYCLE,
    "Pending": DtcStatus.PENDING,
    "Confirmed": DtcStatus.CONFIRMED,
    "Test failed since last DTC clear": DtcStatus.FAILED_SINCE_CLEAR,
    "Warning indicator requested": DtcStatus.WARNING_INDICATOR,
}
LISTED = re.compile(r"^([PCBU]\w{4})(?:\((\w\w)\))? \[0x(\w+)\].*\n(?:(?!Status).*\n)*?Status: (.*)$", re.MULTILINE)
SCANS = {"before": (16, 5), "after": (13, 4)}  # codes listed, those of them that are UDS's with three bytes


@pytest.mark.parametrize("when", SCANS)
def test_the_list_of_a_scan_is_exact(shared_data: Path, when: str, figures: Figures) -> None:
    [path] = (shared_data / "kona_ev_can" / "bench_kona").glob(f"*{when}-clearing.txt")
    text = path.read_text(encoding="utf-8-sig")
    announced = sum(int(count) for count in re.findall(r"^DTCs: (\d+)$", text, re.MULTILINE))
    listed = LISTED.findall(text)
    figures("kona_ev_can", f"DTCs of the scan {when} clearing, each exact", len(listed), announced)
    assert (announced, len(listed)) == (SCANS[when][0], SCANS[when][0])
    expected, sent = [], []
    for code, failure, raw, status in listed:
        if len(raw) == 4:  # KWP 2000, an older protocol: two bytes and its own status
            assert parse_dtc(bytes.fromhex(raw)) == code
            assert encode_dtc(code).hex().upper() == raw
            continue
        bits = sum(STATUS[word] for word in status.split(", "))
        expected.append((f"{code}-{failure}", bits))
        sent.append(bytes.fromhex(raw) + bytes([bits]))
    assert len(expected) == SCANS[when][1]
    answer = uds.parse_answer(b"\x59\x02\xff" + b"".join(sent), uds.encode_read_dtcs(0xAF))
    assert isinstance(answer, uds.Positive)
    assert [(dtc.text, dtc.status) for dtc in uds.parse_dtcs(answer)] == expected


def messages(path: Path) -> Iterator[tuple[int, bytes]]:
    reassembler = Reassembler()
    for batch in open_recording(path):
        for row in range(len(batch)):
            can_id, data = int(batch.can_id[row]), batch.data[row, : batch.length[row]].tobytes()
            if 0x700 <= can_id < 0x800 and data:
                message = reassembler.feed(can_id, data, int(batch.t_ns[row])).message
                if message is not None:
                    yield can_id, message


def test_a_scan_on_the_wire(shared_data: Path, figures: Figures) -> None:
    """Every answer to 19 02 on the diagnostics CAN of a 2021 Kona, taken apart by hand for the comparison."""
    request = uds.encode_read_dtcs(0x08)
    codes: dict[int, set[str]] = {}
    refusals: Counter[Advice] = Counter()
    answers = 0
    for can_id, message in messages(shared_data / "kona_ev_can" / "221210-1-2021-dcan-car-scanner-elm327.csv"):
        if message[0] != 0x59 and message[:2] != b"\x7f\x19":
            continue
        answer = uds.parse_answer(message, request)
        if isinstance(answer, uds.Negative):
            refusals[answer.advice] += 1
            continue
        answers += 1
        codes.setdefault(can_id, set()).update(f"{dtc.text} {dtc.status:02X}" for dtc in uds.parse_dtcs(answer))
    # 78: wait; 12, 11 and 31: never; 22 and 7F: in another state of the car.
    assert refusals == {Advice.WAIT: 12, Advice.NEVER: 25, Advice.LATER: 3}
    figures(
        "kona_ev_can", "UDS answers about DTCs on the wire, refusals among them", answers + sum(refusals.values()), 83
    )
    assert answers == 43
    assert {can_id: found for can_id, found in codes.items() if found} == {
        0x72D: {"B1603-00 08"}, 0x77E: {"B2801-00 08"}, 0x7AD: {"B1603-00 08"}, 0x7BB: {"B1238-13 09"},
        0x778: {"B1603-00 08", "B2801-00 08", "C167C-00 08", "B2211-00 08", "C1829-00 08"},
        0x7A8: {"B1603-00 08", "B1210-00 09", "B1211-00 09", "B1212-00 09", "B1213-00 09"},
        0x7BF: {"C1812-87 28"}, 0x7CE: {"B1001-52 09"}, 0x7DC: {"C1812-87 08"},
        0x7D9: {"C16B6-87 08", "C1638-08 08", "C1806-87 08", "C1614-87 08", "C1643-08 08"},
    }  # fmt: skip


def test_a_pending_answer_comes_after_all(shared_data: Path) -> None:
    told = [
        message[:3]
        for can_id, message in messages(shared_data / "kona_ev_can" / "221210-1-2021-dcan-car-scanner-elm327.csv")
        if can_id == 0x7A8 and (message[0] == 0x59 or message[:2] == b"\x7f\x19")
    ]
    assert told[-2:] == [b"\x7f\x19\x78", b"\x59\x02\x09"]


def test_data_identifiers_are_what_cantools_decodes(shared_data: Path, figures: Figures) -> None:
    folder = shared_data / "canedge_mf4"
    database = cantools.database.load_file(folder / "tp_uds.dbc")
    assert isinstance(database, cantools.database.Database)
    compared: Counter[int] = Counter()
    for can_id, message in messages(folder / "obd2_uds" / "17BD1DB7-00000170.MF4"):
        did, at, scale, offset, name = {
            0x7EC: (0x0101, 4, 0.5, 0, "M_SID_0x220101_StateOfChargeBMS"),
            0x7BB: (0x0100, 6, 0.5, -40, "M_SID_0x220100_OutdoorTemp"),
        }[can_id]
        answer = uds.parse_answer(message, uds.encode_read_dids([did]))
        assert isinstance(answer, uds.Positive)
        data = uds.parse_dids(answer, [did], {})[did]
        # Their message begins with the low byte of the length.
        theirs = database.decode_message(can_id, (bytes([len(message)]) + message).ljust(62, b"\0"))
        assert isinstance(theirs, dict)
        assert data[at] * scale + offset == theirs[name]
        compared[can_id] += 1
    figures("canedge_mf4", "UDS data identifiers equal to cantools'", compared.total(), "all 270")
    assert compared == {0x7BB: 150, 0x7EC: 120}


def test_a_scan_overheard_becomes_readings(shared_data: Path, figures: Figures) -> None:
    """What the box would hear beside a workshop's tester: the same codes as taken apart above, those with bit 3 set."""
    heard, codes = CarCodes(), dict[str, set[str]]()
    for batch in open_recording(shared_data / "kona_ev_can" / "221210-1-2021-dcan-car-scanner-elm327.csv"):
        for reading in heard.feed(batch):
            codes.setdefault(reading.source, set()).update(reading.stored or ())
    told = {source: found for source, found in codes.items() if found}
    figures("kona_ev_can", "ECUs whose confirmed DTCs are overheard", len(told), 10)
    assert told["bus:7D9"] == {"C16B6-87", "C1638-08", "C1806-87", "C1614-87", "C1643-08"}
    assert len(told) == 10
    assert heard.bad == 0
