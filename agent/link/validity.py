"""Certificates without a clock: who is in doubt about the time still connects, and refuses what has surely ended.

OpenSSL compares certificates with the system's clock, which on a box without a battery says 1970 until the network has
corrected it: and the network is what the handshake is for.
"""

import ssl
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from agent.core.best_time import SLACK_NS, Now

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL 1.1.0 and later, which Python does not name
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CertificateEnded(OSError):
    """A certificate of the other side ended before the best time known."""


Check = Callable[[ssl.SSLSocket], None]


def choose_check(context: ssl.SSLContext, now: Now | None, *, system_ns: Callable[[], int] = time.time_ns) -> Check:
    """What to do after the handshake in place of OpenSSL's look at the system's clock; nothing where that is right.

    now is the best time known, None to leave all to OpenSSL. Not yet valid cannot be judged without a clock.
    """
    if now is None or (now.wall_ns is not None and abs(system_ns() - now.wall_ns) <= SLACK_NS):
        return lambda _: None
    context.verify_flags |= _NO_CHECK_TIME
    return lambda sock: check_ends(_chain(sock), now)


def check_ends(certificates: Iterable[bytes], now: Now) -> None:
    """Certificates in DER. Raises CertificateEnded; only signed time counts, since a radio clock is easily fooled."""
    for der in certificates:
        certificate = x509.load_der_x509_certificate(der)
        end_ns = find_end_ns(certificate)
        if end_ns < now.floor_ns:
            name = certificate.subject.rfc4514_string()
            raise CertificateEnded(
                f"the broker's certificate has expired: {name} ended {date_text(end_ns)},"
                f" and it is {date_text(now.floor_ns)} or later by a signed time"
            )


def find_end_ns(certificate: x509.Certificate) -> int:
    """UTC in ns since 1970."""
    return (certificate.not_valid_after_utc - _EPOCH) // timedelta(seconds=1) * 10**9


def date_text(utc_ns: int) -> str:
    """YYYY-MM-DD; "far away" where the calendar has no such day."""
    try:
        return (_EPOCH + timedelta(seconds=utc_ns // 10**9)).strftime("%Y-%m-%d")
    except OverflowError:
        return "far away"


def _chain(sock: ssl.SSLSocket) -> list[bytes]:
    """The chain that OpenSSL verified, the other side's own certificate first."""
    if sys.version_info >= (3, 13):
        return sock.get_verified_chain()
    chain = sock._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - public from 3.13 on
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]
