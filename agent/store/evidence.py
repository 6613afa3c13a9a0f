"""Evidence of one event as one file: what is in it, how it is signed and packed. Pure; docs/wire.md describes it.

The file is a ZIP, so that anybody can look inside. It is written in one way only (stored, fixed dates, fixed order):
whatever is changed in it, packing its files anew gives other bytes.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from agent.core.config import Name
from agent.core.cose import decode_cbor, encode_cbor, sign1, verify1
from agent.core.errors import ProtocolError, SealError
from agent.core.records import Count, Nanoseconds, Position, digest_of
from agent.store.merkle import Inclusion

MANIFEST: Final = "manifest.cose"
RECORDS: Final = "records.cborseq"
DISCLOSED: Final = "disclosed.cbor"
RECEIPTS: Final = "receipts.cborseq"
DEVICE: Final = "device.pem"
INSURER: Final = "insurer.pem"
DAY_ROOT: Final = "day-root.cose"
DAY_PATH: Final = "day-path.cbor"
STAMP: Final = "day-root.tsr"
PAGES: Final[dict[Literal["zh", "en"], str]] = {"zh": "summary.zh.html", "en": "summary.en.html"}
NAMES: Final = (*PAGES.values(), MANIFEST, RECORDS, DISCLOSED, RECEIPTS, DEVICE, INSURER, DAY_ROOT, DAY_PATH, STAMP)
"""All files that a bundle may hold, in the order they are packed in."""

BUNDLE_SIZE_MAX: Final = 64 * 2**20
EVIDENCE_CONTEXT: Final = encode_cbor(["outrider/evidence", 1])
DAY_ROOT_CONTEXT: Final = encode_cbor(["outrider/day-root", 1])

Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Sign = Callable[[bytes], bytes]

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_NS: Final = 86_400 * 10**9
T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the evidence is of, who put it together, and the SHA-256 of every other file.

    stamped_ns is what the time stamp on the day's root says, page the version of the pages' layout.
    """

    v: Literal[1]
    device: Name
    boot: Count
    sequence: Count
    by: Literal["insurer", "device"]
    exported_ns: Nanoseconds
    stamped_ns: Nanoseconds | None
    page: int
    files: dict[str, Digest]

    @property
    def position(self) -> Position:
        """Where the event's record belongs."""
        return Position(self.boot, self.sequence)


class DayRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the insurer says of a UTC day: root of the tree over all records that came before until_ns."""

    v: Literal[1]
    day: Day
    until_ns: Nanoseconds
    records: Annotated[int, Meta(ge=1)]
    root: Digest

    def __post_init__(self) -> None:
        """Raise ValueError for a day that is none, and a time outside of it."""
        if not 0 < self.until_ns - day_start_ns(self.day) <= DAY_NS:
            raise ValueError(f"until_ns {self.until_ns} does not lie in {self.day}")


def day_start_ns(day: str) -> int:
    """When a UTC day (YYYY-MM-DD) begins, ns since 1970. Raises ValueError."""
    start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    return (start - _EPOCH) // timedelta(seconds=1) * 10**9


class _Path(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    index: Annotated[int, Meta(ge=0)]
    count: Annotated[int, Meta(ge=1)]
    path: Annotated[list[Digest], Meta(max_length=64)]


class _Key(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    boot: Count
    sequence: Count
    content_key: Digest


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Content keys of the records that the bundle shows opened."""

    keys: Mapping[Position, bytes]

    def encode(self) -> bytes:
        """CBOR array of [boot, sequence, content key]."""
        return encode_cbor([[*position, self.keys[position]] for position in sorted(self.keys)])


def parse_disclosed(data: bytes) -> Disclosed:
    """Inverse of encode. Raises SealError."""
    keys = _convert(data, list[_Key], "keys of opened records")
    return Disclosed({Position(key.boot, key.sequence): key.content_key for key in keys})


def encode_path(inclusion: Inclusion) -> bytes:
    """CBOR array [index, count, [sibling, ...]]."""
    return encode_cbor([inclusion.index, inclusion.count, list(inclusion.path)])


