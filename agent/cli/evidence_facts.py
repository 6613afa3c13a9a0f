"""What the files of a bundle show, and whether it holds: for the pages and for `outrider evidence verify`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from agent.core.cose import decode_cbor, verify1
from agent.core.errors import InputError, SealError
from agent.core.keys import parse_certificates, parse_ed25519, raw_bytes
from agent.core.records import Header, Position, Range, Told, digest_of, parse_envelope
from agent.link.wire import RECEIPT_CONTEXT, parse_receipt
from agent.store.chain import date_of, split_envelopes, verify_chain
from agent.store.evidence import (
    DAY_PATH,
    DAY_ROOT,
    DEVICE,
    DISCLOSED,
    INSURER,
    RECEIPTS,
    RECORDS,
    DayRoot,
    parse_day_root,
    parse_disclosed,
    parse_path,
)
from agent.store.merkle import included_root
from agent.store.unseal import open_disclosed

RECORDS_MAX: Final = 100_000
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown:
    """One record of the range: told is None where it stays sealed."""

    header: Header
    digest: bytes
    told: Told | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The insurer's word that it holds these ranges."""

    received_ns: int
    ranges: tuple[Range, ...]

    def covers(self, position: Position) -> bool:
        """Whether the place is in one of the ranges."""
        return any(part.boot == position.boot and part.first <= position.sequence <= part.last for part in self.ranges)


