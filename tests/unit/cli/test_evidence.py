"""A claim's bundle: made by the insurer or the owner, sound as it is, refused with a reason after any change."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.cli.evidence import Trust, judge
from agent.cli.evidence_export import Source, export
from agent.cli.evidence_sources import from_database
from agent.cli.main import main
from agent.core.cose import encode_cbor, sign1
from agent.core.errors import InputError, SealError
from agent.core.keys import parse_certificates, public_pem
from agent.core.records import Position
from agent.store import evidence
from agent.store.evidence import (
    DAY_PATH,
    DAY_ROOT,
    DEVICE,
    DISCLOSED,
    INSURER,
    MANIFEST,
    PAGES,
    RECEIPTS,
    RECORDS,
    Manifest,
    hash_files,
    pack,
    sign_manifest,
    unpack,
)
from agent.store.outbox import Outbox
from drivers.keystore import write_private
from tests.unit.cli.insurer import CRASH, DRIVE, Insurer, hire_insurer
from tests.unit.store.kit import KEYS, braking, certify, seal_chain

EVENT = f"car-1/1/{CRASH}"


@pytest.fixture(scope="module")
def insurer(tmp_path_factory: pytest.TempPathFactory) -> Insurer:
    return hire_insurer(tmp_path_factory.mktemp("insurer"))


@pytest.fixture(scope="module")
def bundle(insurer: Insurer) -> bytes:
    source = from_database(str(insurer.database), insurer.directory, "car-1")
    return export(source, Position(1, CRASH), around_s=60.0)


def resign(files: dict[str, bytes], insurer: Insurer, **changed: object) -> bytes:
    """As an insurer who lies would do it: everything hashed and signed anew."""
    plain = evidence.peek_manifest(files[MANIFEST])
    fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
    manifest = Manifest(**(fields | {"files": hash_files(files)} | changed))
    return pack(files | {MANIFEST: sign_manifest(manifest, insurer.keys.sign_receipt)})


def test_the_bundle_shows_the_event_its_range_and_no_more(bundle: bytes) -> None:
    facts, manifest, notes = judge(bundle, Trust())
    assert (manifest.device, manifest.position, manifest.by) == ("car-1", (1, CRASH), "insurer")
    assert [shown.header.sequence for shown in facts.records] == list(range(3, 13))
    kinds = [shown.told.event.kind if shown.told else "sealed" for shown in facts.records]
    assert kinds.count("sealed") == 2  # a harsh braking is for the score, an answer is the driver's
    assert facts.record.told is not None
    assert facts.record.told.event == DRIVE[CRASH - 1]
    assert facts.receipt is not None
    assert facts.day is not None
    assert facts.day.records == len(DRIVE)
    assert [note.split("(")[0] for note in notes] == ["whose the device's key is ", "whose the insurer's key is "]


def test_with_the_checkers_own_keys_nothing_is_left_open(bundle: bytes, insurer: Insurer) -> None:
    insurer_key = insurer.keys.receipt_key
    assert judge(bundle, Trust(device_key=KEYS.device_public, insurer_key=insurer_key))[2] == []
    stranger = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(SealError, match=r"device\.pem: another key"):
        judge(bundle, Trust(device_key=stranger))
    with pytest.raises(SealError, match=r"insurer\.pem: another key"):
        judge(bundle, Trust(insurer_key=stranger))


def test_any_altered_byte_is_refused_with_a_reason(bundle: bytes) -> None:
    rng = random.Random(4)  # noqa: S311  # to be repeated, not to be secret
    reasons: set[str] = set()
    places = {*range(0, len(bundle), 97), *range(len(bundle) - 900, len(bundle))}
    for place in sorted(places):
        altered = bytearray(bundle)
        altered[place] ^= 1 << rng.randrange(8)
        with pytest.raises(SealError) as caught:
            judge(bytes(altered), Trust())
        reasons.add(str(caught.value))
    assert any(reason.startswith(f"{RECORDS} was altered") for reason in reasons)
    assert any(reason.startswith(f"{PAGES['zh']} was altered") for reason in reasons)
    assert "the ZIP file around the files was altered" in reasons


@pytest.mark.parametrize("name", [*PAGES.values(), RECORDS, DISCLOSED, RECEIPTS, DEVICE, INSURER, DAY_ROOT, DAY_PATH])
def test_an_altered_file_is_named_where_the_zip_is_whole(bundle: bytes, name: str) -> None:
    files = unpack(bundle)
    other = files | {name: files[name][:-1] + bytes([files[name][-1] ^ 1])}
    with pytest.raises(SealError, match=name.replace(".", r"\.")):
        judge(pack(other), Trust())
    del other[name]
    with pytest.raises(SealError, match=name.replace(".", r"\.")):
        judge(pack(other), Trust())


Change = Callable[[dict[str, bytes], Insurer], None]


def other_page(files: dict[str, bytes], _: Insurer) -> None:
    files[PAGES["en"]] = files[PAGES["en"]].replace(b"31.5 km/h", b"11.5 km/h")


def fewer_records(files: dict[str, bytes], insurer: Insurer) -> None:
    files[RECORDS] = b"".join(record.payload for record in insurer.records[2:6] + insurer.records[7:])


def cut_records(files: dict[str, bytes], insurer: Insurer) -> None:
    files[RECORDS] = b"".join(record.payload for record in insurer.records[2:9])


def forged_record(files: dict[str, bytes], insurer: Insurer) -> None:
    forged = seal_chain([braking()], after=insurer.records[-1].digest)[0]
    files[RECORDS] += forged.payload


def wrong_keys(files: dict[str, bytes], _: Insurer) -> None:
    keys = dict(evidence.parse_disclosed(files[DISCLOSED]).keys)
    keys[Position(1, CRASH)] = bytes(32)
    files[DISCLOSED] = evidence.Disclosed(keys).encode()


def sealed_event(files: dict[str, bytes], _: Insurer) -> None:
    keys = dict(evidence.parse_disclosed(files[DISCLOSED]).keys)
    del keys[Position(1, CRASH)]
    files[DISCLOSED] = evidence.Disclosed(keys).encode()


def more_keys(files: dict[str, bytes], _: Insurer) -> None:
    keys = dict(evidence.parse_disclosed(files[DISCLOSED]).keys) | {Position(7, 7): bytes(32)}
    files[DISCLOSED] = evidence.Disclosed(keys).encode()


def another_path(files: dict[str, bytes], _: Insurer) -> None:
    path = evidence.parse_path(files[DAY_PATH])
    files[DAY_PATH] = evidence.encode_path(type(path)(path.index, path.count, (bytes(32), *path.path[1:])))


def another_day(files: dict[str, bytes], insurer: Insurer) -> None:
    """Records that came until today, signed for as those of a day long ago."""
    root = evidence.peek_day_root(files[DAY_ROOT])
    plain = msgspec.to_builtins(root, builtin_types=(bytes,)) | {"day": "2001-02-03"}
    files[DAY_ROOT] = sign1(encode_cbor(plain), external_aad=evidence.DAY_ROOT_CONTEXT, sign=insurer.keys.sign_receipt)


def another_device(files: dict[str, bytes], _: Insurer) -> None:
    files[DEVICE] = public_pem(Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_page, r"summary\.en\.html: it says something else than the records"),
        (fewer_records, r"records\.cborseq: record 5 \(boot 1, sequence 7\) deleted"),
        (cut_records, r"records\.cborseq: record 8 \(boot 1, sequence 10\) truncated"),
        (forged_record, r"records\.cborseq: record 11 .*(inserted|reordered)"),
        (wrong_keys, r"records\.cborseq: record 7 altered: envelope or content was altered"),
        (sealed_event, r"records\.cborseq: the event's record is not among them, or not opened"),
        (more_keys, r"records\.cborseq: disclosed\.cbor has keys of 1 records that are not here"),
        (another_path, r"day-path\.cbor: it does not lead from the event's record to the day's root"),
        (another_day, r"day-root\.cose: not a day's root: until_ns \d+ does not lie in 2001-02-03"),
        (another_device, r"records\.cborseq: record 1 altered: signature is wrong"),
    ],
)
def test_an_insurer_cannot_make_a_car_say_something_else(
    bundle: bytes, insurer: Insurer, change: Change, reason: str
) -> None:
    files = unpack(bundle)
    change(files, insurer)
    with pytest.raises(SealError, match=reason):
        judge(resign(files, insurer), Trust())


def test_a_manifest_by_another_key_is_refused(bundle: bytes, insurer: Insurer) -> None:
    files = unpack(bundle)
    manifest = evidence.peek_manifest(files[MANIFEST])
    files[MANIFEST] = sign_manifest(manifest, Ed25519PrivateKey.generate().sign)
    with pytest.raises(SealError, match=r"manifest\.cose by the key in insurer\.pem: signature is wrong"):
        judge(pack(files), Trust())
    assert judge(resign(unpack(bundle), insurer, page=99), Trust())[2][-1].startswith("whether the pages say the same")


def test_the_command_line_exports_and_verifies(
    insurer: Insurer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "claim.zip"
    made = ["evidence", "export", str(out), "--event", EVENT]
    assert main([*made, "--database", str(insurer.database), "--keys", str(insurer.directory)]) == 0
    (tmp_path / "device.pem").write_bytes(KEYS.device.public_pem())
    checked = ["evidence", "verify", str(out), "--device-cert", str(tmp_path / "device.pem")]
    assert main([*checked, "--receipt-key", str(insurer.keys.receipt_public)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: sound\n  collision of car-1, boot 1, sequence 9, put together by the insurer" in said
    assert "10 records in one chain, 8 opened" in said
    assert "not judged" not in said
    blob = bytearray(out.read_bytes())
    blob[len(blob) // 2] ^= 1
    out.write_bytes(blob)
    assert main(checked) == 1
    assert "NOT SOUND: " in capsys.readouterr().out
    assert main([*made, "--database", str(insurer.database), "--keys", str(insurer.directory)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_checking_imports_nothing_that_seals_or_writes(bundle: bytes, tmp_path: Path) -> None:
    (tmp_path / "claim.zip").write_bytes(bundle)
    program = f"""
