"""The insurer changes its encryption key while cars are offline: what they sealed for the old one still opens."""

from pathlib import Path

import pytest

from agent.core.errors import InputError, SealError
from agent.core.keys import parse_x25519
from agent.core.records import SealedRecord
from agent.store.seal import Sealer
from agent.store.unseal import open_record
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS, braking, seal_chain


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "insurer").mkdir()
    ReceiverKeys.create(tmp_path / "insurer").register("car-1", KEYS.device.public_key)
    return tmp_path / "insurer"


def seal_as_given(directory: Path, boot: int, before: list[SealedRecord]) -> list[SealedRecord]:
    """A car that knows the public key of this moment."""
    public = parse_x25519((directory / "insurer_encryption.pub.pem").read_bytes())
    after = before[-1].digest if before else bytes(32)
    sealer = Sealer(KEYS.device, [public, KEYS.owner.public_key()])
    return seal_chain([braking(boot * 10), braking(boot * 10 + 1)], boot=boot, after=after, sealer=sealer)


def test_records_for_every_key_there_was_are_accepted(directory: Path, tmp_path: Path) -> None:
    records = seal_as_given(directory, 1, [])
    for boot in (2, 3):
        assert main(["keys", str(directory), "--rotate"]) == 0
        records += seal_as_given(directory, boot, records)
    keys = ReceiverKeys.open(directory)
    assert len(keys.decryption_keys) == 3
    assert len({key.private_bytes_raw() for key in keys.decryption_keys}) == 3
    store = SqliteStore(tmp_path / "received.db")
    outcomes = Intake(keys, store).take([record.payload for record in records])
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 6
    assert store.counts("car-1").verified == 6
    store.close()
    with pytest.raises(SealError, match="not sealed for this key"):
        open_record(records[0].payload, keys.encryption_key, KEYS.device_public)


def test_retired_keys_stay_private_and_receipts_keep_their_key(directory: Path) -> None:
    before = ReceiverKeys.open(directory)
    after = ReceiverKeys.rotate(directory)
    assert {path.stat().st_mode & 0o777 for path in directory.glob("retired/*.pem")} == {0o600}
    assert (directory / "insurer_encryption.pem").stat().st_mode & 0o777 == 0o600
    assert after.receipt_key == before.receipt_key
    public = parse_x25519(after.encryption_public.read_bytes())
    assert public == after.encryption_key.public_key() != before.encryption_key.public_key()


def test_a_change_that_broke_off_loses_no_key(directory: Path) -> None:
    before = ReceiverKeys.open(directory)
    (directory / "insurer_encryption.new").write_bytes(b"left by a power cut")
    with pytest.raises(InputError, match=r"insurer_encryption\.new: exists already"):
        ReceiverKeys.rotate(directory)
    (directory / "insurer_encryption.new").unlink()
    keys = ReceiverKeys.rotate(directory)
    assert before.encryption_key.private_bytes_raw() in {key.private_bytes_raw() for key in keys.decryption_keys}
    assert parse_x25519(keys.encryption_public.read_bytes()) == keys.encryption_key.public_key()


def test_a_receiver_that_runs_finds_the_new_key_by_itself(directory: Path, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "received.db")
    intake = Intake(ReceiverKeys.open(directory), store)
    before = seal_as_given(directory, 1, [])
    assert main(["keys", str(directory), "--rotate"]) == 0
    after = seal_as_given(directory, 2, before)
    outcomes = intake.take([record.payload for record in (after[0], before[0], after[1], before[1])])
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 4
    store.close()


def test_a_record_for_another_key_makes_nobody_read_keys_again(directory: Path, tmp_path: Path) -> None:
    keys, store = ReceiverKeys.open(directory), SqliteStore(tmp_path / "received.db")
    held = keys.decryption_keys
    foreign = seal_chain([braking()])[0]
    assert Intake(keys, store).take([foreign.payload])[0].reason == "not sealed for this key"
    assert keys.decryption_keys is held
    (directory / "insurer_encryption.pem").unlink()
    assert not keys.refresh()
    store.close()