@dataclass(frozen=True, slots=True)
class Facts:
    """What has been checked and found good. certificates: the device's first, empty where only its key is known."""

    device: str
    position: Position
    records: tuple[Shown, ...]
    device_key: Ed25519PublicKey
    insurer_key: Ed25519PublicKey | None
    certificates: tuple[Certificate, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    day: DayRoot | None = None
    day_leaf: int = 0
    stamped_ns: int | None = None
    wall_offset_ns: int | None = None

    @property
    def record(self) -> Shown:
        """The record that the evidence is of."""
        return next(shown for shown in self.records if shown.header.position == self.position)

    def wall_ns(self, told: Told) -> int | None:
        """UTC of an event: its own, or by another record of its boot."""
        if told.wall_ns is not None or self.wall_offset_ns is None or told.boot != self.position.boot:
            return told.wall_ns
        return told.event.t_ns + self.wall_offset_ns

    @property
    def receipt(self) -> Receipt | None:
        """The first receipt that covers the event's record."""
        return next((receipt for receipt in self.receipts if receipt.covers(self.position)), None)


def gather_facts(
    files: Mapping[str, bytes], device: str, position: Position, *, stamped_ns: int | None = None
) -> Facts:
    """Check everything that is below the manifest and the pages. Raises SealError naming the file and the reason."""
    certificates, device_key = _say(DEVICE, lambda: _read_device(files, device))
    insurer_key = _say(INSURER, lambda: parse_ed25519(files[INSURER])) if INSURER in files else None
    receipts = _say(RECEIPTS, lambda: _read_receipts(files, device, insurer_key)) if RECEIPTS in files else ()
    records = _say(RECORDS, lambda: _read_records(files, device, device_key, receipts))
    event = next((shown for shown in records if shown.header.position == position), None)
    if event is None or event.told is None:
        raise SealError(f"{RECORDS}: the event's record is not among them, or not opened")
    if receipts and not any(receipt.covers(position) for receipt in receipts):
        raise SealError(f"{RECEIPTS}: none is for the event's record")
    day, leaf = _read_day(files, event.digest, insurer_key) if DAY_ROOT in files or DAY_PATH in files else (None, 0)
    return Facts(
        device=device,
        position=position,
        records=records,
        device_key=device_key,
        insurer_key=insurer_key,
        certificates=certificates,
        receipts=receipts,
        day=day,
        day_leaf=leaf,
        stamped_ns=stamped_ns,
        wall_offset_ns=_nearest_offset_ns(records, event.told),
    )


def _nearest_offset_ns(records: Sequence[Shown], event: Told) -> int | None:
    """What the dated record of the event's boot that is nearest to it says of the boot's two clocks."""
    dated = [s.told for s in records if s.told and s.told.boot == event.boot and s.told.wall_offset_ns is not None]
    nearest = min(dated, key=lambda told: abs(told.event.t_ns - event.event.t_ns), default=None)
    return None if nearest is None else nearest.wall_offset_ns


def check_certificates(certificates: Sequence[Certificate], roots: Sequence[Certificate]) -> None:
    """Each is issued by the next, the last by one of the roots, where any are given. Raises SealError."""
    for certificate, issuer in pairwise(certificates):
        _check_issued(certificate, [issuer])
    if roots and certificates and certificates[-1] not in roots:
        _check_issued(certificates[-1], roots)


def _read_device(files: Mapping[str, bytes], device: str) -> tuple[tuple[Certificate, ...], Ed25519PublicKey]:
    blob = files.get(DEVICE, b"")
    key = parse_ed25519(blob)
    if _PEM not in blob:
        return (), key
    certificates = parse_certificates(blob)
    check_certificates(certificates, ())
    names = [str(name.value) for name in certificates[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if device not in names:
        raise SealError(f"the certificate is for {', '.join(names) or 'nobody'}, not for {device}")
    return tuple(certificates), key


def _check_issued(certificate: Certificate, issuers: Sequence[Certificate]) -> None:
    name = certificate.subject.rfc4514_string()
    for issuer in issuers:
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return
    raise SealError(f"the certificate of {name} is not issued by {issuers[0].subject.rfc4514_string()}")


def _read_receipts(files: Mapping[str, bytes], device: str, key: Ed25519PublicKey | None) -> tuple[Receipt, ...]:
    if key is None:
        raise SealError(f"there is no {INSURER} to check them with")
    receipts = []
    for blob in split_envelopes(files[RECEIPTS]):
        ranges = parse_receipt(blob, raw_bytes(key), device)
        content = decode_cbor(verify1(blob, external_aad=RECEIPT_CONTEXT, public_key=key))
        receipts.append(Receipt(content["received_ns"], tuple(ranges)))
    return tuple(receipts)


def _read_records(
    files: Mapping[str, bytes], device: str, device_key: Ed25519PublicKey, receipts: Sequence[Receipt]
) -> tuple[Shown, ...]:
    """Open what is disclosed and check the chain of all."""
    keys = dict(parse_disclosed(files.get(DISCLOSED, b"")).keys)
    envelopes = list(split_envelopes(files.get(RECORDS, b"")))
    if len(envelopes) > RECORDS_MAX:
        raise SealError(f"{len(envelopes)} records; {RECORDS_MAX} are allowed")
    told: dict[bytes, Told] = {}

    def check(envelope: bytes) -> object:
        header, _ = parse_envelope(envelope)
        key = keys.pop(header.position, None)
        if header.device != device:
            raise SealError(f"of device {header.device}")
        if key is None:
            return None
        told[digest_of(envelope)] = opened = open_disclosed(envelope, key, device_key)[1]
        return date_of(opened)

    receipted = [part for receipt in receipts for part in receipt.ranges]
    finding = verify_chain(envelopes, check=check, receipted=receipted).finding
    if finding is not None:
        raise SealError(str(finding))
    if keys:
        raise SealError(f"{DISCLOSED} has keys of {len(keys)} records that are not here")
    digests = [digest_of(envelope) for envelope in envelopes]
    return tuple(
        Shown(parse_envelope(envelope)[0], digest, told.get(digest))
        for envelope, digest in zip(envelopes, digests, strict=True)
    )


def _read_day(files: Mapping[str, bytes], digest: bytes, key: Ed25519PublicKey | None) -> tuple[DayRoot, int]:
    if key is None:
        raise SealError(f"{DAY_ROOT}: there is no {INSURER} to check it with")
    day = _say(DAY_ROOT, lambda: parse_day_root(files.get(DAY_ROOT, b""), key))
    inclusion = _say(DAY_PATH, lambda: parse_path(files.get(DAY_PATH, b"")))
    root = _say(DAY_PATH, lambda: included_root(digest, inclusion))
    if (root, inclusion.count) != (day.root, day.records):
        raise SealError(f"{DAY_PATH}: it does not lead from the event's record to the day's root")
    return day, inclusion.index


def _say(name: str, read: Callable[[], T]) -> T:
    """Run, and name the file in what goes wrong."""
    try:
        return read()
    except (SealError, InputError) as exc:
        raise SealError(f"{name}: {exc}") from exc
