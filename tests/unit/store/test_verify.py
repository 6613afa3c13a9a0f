import ast
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import agent.cli.verify
from agent.cli.verify import verify
from agent.core.errors import InputError
from agent.core.records import SealedRecord, build_envelope, parse_envelope
from agent.store.look import look
from agent.store.outbox import Outbox
from drivers.keystore import write_private
from tests.unit.store.kit import KEYS, braking, make_chain, seal_chain


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
    assert verify([tmp_path / "export"], device_key=device_key, key=owner_key) == 0
    assert capsys.readouterr().out == "8 of 8 records fit together, 2 boots; signatures verified\n"


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
    assert verify([path], device_key=device_key, key=owner_key) == 1
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
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no records in"):
        verify([tmp_path / "empty"], device_key=device_key)


def test_it_imports_nothing_that_writes() -> None:
    tree = ast.parse(Path(agent.cli.verify.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in modules if name and name.rsplit(".")[-1] in {"outbox", "recorder", "database"}}


async def test_the_outbox_can_be_looked_into_while_it_is_open(tmp_path: Path) -> None:
    outbox = await Outbox.open(tmp_path, device="car-1", size_max_bytes=10**6)
    records = make_chain(5)
    await outbox.append(records, critical=False)
    assert look(tmp_path, 2) == (5, [record.payload for record in records[3:]])
    assert outbox.boot == 1
    await outbox.close()
    assert look(tmp_path, 9)[0] == 5
    with pytest.raises(InputError, match="no outbox at"):
        look(tmp_path / "nowhere", 1)
    (tmp_path / "outbox.db").write_bytes(b"nonsense" * 100)
    with pytest.raises(InputError, match="cannot be read"):
        look(tmp_path, 1)
