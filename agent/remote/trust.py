"""Which pushed config to believe: a pure decision. The one seam a fuller update framework will replace.

A bundle is a COSE_Sign1 (RFC 9052) by the operator's Ed25519 key around CBOR:
{format: 1, id, version, expires_ns, issued_ns, vehicles: [..], groups: [..], config: TOML text}. docs/wire.md has the
CDDL.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from agent.core.best_time import SLACK_NS, Now
from agent.core.config import Config, Name, overlay_config
from agent.core.cose import decode_cbor, verify1
from agent.core.errors import BundleRejected, ConfigError, InputError, ProtocolError, SealError
from agent.core.keys import parse_ed25519

BUNDLE_CONTEXT: Final = b"outrider/config"
"""External data of the signature: an operator's key that signs other things cannot be borrowed for this."""
BUNDLE_SIZE_MAX: Final = 65_536
PUSHABLE: Final = frozenset({"detect", "voice"})
"""What an operator may change from afar, detect.anomaly and detect.bus apart. Identity, trust, storage, buses and the
link stay with who holds the box."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The signed content of a bundle. issued_ns: when it was signed, a time that a box without a clock learns from."""

    format: Literal[1]
    id: Name
    version: Annotated[int, Meta(ge=1, le=2**53)]
    expires_ns: Annotated[int, Meta(ge=0)]
    issued_ns: Annotated[int, Meta(ge=0)] | None = None
    vehicles: list[Name]
    groups: list[Name]
    config: Annotated[str, Meta(max_length=BUNDLE_SIZE_MAX)]


@dataclass(frozen=True, slots=True)
class AcceptedBundle:
    """A bundle that passed every check, with the config it makes.

    in_time: whether it surely has not expired; nobody can say so without a clock. issued_ns: a signed time.
    """

    id: str
    version: int
    sha256: str
    config: Config
    in_time: bool
    issued_ns: int | None


def accept_bundle(
    blob: bytes,
    *,
    operator_key: bytes,
    base: Config,
    now: Now,
    version_current: int,
) -> AcceptedBundle:
    """Check signature, schema, target, expiry, version and the config itself, in that order.

    operator_key is a PEM Ed25519 public key; now the best known UTC; base the config the overlay is laid on. What may
    have expired, for all that is known, is taken if its version is higher: in_time is then False, and the caller says
    so. Raises BundleRejected with a reason an operator can act on.
    """
    manifest = open_bundle(blob, operator_key)
    device, groups = base.device.id, base.device.groups
    if device not in manifest.vehicles and not _share(groups, manifest.groups):
        raise BundleRejected(f"foreign: not for vehicle {device}")
    issued_ns = manifest.issued_ns
    if issued_ns is not None and issued_ns >= manifest.expires_ns:
        raise BundleRejected("malformed: it expires before it is issued")
    expired = now.passed(manifest.expires_ns)
    if expired:
        at_least = "at least " if now.wall_ns is None else ""
        raise BundleRejected(f"expired: {at_least}{(now.best_ns - manifest.expires_ns) // 10**9} s ago")
    if issued_ns is not None and now.wall_ns is not None and issued_ns > now.wall_ns + SLACK_NS:
        raise BundleRejected(f"from the future: issued in {(issued_ns - now.wall_ns) // 10**9} s by this box's clock")
    if manifest.version <= version_current:
        raise BundleRejected(f"older: version {manifest.version}, running {version_current}")
    try:
        config = overlay_config(base, manifest.config, tables=PUSHABLE, name=manifest.id)
    except ConfigError as exc:
        raise BundleRejected(f"config refused: {exc}") from exc
    if config.detect.anomaly != base.detect.anomaly:
        # Read at the start only, and a name without a model would keep the next start from coming up.
        raise BundleRejected("config refused: detect.anomaly: may not be pushed, a model comes with the software")
    if config.detect.bus != base.detect.bus:  # what the kernel lets through is settled when a bus is opened
        raise BundleRejected("config refused: detect.bus: may not be pushed, it decides how buses are opened")
    return AcceptedBundle(
        manifest.id,
        manifest.version,
        hashlib.sha256(blob).hexdigest(),
        msgspec.structs.replace(config, version=manifest.version),
        in_time=expired is False,
        issued_ns=issued_ns,
    )


def open_bundle(blob: bytes, operator_key: bytes) -> Manifest:
    """Verify the signature and parse the content. Raises BundleRejected."""
    if len(blob) > BUNDLE_SIZE_MAX:
        raise BundleRejected(f"malformed: {len(blob)} bytes, at most {BUNDLE_SIZE_MAX}")
    if not operator_key:
        raise BundleRejected("no operator key is configured: this box takes no pushed config")
    try:
        payload = verify1(blob, external_aad=BUNDLE_CONTEXT, public_key=parse_ed25519(operator_key))
        return msgspec.convert(decode_cbor(payload), Manifest, strict=True)
    except InputError as exc:
        raise BundleRejected(f"the configured operator key is {exc}") from exc
    except SealError as exc:
        raise BundleRejected(f"tampered: {exc}") from exc
    except (ProtocolError, msgspec.ValidationError) as exc:
        raise BundleRejected(f"malformed: {exc}") from exc


def _share(left: Collection[str], right: Collection[str]) -> bool:
    return not set(left).isdisjoint(right)