import sys
from agent.cli.main import main
code = main(["evidence", "verify", {str(tmp_path / "claim.zip")!r}])
print(code, *(name for name in sys.modules if name.startswith(("agent.store.", "fleet", "sqlite3"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert {name.removeprefix("agent.store.") for name in modules} == {
        "chain", "dictionary", "evidence", "merkle", "unseal"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "reason"),
    [("car-1/1/99", "no record at boot 1, sequence 99"), ("car-2/1/9", "not registered"), ("1/9", "name the device")],
)
def test_what_is_not_held_is_told(
    insurer: Insurer, tmp_path: Path, capsys: pytest.CaptureFixture[str], event: str, reason: str
) -> None:
    rest = ["--database", str(insurer.database), "--keys", str(insurer.directory)]
    assert main(["evidence", "export", str(tmp_path / "x.zip"), "--event", event, *rest]) == 2
    assert reason in capsys.readouterr().err


def test_the_certificate_leads_to_its_authority(insurer: Insurer, tmp_path: Path) -> None:
    authority, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Devices CA")])
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    chain = tmp_path / "chain.pem"

    def export_with(pem: bytes) -> bytes:
        chain.write_bytes(pem)
        source = from_database(str(insurer.database), insurer.directory, "car-1", certificate=chain)
        return export(source, Position(1, CRASH), around_s=5.0)

    root = certify(authority, "Devices CA")
    blob = export_with(certify(key, "car-1", by=(name, authority)) + root)
    assert b"CN=Devices CA" in unpack(blob)[PAGES["en"]]
    trusted = Trust(authorities=parse_certificates(root), insurer_key=insurer.keys.receipt_key)
    assert judge(blob, trusted)[2] == []
    others = parse_certificates(certify(stranger, "Devices CA"))
    with pytest.raises(SealError, match="of CN=Devices CA is not issued by CN=Devices CA"):
        judge(blob, Trust(authorities=others))
    with pytest.raises(SealError, match="the certificate is for car-7, not for car-1"):
        export_with(certify(key, "car-7", by=(name, authority)) + root)
    with pytest.raises(SealError, match="of CN=car-1 is not issued by"):
        export_with(certify(key, "car-1", by=(name, stranger)) + root)
    with pytest.raises(InputError, match="not of the key that car-1 is registered with"):
        export_with(certify(stranger, "car-1"))


async def test_the_owner_exports_from_the_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = seal_chain(DRIVE)
    outbox = await Outbox.open(tmp_path / "store", device="car-1", size_max_bytes=10**6)
    await outbox.append(records, critical=True)
    await outbox.close()
    write_private(
        tmp_path / "device.pem",
        Ed25519PrivateKey.from_private_bytes(bytes(range(32))).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    )
    write_private(tmp_path / "owner.pem", KEYS.owner.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    config = tmp_path / "outrider.toml"
    config.write_text(
        f'profile = "ice_generic"\n[device]\nid = "car-1"\nkey = "{tmp_path}/device.pem"\n'
        f'[store]\ndirectory = "{tmp_path}/store"\n'
    )
    out = tmp_path / "mine.zip"
    made = ["evidence", "export", str(out), "--event", f"1/{CRASH}", "--config", str(config)]
    assert main([*made, "--key", str(tmp_path / "owner.pem")]) == 0
    facts, manifest, notes = judge(out.read_bytes(), Trust(device_key=KEYS.device_public))
    assert (manifest.by, facts.receipt, facts.day, notes) == ("device", None, None, [])
    assert "没有保险公司的签收" in unpack(out.read_bytes())[PAGES["zh"]].decode()
    assert main(made) == 2
    assert "--config and --key" in capsys.readouterr().err


def test_a_gap_ends_the_range() -> None:
    records = seal_chain([braking(t_ns) for t_ns in range(9)])
    held = [record.payload for record in (*records[:2], *records[3:7])]
    files = {DEVICE: KEYS.device.public_pem()}
    source = Source("car-1", held, [KEYS.owner], KEYS.device_public, "device", KEYS.device.sign, files)
    facts, _, _ = judge(export(source, Position(1, 5), around_s=1.0), Trust())
    assert [shown.header.sequence for shown in facts.records] == [4, 5, 6, 7]


def test_a_disclosed_key_opens_one_record_only(insurer: Insurer, bundle: bytes) -> None:
    keys = evidence.parse_disclosed(unpack(bundle)[DISCLOSED]).keys
    sealed = [record for record in insurer.records if record.position not in keys]
    assert len(sealed) == 4
    stranger = X25519PrivateKey.generate()
    assert stranger.private_bytes_raw() not in keys.values()
    assert len(set(keys.values())) == len(keys)
