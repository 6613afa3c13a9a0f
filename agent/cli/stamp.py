"""Time stamps by an authority (RFC 3161). The protocol is rfc3161-client's, an optional part: outrider[timestamp]."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Final

from cryptography.x509 import Certificate

from agent.core.errors import InputError, LinkDown, SealError

_TIMEOUT_S: Final = 30.0
_SIZE_MAX: Final = 65_536
_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"


def request_stamp(data: bytes, url: str) -> bytes:
    """Ask the authority for a stamp on the SHA-256 of data. Returns the whole response, DER.

    Raises LinkDown where it does not answer, SealError where it refuses or answers for something else, InputError
    for an address that is none.
    """
    tsp = _load()
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: not an http or https address")
    builder = tsp.TimestampRequestBuilder().data(data).hash_algorithm(tsp.HashAlgorithm.SHA256)
    query = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    request = urllib.request.Request(url, query.as_bytes(), {"Content-Type": _QUERY})  # noqa: S310  # http(s) only, see above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # the same
            blob: bytes = answer.read(_SIZE_MAX + 1)
            kind = answer.headers.get_content_type()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as exc:
        raise LinkDown(f"{url}: {exc}") from exc
    if kind != _REPLY or len(blob) > _SIZE_MAX:
        raise SealError(f"{url}: answered with {kind} of {len(blob)} bytes, not with a time stamp")
    stamp = _decode(tsp, blob)
    if stamp.tst_info.nonce != query.nonce or stamp.tst_info.message_imprint.message != query.message_imprint.message:
        raise SealError(f"{url}: the stamp answers another request")
    return blob


def read_stamp(blob: bytes) -> int:
    """Time that a response tells, UTC in ns. Believes it; see check_stamp. Raises SealError, InputError."""
    stamp = _decode(_load(), blob)
    told: datetime = stamp.tst_info.gen_time
    return (told - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def check_stamp(blob: bytes, data: bytes, roots: Sequence[Certificate]) -> int:
    """Time of a stamp on data whose chain ends at one of the roots, UTC in ns. Raises SealError, InputError."""
    tsp = _load()
    stamp = _decode(tsp, blob)
    # The builder's own default lists are shared between builders: these are not.
    verifier = tsp.VerifierBuilder(roots=list(roots), intermediates=[]).build()
    try:
        verifier.verify_message(stamp, data)
    except (tsp.VerificationError, ValueError) as exc:
        raise SealError(f"the time stamp is not good: {exc}") from exc
    return read_stamp(blob)


def _load() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError as exc:
        raise InputError("time stamps need rfc3161-client: pip install 'outrider[timestamp]'") from exc
    return rfc3161_client


def _decode(tsp: ModuleType, blob: bytes) -> Any:
    try:
        stamp = tsp.decode_timestamp_response(blob)
        granted = tsp.PKIStatus(stamp.status) == tsp.PKIStatus.GRANTED
    except ValueError as exc:
        raise SealError(f"not a time stamp: {exc}") from exc
    if not granted:
        raise SealError(f"the authority refused to stamp: {', '.join(stamp.status_string) or stamp.status}")
    return stamp