def parse_path(data: bytes) -> Inclusion:
    """Inverse of encode_path. Raises SealError."""
    path = _convert(data, _Path, "a path to a day's root")
    return Inclusion(path.index, path.count, tuple(path.path))


def sign_day_root(root: DayRoot, sign: Sign) -> bytes:
    """COSE_Sign1 by the insurer's receipt key."""
    return sign1(_encode(root), external_aad=DAY_ROOT_CONTEXT, sign=sign)


def parse_day_root(blob: bytes, key: Ed25519PublicKey) -> DayRoot:
    """Check the insurer's signature and read. Raises SealError."""
    return _convert(verify1(blob, external_aad=DAY_ROOT_CONTEXT, public_key=key), DayRoot, "a day's root")


def sign_manifest(manifest: Manifest, sign: Sign) -> bytes:
    """COSE_Sign1 by the insurer's receipt key, or the device's key where it was put together in the car."""
    return sign1(_encode(manifest), external_aad=EVIDENCE_CONTEXT, sign=sign)


def parse_manifest(blob: bytes, key: Ed25519PublicKey) -> Manifest:
    """Check the signature and read. Raises SealError."""
    return _convert(verify1(blob, external_aad=EVIDENCE_CONTEXT, public_key=key), Manifest, "a manifest")


def peek_manifest(blob: bytes) -> Manifest:
    """Read without believing: says whose key should have signed it. Raises SealError."""
    return _convert(_peek(blob), Manifest, "a manifest")


def peek_day_root(blob: bytes) -> DayRoot:
    """Read without believing; gather_facts checks the signature. Raises SealError."""
    return _convert(_peek(blob), DayRoot, "a day's root")


def hash_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """SHA-256 of every file but the manifest."""
    return {name: digest_of(data) for name, data in files.items() if name != MANIFEST}


def pack(files: Mapping[str, bytes]) -> bytes:
    """ZIP with these files: the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in NAMES:
            if name in files:
                info = zipfile.ZipInfo(name, _DATE)
                info.create_system, info.external_attr = 3, _MODE
                archive.writestr(info, files[name])
    return out.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Files of a bundle, all of known names, each once. Says nothing of what they are worth. Raises SealError."""
    if len(data) > BUNDLE_SIZE_MAX:
        raise SealError(f"evidence of {len(data)} bytes; {BUNDLE_SIZE_MAX} are allowed")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _admit(infos)
            # read() checks the CRC: a file that was altered is named here already
            return {info.filename: _read(archive, info) for info in infos}
    # What zipfile raises on damaged bytes is not one family.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OverflowError, RuntimeError, ValueError) as exc:
        raise SealError(f"not a ZIP file that was written here: {exc}") from exc


def _admit(infos: Sequence[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in infos]
    strangers = sorted(set(names) - set(NAMES))
    if strangers:
        raise SealError(f"{strangers[0]!r} does not belong into evidence")
    if len(set(names)) != len(names):
        raise SealError("a file is in it twice")
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size > BUNDLE_SIZE_MAX for info in infos):
        raise SealError("a file is compressed; evidence is not")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(info)
    except zipfile.BadZipFile as exc:
        raise SealError(f"{info.filename} was altered: {exc}") from exc


def _peek(blob: bytes) -> bytes:
    try:
        content = decode_cbor(blob).value[2]
    except (ProtocolError, AttributeError, TypeError, IndexError, KeyError) as exc:
        raise SealError("not a COSE_Sign1") from exc
    if not isinstance(content, bytes):
        raise SealError("not a COSE_Sign1")
    return content


def _convert(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.convert(decode_cbor(data), kind, strict=True)
    except (ProtocolError, msgspec.ValidationError) as exc:
        raise SealError(f"not {what}: {exc}") from exc


def _encode(value: msgspec.Struct) -> bytes:
    return encode_cbor(msgspec.to_builtins(value, builtin_types=(bytes,)))
