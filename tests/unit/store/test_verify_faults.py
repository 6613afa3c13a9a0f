"""What only opened records and receipts show: records dated back, and a log that was cut off."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli import opening
from agent.cli.verify import verify
from agent.core.errors import InputError
from agent.core.keys import public_pem
from agent.core.records import GENESIS, Header, Range, SealedRecord, encode_event
from agent.link.wire import encode_receipt
from drivers.keystore import write_private
from tests.unit.store.kit import KEYS, braking, make_chain, seal_chain

INSURER = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
HOUR_NS = 3_600 * 10**9

Check = Callable[..., int]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "device.pem").write_bytes(KEYS.device.public_pem())
    write_private(folder / "owner.pem", KEYS.owner.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "insurer.pem").write_bytes(public_pem(INSURER.public_key()))

    def run(records: list[SealedRecord], ranges: list[Range] | None = None, *, key: bool = False) -> int:
        log, receipts = tmp_path / "log.cborseq", tmp_path / "receipts.cborseq"
        log.write_bytes(b"".join(record.payload for record in records))
        signed = [encode_receipt("car-1", [part], received_ns=1, sign=INSURER.sign) for part in ranges or []]
        receipts.write_bytes(b"".join(signed))
        return verify(
            [log],
            device_key=folder / "device.pem",
            keys=[folder / "owner.pem"] if key else [],
            receipts=None if ranges is None else receipts,
            receipt_key=folder / "insurer.pem",
        )

    return run


def covering(records: list[SealedRecord]) -> Range:
    return Range(records[0].boot, records[0].sequence, records[-1].sequence, records[-1].digest)


def boots(*offsets_ns: int | None) -> list[SealedRecord]:
    """Three records a boot, with these offsets of wall to monotonic time."""
    records: list[SealedRecord] = []
    for number, offset_ns in enumerate(offsets_ns):
        after = records[-1].digest if records else GENESIS
        events = [braking(t_ns * 10**9) for t_ns in range(1, 4)]
        records += seal_chain(events, boot=number + 1, after=after, wall_offset_ns=offset_ns)
    return records


def test_a_log_that_was_cut_off_is_named(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    records = make_chain(9)
    assert check(records, [covering(records[:4]), covering(records[4:])]) == 0
    assert check(records[:6], [covering(records[:4]), covering(records[4:])]) == 1
    out = capsys.readouterr().out.splitlines()[-1]
    assert "record 7 (boot 1, sequence 7) truncated: the insurer has signed for 3 more records" in out


def test_a_whole_boot_cut_off_is_named(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    first = make_chain(4)
    second = make_chain(3, boot=2, after=first[-1].digest)
    assert check(first, [covering(first), covering(second)]) == 1
    assert "record 5 (boot 2, sequence 1) truncated" in capsys.readouterr().out


def test_records_behind_the_last_receipt_are_no_finding(check: Check) -> None:
    records = make_chain(9)
    assert check(records, [covering(records[:4])]) == 0


def test_a_rewritten_end_is_not_what_was_signed_for(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    records = make_chain(6)
    forged = records[:5] + make_chain(1, first=6, after=records[4].digest, size=77)
    assert check(forged, [covering(records)]) == 1
    assert "record 6 (boot 1, sequence 6) altered: the insurer has signed for another" in capsys.readouterr().out


def test_a_record_dated_back_within_a_boot_is_named(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """By somebody who has the device's key: everything fits but the date."""
    records = boots(5 * HOUR_NS)
    last = records[-1]
    header = Header(device="car-1", boot=1, sequence=4, priority=last.priority, previous=last.digest)
    content = encode_event(braking(9), position=header.position, wall_offset_ns=4 * HOUR_NS, agent_version="0.1.0")
    assert check([*records, KEYS.sealer().seal(content, header)], key=True) == 1
    assert "record 4 (boot 1, sequence 4) back-dated: its clock says 3600 s less" in capsys.readouterr().out


def test_a_boot_dated_back_is_named_and_an_undated_one_is_not(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(boots(5 * HOUR_NS, None, 6 * HOUR_NS), key=True) == 0
    assert check(boots(5 * HOUR_NS, None, 4 * HOUR_NS), key=True) == 1
    assert "record 7 (boot 3, sequence 1) back-dated" in capsys.readouterr().out


def test_a_clock_that_is_set_by_seconds_is_no_finding(check: Check) -> None:
    assert check(boots(5 * HOUR_NS, 5 * HOUR_NS - 2 * 10**9), key=True) == 0


def test_processes_say_the_same(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_CHUNK", 2)
    assert check(boots(5 * HOUR_NS, 6 * HOUR_NS), key=True) == 0
    assert check(boots(5 * HOUR_NS, 4 * HOUR_NS), key=True) == 1


def test_receipts_that_cannot_be_used_are_named(check: Check, tmp_path: Path) -> None:
    records = make_chain(3)
    check(records, [covering(records)])
    with pytest.raises(InputError, match=r"receipts\.cborseq: .*--receipt-key"):
        opening.read_receipts(tmp_path / "receipts.cborseq", None, device="car-1")
    with pytest.raises(InputError, match=r"receipts\.cborseq: signature is wrong"):
        opening.read_receipts(tmp_path / "receipts.cborseq", tmp_path / "keys" / "device.pem", device="car-1")
    with pytest.raises(InputError, match=r"receipts\.cborseq: receipt for car-1, not for car-2"):
        opening.read_receipts(tmp_path / "receipts.cborseq", tmp_path / "keys" / "insurer.pem", device="car-2")
