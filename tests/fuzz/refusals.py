"""`./run fuzz --mutations N`: altered envelopes, receipts, config bundles and evidence, each refused with a reason.

Outer layers as a stranger could alter them: every one must be refused. Inner layers by somebody who holds the keys,
signed and sealed anew: refused, or taken for what they then truly say. Any exception but a refusal's is a crash.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.cli.evidence import Trust, judge
from agent.cli.evidence_export import Source, export
from agent.core.best_time import Now
from agent.core.cose import sign1, verify1
from agent.core.errors import BundleRejected, SealError
from agent.core.records import Position, Range, build_envelope, encode_event, parse_envelope
from agent.link.wire import RECEIPT_CONTEXT, encode_receipt, parse_receipt
from agent.remote.trust import accept_bundle
from agent.store import seal
from agent.store.chain import verify_chain
from agent.store.evidence import DEVICE, MANIFEST, Manifest, hash_files, pack, peek_manifest, sign_manifest, unpack
from agent.store.unseal import open_record, signature_aad
from fleet.bundle import make_manifest, sign_bundle
from tests.fuzz.guided import mutate
from tests.fuzz.sealed import BASE, OPERATOR, OPERATOR_PEM
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal

Refusal = type[SealError] | type[BundleRejected]

_CHAIN: Final = seal_chain([braking(1), thermal(2), braking(3), thermal(4)])
_RECEIPT_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
_RECEIPT: Final = encode_receipt(
    "car-1", [Range(1, 1, 3, bytes(32)), Range(2, 1, 9, b"\1" * 32)], received_ns=9, sign=_RECEIPT_KEY.sign
)
_CONFIG: Final = sign_bundle(
    make_manifest(
        "[detect.driving]\nbraking_mps2 = 3.5\n",
        bundle="b",
        version=2,
        expires_ns=100,
        vehicles=["box-1"],
        groups=["taxi"],
    ),
    OPERATOR,
)
_WARM: Final = 10  # a tenth of the run goes by before memory is looked at
_STATM: Final = Path("/proc/self/statm")
_PAGE_MIB: Final = 4096 / 2**20


@dataclass
class Row:
    """How one kind of alteration went."""

    name: str
    must_refuse: bool
    mutations: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Something went through, or crashed."""
        return bool(self.crashes) or (self.must_refuse and self.accepted > 0)


@dataclass(frozen=True)
class _Kind:
    name: str
    seeds: Sequence[bytes]
    take: Callable[[bytes], object]
    refusal: Refusal = SealError
    must_refuse: bool = True


def run(count: int, *, seed: int) -> tuple[list[Row], float]:
    """Spread mutations over all kinds. Returns a row for each, and by how many MiB the process grew once warm."""
    rng = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    kinds = _kinds()
    rows = [Row(kind.name, kind.must_refuse) for kind in kinds]
    warm_mib = 0.0
    for number in range(count):
        if number == count // _WARM:
            warm_mib = _rss_mib()
        kind, row = kinds[number % len(kinds)], rows[number % len(kinds)]
        data = mutate(rng, kind.seeds, size_max=200_000)
        if data in kind.seeds:
            data += b"\0"
        _try(kind, row, data)
    return rows, _rss_mib() - warm_mib


def _try(kind: _Kind, row: Row, data: bytes) -> None:
    row.mutations += 1
    try:
        kind.take(data)
    except kind.refusal as exc:
        row.reasons[re.sub(r"\d+|'.*?'|\(.*", "…", str(exc))[:60]] += 1
    except Exception as exc:  # noqa: BLE001  # whatever it is, it is what is looked for
        row.crashes.append(f"{type(exc).__name__}: {exc} on {data.hex()}")
    else:
        row.accepted += 1


