"""`outrider evidence`: a claim's bundle of one event, its check by anybody, and the roots of days."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import Certificate

from agent.cli.evidence_facts import Facts, check_certificates, gather_facts
from agent.cli.evidence_page import PAGE_VERSION, render_page
from agent.cli.stamp import check_stamp, read_stamp
from agent.core.errors import InputError, SealError
from agent.core.keys import parse_certificates, parse_ed25519, raw_bytes, read_key
from agent.core.records import digest_of
from agent.store.evidence import (
    DAY_ROOT,
    DEVICE,
    INSURER,
    MANIFEST,
    PAGES,
    STAMP,
    Manifest,
    hash_files,
    pack,
    parse_manifest,
    peek_manifest,
    unpack,
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the checker has by a way of its own. Where a key is None, the bundle's own is taken, and that is said."""

    device_key: Ed25519PublicKey | None = None
    insurer_key: Ed25519PublicKey | None = None
    authorities: Sequence[Certificate] = ()
    stamp_authorities: Sequence[Certificate] = ()


def judge(bundle: bytes, trust: Trust) -> tuple[Facts, Manifest, list[str]]:
    """Check everything. Returns what it shows, and what was not judged. Raises SealError naming what is wrong."""
    files = unpack(bundle)
    if MANIFEST not in files:
        raise SealError(f"{MANIFEST} is missing")
    manifest = _check_manifest(files)
    facts = gather_facts(files, manifest.device, manifest.position, stamped_ns=manifest.stamped_ns)
    notes = _compare(facts, trust)
    notes += _check_stamp(files, manifest, trust)
    notes += _check_pages(files, facts, manifest)
    if pack(files) != bundle:
        raise SealError("the ZIP file around the files was altered")
    return facts, manifest, notes


def verify_evidence(
    path: Path,
    *,
    device_cert: Path | None = None,
    receipt_key: Path | None = None,
    ca: Path | None = None,
    tsa_ca: Path | None = None,
) -> int:
    """Print what a bundle proves. Returns 0 where it holds, 1 where not. Raises InputError for unusable files."""
    trust = Trust(
        device_key=None if device_cert is None else read_key(device_cert, parse_ed25519),
        insurer_key=None if receipt_key is None else read_key(receipt_key, parse_ed25519),
        authorities=() if ca is None else read_key(ca, parse_certificates),
        stamp_authorities=() if tsa_ca is None else read_key(tsa_ca, parse_certificates),
    )
    try:
        facts, manifest, notes = judge(read_key(path, bytes), trust)
    except SealError as exc:
        print(f"{path}: NOT SOUND: {exc}")
        return 1
    event = facts.record.told.event if facts.record.told else None
    print(f"{path}: sound")
    print(
        f"  {event.kind if event else '?'} of {facts.device}, boot {facts.position.boot}, "
        f"sequence {facts.position.sequence}, put together by the {manifest.by}"
    )
    opened = sum(shown.told is not None for shown in facts.records)
    print(f"  {len(facts.records)} records in one chain, {opened} opened, each signed by the device")
    if facts.receipt is not None:
        print("  receipted by the insurer")
    if facts.day is not None:
        print(f"  one of {facts.day.records} records under the insurer's root of {facts.day.day}")
    for note in notes:
        print(f"  not judged: {note}")
    return 0


def _check_manifest(files: dict[str, bytes]) -> Manifest:
    claimed = peek_manifest(files[MANIFEST])
    name = INSURER if claimed.by == "insurer" else DEVICE
    try:
        key = parse_ed25519(files.get(name, b""))
    except InputError as exc:
        raise SealError(f"{name}: {exc}") from exc
    try:
        manifest = parse_manifest(files[MANIFEST], key)
    except SealError as exc:
        raise SealError(f"{MANIFEST} by the key in {name}: {exc}") from exc
    found = hash_files(files)
    for file in sorted(found.keys() | manifest.files.keys()):
        if file not in found:
            raise SealError(f"{file} is missing")
        if manifest.files.get(file) != found[file]:
            raise SealError(f"{file} was altered")
    return manifest


def _compare(facts: Facts, trust: Trust) -> list[str]:
    """The bundle's keys against the checker's own."""
    notes: list[str] = []
    if trust.device_key is not None and trust.device_key != facts.device_key:
        raise SealError(f"{DEVICE}: another key than the device's that was given")
    if trust.authorities:
        if not facts.certificates:
            raise SealError(f"{DEVICE}: no certificate, but a key only")
        check_certificates(facts.certificates, trust.authorities)
    if trust.device_key is None and not trust.authorities:
        notes.append(f"whose the device's key is ({_print_of(facts.device_key)}); give --device-cert or --ca")
    if facts.insurer_key is not None and trust.insurer_key is None:
        notes.append(f"whose the insurer's key is ({_print_of(facts.insurer_key)}); give --receipt-key")
    if trust.insurer_key is not None and trust.insurer_key != facts.insurer_key:
        raise SealError(f"{INSURER}: another key than the insurer's that was given")
    return notes


def _check_stamp(files: dict[str, bytes], manifest: Manifest, trust: Trust) -> list[str]:
    if STAMP not in files:
        return []
    if DAY_ROOT not in files:
        raise SealError(f"{STAMP}: there is no {DAY_ROOT} that it could be for")
    try:
        if trust.stamp_authorities:
            stamped_ns = check_stamp(files[STAMP], files[DAY_ROOT], trust.stamp_authorities)
        else:
            stamped_ns = read_stamp(files[STAMP])
    except SealError as exc:
        raise SealError(f"{STAMP}: {exc}") from exc
    except InputError as exc:
        if trust.stamp_authorities:
            raise
        return [f"the time stamp: {exc}"]
    if stamped_ns != manifest.stamped_ns:
        raise SealError(f"{STAMP}: it tells another time than the manifest")
    return [] if trust.stamp_authorities else ["the time stamp's authority; give --tsa-ca"]


def _check_pages(files: dict[str, bytes], facts: Facts, manifest: Manifest) -> list[str]:
    if manifest.page != PAGE_VERSION:
        return [f"whether the pages say the same: their layout {manifest.page} is not known here"]
    for language, name in PAGES.items():
        page = render_page(facts, language, by=manifest.by, exported_ns=manifest.exported_ns)
        if files.get(name) != page.encode():
            raise SealError(f"{name}: it says something else than the records")
    return []


def _print_of(key: Ed25519PublicKey) -> str:
    return digest_of(raw_bytes(key)).hex()[:16]
