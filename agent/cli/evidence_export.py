"""Putting evidence of one event together, whoever does it: choosing records, disclosing, drawing pages, signing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.cli.evidence_facts import gather_facts
from agent.cli.evidence_page import PAGE_VERSION, render_page
from agent.cli.stamp import read_stamp
from agent.core.errors import InputError
from agent.core.events import Purpose, RecordsDamaged, RecordsErased, RecordsShed
from agent.core.records import Header, Position, Told, parse_envelope
from agent.store.evidence import (
    DISCLOSED,
    MANIFEST,
    PAGES,
    RECORDS,
    STAMP,
    Disclosed,
    Manifest,
    Sign,
    hash_files,
    pack,
    sign_manifest,
)
from agent.store.unseal import disclose_key, open_record

DISCLOSED_PURPOSES: Final[frozenset[Purpose]] = frozenset({"claims", "safety", "diagnostics"})
"""What the driver has agreed to for claims and safety, and how well the box was. Scores and answers stay sealed."""

_EXPLAINS_GAPS: Final = (RecordsShed, RecordsDamaged, RecordsErased)
EACH_SIDE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Source:
    """Who exports: the device's envelopes by boot and sequence, what opens them, and who signs for the bundle.

    files are what every bundle of this source has; add, given the bundle's envelopes and the event's, makes what
    depends on them (receipts, the day's root).
    """

    device: str
    envelopes: Sequence[bytes]
    keys: Sequence[X25519PrivateKey]
    device_key: Ed25519PublicKey
    by: Literal["insurer", "device"]
    sign: Sign
    files: dict[str, bytes] = field(default_factory=dict)
    add: Callable[[Sequence[bytes], bytes], dict[str, bytes]] = lambda _, __: {}


@dataclass(frozen=True, slots=True)
class _Picked:
    header: Header
    envelope: bytes
    told: Told


def export(source: Source, position: Position, *, around_s: float, now_ns: int | None = None) -> bytes:
    """Bundle for the record at this place. Raises InputError where it is not held, SealError where it is not sound.

    The range is what hangs together around it: all records within around_s of the event, and one more on each side.
    """
    picked = _pick(source, position, around_ns=round(around_s * 1e9))
    opened = [each for each in picked if each.header.position == position or _may_show(each.told)]
    event = next(each.envelope for each in picked if each.header.position == position)
    keys = {each.header.position: disclose_key(each.envelope, source.keys) for each in opened}
    envelopes = [each.envelope for each in picked]
    files = {RECORDS: b"".join(envelopes), DISCLOSED: Disclosed(keys).encode(), **source.files}
    files |= source.add(envelopes, event)
    stamped_ns = read_stamp(files[STAMP]) if STAMP in files else None
    facts = gather_facts(files, source.device, position, stamped_ns=stamped_ns)
    exported_ns = time.time_ns() if now_ns is None else now_ns
    for language, name in PAGES.items():
        files[name] = render_page(facts, language, by=source.by, exported_ns=exported_ns).encode()
    manifest = Manifest(
        v=1,
        device=source.device,
        boot=position.boot,
        sequence=position.sequence,
        by=source.by,
        exported_ns=exported_ns,
        stamped_ns=stamped_ns,
        page=PAGE_VERSION,
        files=hash_files(files),
    )
    return pack(files | {MANIFEST: sign_manifest(manifest, source.sign)})


def _may_show(told: Told) -> bool:
    return told.event.purpose in DISCLOSED_PURPOSES or isinstance(told.event, _EXPLAINS_GAPS)


def _pick(source: Source, position: Position, *, around_ns: int) -> list[_Picked]:
    run = _run_around(source, position)
    opened = [_Picked(header, data, open_record(data, source.keys, source.device_key)[1]) for header, data in run]
    t_ns = next(each.told.event.t_ns for each in opened if each.header.position == position)
    near = [index for index, each in enumerate(opened) if abs(each.told.event.t_ns - t_ns) <= around_ns]
    return opened[max(near[0] - 1, 0) : near[-1] + 2]


def _run_around(source: Source, position: Position) -> list[tuple[Header, bytes]]:
    """Records of the event's boot that follow each other without a gap, with the event among them."""
    parsed = ((parse_envelope(envelope)[0], envelope) for envelope in source.envelopes)
    boot = [(header, envelope) for header, envelope in parsed if header.boot == position.boot]
    at = next((index for index, (header, _) in enumerate(boot) if header.position == position), None)
    if at is None:
        raise InputError(f"{source.device}: no record at boot {position.boot}, sequence {position.sequence}")
    # Where nothing is missing, index and sequence grow together.
    shift = position.sequence - at
    first = last = at
    while first > max(0, at - EACH_SIDE_MAX) and boot[first - 1][0].sequence == first - 1 + shift:
        first -= 1
    while last < min(len(boot) - 1, at + EACH_SIDE_MAX) and boot[last + 1][0].sequence == last + 1 + shift:
        last += 1
    return boot[first : last + 1]