def _kinds() -> list[_Kind]:
    envelopes = [record.payload for record in _CHAIN]
    header, _ = parse_envelope(envelopes[0])
    compressor = seal.make_compressor()
    content = encode_event(braking(1), position=header.position, wall_offset_ns=7, agent_version="0.1.0")
    frame = compressor.compress(content)
    signed = sign1(frame, external_aad=signature_aad(header), sign=KEYS.device.sign)
    receipt = verify1(_RECEIPT, external_aad=RECEIPT_CONTEXT, public_key=_RECEIPT_KEY.public_key())
    evidence = _evidence()

    def encrypt(data: bytes) -> bytes:
        return build_envelope(header, seal.encrypt(data, header, [KEYS.insurer.public_key()]))

    def sign(data: bytes) -> bytes:
        return encrypt(sign1(data, external_aad=signature_aad(header), sign=KEYS.device.sign))

    def sign_event(data: bytes) -> bytes:
        return sign(compressor.compress(data))

    forgeries = [
        _Kind("envelope", envelopes, _open),
        _Kind("envelope in its chain", envelopes[1:2], _in_chain),
        _Kind("receipt", [_RECEIPT], _receipt),
        _Kind("config bundle", [_CONFIG], _config, BundleRejected),
        _Kind("evidence", [evidence], lambda data: judge(data, Trust())),
        _Kind("signature, sealed anew", [signed], lambda data: _open(encrypt(data))),
    ]
    anew = {
        "frame, signed anew": ([frame], lambda data: _open(sign(data))),
        "event, signed anew": ([content], lambda data: _open(sign_event(data))),
        "receipt, signed anew": ([receipt], lambda data: _receipt(_resign(data))),
        "evidence, signed anew": (_files(evidence), lambda data: _rehash(evidence, data)),
    }
    return forgeries + [_Kind(name, seeds, take, must_refuse=False) for name, (seeds, take) in anew.items()]


def _open(data: bytes) -> None:
    open_record(data, KEYS.insurer, KEYS.device_public)


def _in_chain(data: bytes) -> None:
    """Without any key: the links of the others alone."""
    report = verify_chain([_CHAIN[0].payload, data, _CHAIN[2].payload, _CHAIN[3].payload])
    if report.finding is not None:
        raise SealError(f"{report.finding.fault}: {report.finding.detail}")


def _receipt(data: bytes) -> None:
    parse_receipt(data, _RECEIPT_KEY.public_key().public_bytes_raw(), "car-1")


def _resign(data: bytes) -> bytes:
    return sign1(data, external_aad=RECEIPT_CONTEXT, sign=_RECEIPT_KEY.sign)


def _config(data: bytes) -> None:
    accept_bundle(data, operator_key=OPERATOR_PEM, base=BASE, now=Now(floor_ns=0, wall_ns=50), version_current=1)


def _evidence() -> bytes:
    envelopes, files = [record.payload for record in _CHAIN], {DEVICE: KEYS.device.public_pem()}
    source = Source("car-1", envelopes, [KEYS.insurer], KEYS.device_public, "device", KEYS.device.sign, files)
    return export(source, Position(1, 2), around_s=9.0, now_ns=5)


def _files(evidence: bytes) -> list[bytes]:
    """Every file but the manifest, its name in front."""
    return [name.encode() + b"\0" + data for name, data in unpack(evidence).items() if name != MANIFEST]


def _rehash(evidence: bytes, data: bytes) -> None:
    """Put an altered file in, and have the device sign for it."""
    name, _, content = data.partition(b"\0")
    files = unpack(evidence)
    if name.decode("latin-1") not in files:
        raise SealError("no such file")
    files[name.decode("latin-1")] = content
    plain = peek_manifest(files[MANIFEST])
    fields = {field: getattr(plain, field) for field in plain.__struct_fields__}
    manifest = Manifest(**(fields | {"files": hash_files(files)}))
    judge(pack(files | {MANIFEST: sign_manifest(manifest, KEYS.device.sign)}), Trust())


def _rss_mib() -> float:
    return int(_STATM.read_text().split()[1]) * _PAGE_MIB
