"""docs/wire.md is enough: a decoder written from it alone, sharing no code, opens what the agent seals."""

import ast
import hashlib
import sys
from pathlib import Path

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.cli.evidence_export import export
from agent.cli.evidence_sources import from_database
from agent.core.paths import DICTIONARIES
from agent.core.records import Position, SealedRecord
from agent.store.evidence import DAY_PATH, DAY_ROOT, RECORDS, unpack
from tests.interop import independent_decoder
from tests.interop.independent_decoder import Decoder, Refused
from tests.unit.cli.insurer import CRASH, hire_insurer
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
SOURCE = Path(independent_decoder.__file__).read_text(encoding="utf-8")


def decoder(*, insurer: bytes = KEYS.insurer.private_bytes_raw(), device: bytes = KEYS.device.public_key) -> Decoder:
    return Decoder([insurer], device, DICTIONARIES)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A vector file: two boots of one device."""
    first = seal_chain([braking(1), thermal(2), braking(3)])
    second = seal_chain([thermal(4), braking(5)], boot=2, after=first[-1].digest)
    path = tmp_path / "vector.cborseq"
    path.write_bytes(b"".join(record.payload for record in first + second))
    return path


def split(path: Path) -> list[bytes]:
    envelopes, data = [], path.read_bytes()
    with path.open("rb") as file:
        while file.tell() < len(data):
            start = file.tell()
            cbor2.CBORDecoder(file, read_size=1).decode()
            envelopes.append(data[start : file.tell()])
    return envelopes


def test_it_is_short_and_shares_no_code() -> None:
    assert len(SOURCE.splitlines()) < 100
    nodes = list(ast.walk(ast.parse(SOURCE)))
    names = [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    roots = {name.split(".")[0] for name in names}
    assert roots <= {"cbor2", "zstandard", "cryptography", *sys.stdlib_module_names}


def test_it_opens_a_log_checks_signatures_and_links(log: Path) -> None:
    opened = decoder().open_log(split(log))
    assert [(record["boot"], record["sequence"]) for record in opened] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert opened[0]["event"]["kind"] == "harsh_driving"
    assert opened[1]["event"] | {"value": 61.0, "limit": 55.0} == opened[1]["event"]


def test_it_refuses_what_was_changed(log: Path) -> None:
    envelopes = split(log)
    with pytest.raises(Refused, match="2/1 does not follow"):
        decoder().open_log(envelopes[:2] + envelopes[3:])
    altered = bytearray(envelopes[1])
    altered[len(altered) // 2] ^= 1
    with pytest.raises((InvalidTag, Refused, cbor2.CBORDecodeError)):
        decoder().open(bytes(altered))
    with pytest.raises(InvalidSignature):
        decoder(device=Ed25519PrivateKey.generate().public_key().public_bytes_raw()).open(envelopes[0])
    with pytest.raises(Refused, match="not for us"):
        decoder(insurer=X25519PrivateKey.generate().private_bytes_raw()).open(envelopes[0])


def test_the_owner_reads_his_own_data_with_it(log: Path) -> None:
    assert len(decoder(insurer=KEYS.owner.private_bytes_raw()).open_log(split(log))) == 5


def test_the_document_names_every_dictionary_by_its_hash() -> None:
    files = sorted(DICTIONARIES.glob("events-*.dict"))
    assert files
    for path in files:
        number = path.stem.removeprefix("events-")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"| {number} | `firmware_config/zstd/{path.name}` | `{digest}` |" in DOCUMENT
        assert int.from_bytes(path.read_bytes()[4:8], "little") == int(number)


def test_a_days_root_follows_from_the_document_alone(claim: tuple[bytes, list[SealedRecord]]) -> None:
    bundle, records = claim
    files = unpack(bundle)
    day = cbor2.loads(cbor2.loads(files[DAY_ROOT]).value[2])

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while 2 * k < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()

    assert root(sorted(hashlib.sha256(record.payload).digest() for record in records)) == day["root"]
    assert cbor2.loads(files[DAY_PATH])[1] == day["records"] == len(records)
    assert files[RECORDS] in b"".join(record.payload for record in records)


@pytest.fixture
def claim(tmp_path: Path) -> tuple[bytes, list[SealedRecord]]:
    insurer = hire_insurer(tmp_path)
    source = from_database(str(insurer.database), insurer.directory, "car-1")
    return export(source, Position(1, CRASH), around_s=60.0), insurer.records
