import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli.main import main
from agent.cli.verify import verify
from agent.core.errors import InputError
from agent.core.events import RecordsShed
from agent.core.records import Position, SealedRecord, build_envelope, parse_envelope
from agent.store.look import look, look_around
from agent.store.outbox import Outbox
from agent.store.seal import Sealer
from drivers.keystore import write_private
from tests.unit.store.kit import KEYS, braking, certify, make_chain, seal_chain


@pytest.fixture
def device_key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "device.pub.pem"
    path.parent.mkdir()
    path.write_bytes(KEYS.device.public_pem())
    return path


@pytest.fixture
def owner_key(device_key: Path) -> Path:
    path = device_key.with_name("owner.pem")
    write_private(path, KEYS.owner.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def save(path: Path, records: list[SealedRecord]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(record.payload for record in records))
    return path


def test_a_sound_chain_over_several_files(
    tmp_path: Path, device_key: Path, owner_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = seal_chain([braking(t_ns) for t_ns in range(5)])
    second = seal_chain([braking(t_ns) for t_ns in range(3)], boot=2, after=first[-1].digest)
    save(tmp_path / "export" / "1.cborseq", first[:2])
    save(tmp_path / "export" / "2.cborseq", first[2:] + second)
    assert verify([tmp_path / "export"], device_key=device_key, keys=[owner_key]) == 0
    assert capsys.readouterr().out == "8 of 8 records fit together, 2 boots; signatures verified\n"


def test_records_for_a_retired_key_open_with_it_beside_the_present_one(
    tmp_path: Path, device_key: Path, owner_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    present = X25519PrivateKey.generate()
    new_key = owner_key.with_name("new.pem")
    write_private(new_key, present.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    first = seal_chain([braking(1)])
    second = seal_chain(
        [braking(2)], boot=2, after=first[-1].digest, sealer=Sealer(KEYS.device, [present.public_key()])
    )
    path = str(save(tmp_path / "export.cborseq", first + second))
    options = ["verify", path, "--device-cert", str(device_key), "--key"]
    assert main([*options, str(new_key), str(owner_key)]) == 0
    assert main([*options, str(new_key), "--key", str(owner_key)]) == 0
    assert capsys.readouterr().out == "2 of 2 records fit together, 2 boots; signatures verified\n" * 2
    assert main([*options, str(new_key)]) == 1
    assert "not sealed for this key" in capsys.readouterr().out


def test_what_a_full_disk_let_go_is_told_apart_from_what_was_deleted(
    tmp_path: Path, device_key: Path, owner_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = {"first_boot": 1, "first_sequence": 2, "first_ns": 2, "last_boot": 1, "last_sequence": 3, "last_ns": 3}
    shed = RecordsShed(t_ns=9, of_priority=3, records=2, size_bytes=900, **span)
    records = seal_chain([*map(braking, range(6)), shed, braking(9)])
    path = save(tmp_path / "export.cborseq", records[:1] + records[3:])
    assert verify([path], device_key=device_key, keys=[owner_key]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "6 of 6 records fit together, 1 boots; signatures verified",
        "2 more were let go by a full disk, as the device itself has signed",
    ]
    save(path, records[:1] + records[3:4] + records[5:])
    assert verify([path], device_key=device_key, keys=[owner_key]) == 1
    assert "record 3 (boot 1, sequence 5) deleted" in capsys.readouterr().out
    assert verify([path], device_key=device_key) == 1  # what the device says lies below the encryption
    assert "record 2 (boot 1, sequence 2) deleted" in capsys.readouterr().out


def test_a_deleted_record_is_named_with_its_file(
    tmp_path: Path, device_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = make_chain(8)
    one = save(tmp_path / "export" / "1.cborseq", records[2:4])
    two = save(tmp_path / "export" / "2.cborseq", records[4:6] + records[7:])
    assert verify([one, two], device_key=device_key) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("4 of 5 records fit together, 1 boots; signatures not checked")
    assert lines[1] == "begins at boot 1, sequence 3: what came before is not shown"
    assert lines[2].startswith(f"{two}: record 5 (boot 1, sequence 7) deleted")


def test_an_altered_last_record_is_seen_with_a_key_only(
    tmp_path: Path, device_key: Path, owner_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = seal_chain([braking(t_ns) for t_ns in range(3)])
    header, cose = parse_envelope(records[-1].payload)
    altered = records[0].payload + records[1].payload + build_envelope(header, cose[:-40] + bytes(40))
    path = tmp_path / "altered.cborseq"
    path.write_bytes(altered)
    assert verify([path], device_key=device_key) == 0
    assert verify([path], device_key=device_key, keys=[owner_key]) == 1
    assert "record 3 altered" in capsys.readouterr().out


def test_a_new_chain_is_told(tmp_path: Path, device_key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "all.cborseq", make_chain(2) + make_chain(2, boot=2))
    assert verify([path], device_key=device_key) == 0
    assert "a new chain begins 1 more time(s)" in capsys.readouterr().out


def test_unusable_files_are_named(tmp_path: Path, device_key: Path) -> None:
    path = save(tmp_path / "cut.cborseq", make_chain(2))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"cut\.cborseq: byte \d+: CBOR is cut off"):
        verify([path], device_key=device_key)
    with pytest.raises(InputError, match=r"none\.cborseq: cannot be read"):
        verify([tmp_path / "none.cborseq"], device_key=device_key)
    (tmp_path / "claim.zip").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(InputError, match="outrider evidence verify"):
        verify([tmp_path / "claim.zip"], device_key=device_key)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no records in"):
        verify([tmp_path / "empty"], device_key=device_key)


def test_it_imports_nothing_of_the_path_that_writes(tmp_path: Path, device_key: Path, owner_key: Path) -> None:
    """In a process of its own, as a third party runs it."""
    log = save(tmp_path / "log.cborseq", seal_chain([braking(1), braking(2)]))
    program = f"""
import sys
from agent.cli.main import main
code = main(["verify", {str(log)!r}, "--device-cert", {str(device_key)!r}, "--key", {str(owner_key)!r}])
print(code, *(name for name in sys.modules if name.startswith(("agent.", "fleet", "simulators", "sqlite3"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    rooms = {name for name in modules if name.split(".")[1:2] not in (["core"], ["cli"])}
    assert "agent.store.unseal" in rooms
    assert not {name for name in rooms if name.startswith("agent.app") or name.split(".")[0] in {"fleet", "simulators"}}
    writers = {"seal", "outbox", "recorder", "database", "worker", "files", "reserve", "quota", "rebuild", "reports"}
    assert not {name for name in rooms if name.split(".")[-1] in writers}
    assert not {name for name in rooms if name.startswith("agent.link.") and not name.startswith("agent.link.wire")}
    assert "sqlite3" not in modules


def test_a_certificate_tells_the_devices_key(tmp_path: Path, device_key: Path, owner_key: Path) -> None:
    log = save(tmp_path / "log.cborseq", seal_chain([braking(1), braking(2)]))
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    chain = tmp_path / "device.crt"
    chain.write_bytes(certify(key, "car-1"))
    assert verify([log], device_key=chain, keys=[owner_key]) == 0
    chain.write_bytes(certify(ec.generate_private_key(ec.SECP256R1()), "car-1"))
    with pytest.raises(InputError, match=r"device\.crt: not an Ed25519 key"):
        verify([log], device_key=chain)
    chain.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(InputError, match=r"device\.crt: not PEM certificates"):
        verify([log], device_key=chain)


async def test_the_outbox_can_be_looked_into_while_it_is_open(tmp_path: Path) -> None:
    outbox = await Outbox.open(tmp_path, device="car-1", size_max_bytes=10**6)
    records = make_chain(5)
    await outbox.append(records, critical=False)
    assert look(tmp_path, 2) == (5, [record.payload for record in records[3:]])
    assert look_around(tmp_path, Position(1, 2), 1) == [record.payload for record in records[:3]]
    assert look_around(tmp_path, Position(2, 1), 10**6) == []
    assert outbox.boot == 1
    await outbox.close()
    assert look(tmp_path, 9)[0] == 5
    with pytest.raises(InputError, match="no outbox at"):
        look(tmp_path / "nowhere", 1)
    (tmp_path / "outbox.db").write_bytes(b"nonsense" * 100)
    with pytest.raises(InputError, match="cannot be read"):
        look(tmp_path, 1)
