"""When the box's own certificate ends: said in time for somebody to bring a new one."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509

from agent.core.best_time import Now
from agent.core.errors import InputError
from agent.link.validity import date_text, find_end_ns

_LOG: Final = logging.getLogger(__name__)
DAY_NS: Final = 86_400 * 10**9
RENEW_WITHIN_NS: Final = 30 * DAY_NS
"""A certificate that ends sooner is told of: time to make a request, have it signed and bring the answer to the car."""


class Renewal:
    """Looks at the certificate's file, which may be replaced at any time: the next connection uses what is there."""

    def __init__(self, path: Path, now: Callable[[], Now]) -> None:
        self._path = path
        self._now = now
        self._seen: tuple[int, int] | None = None  # when the file was written, and its size
        self._end_ns = 0
        self._said = ""

    def look(self) -> tuple[bool, str]:
        """Whether all is well, and in words. What is not is logged as well, once a day while it lasts."""
        try:
            good, text = judge_end(self._read_end_ns(), self._now())
        except InputError as exc:
            good, text = False, str(exc)
        if not good and text != self._said:
            _LOG.warning("link.certificate: %s", text)
        self._said = text
        return good, text

    def _read_end_ns(self) -> int:
        try:
            found = self._path.stat()
        except OSError as exc:
            raise InputError(f"{self._path}: {exc.strerror}") from exc
        if (found.st_mtime_ns, found.st_size) != self._seen:
            self._end_ns = read_end_ns(self._path)
            self._seen = found.st_mtime_ns, found.st_size
        return self._end_ns


def read_end_ns(path: Path) -> int:
    """When the first certificate of a PEM file ends, UTC in ns since 1970. Raises InputError."""
    try:
        return find_end_ns(x509.load_pem_x509_certificate(path.read_bytes()))
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise InputError(f"{path}: not a certificate in PEM") from exc


def judge_end(end_ns: int, now: Now) -> tuple[bool, str]:
    """Whether a certificate of ours lasts for RENEW_WITHIN_NS, and what to say of it."""
    left_ns = end_ns - now.best_ns
    if left_ns <= 0:
        return False, f"ended {date_text(end_ns)}: the broker will refuse us"
    if left_ns < RENEW_WITHIN_NS:
        return False, f"ends {date_text(end_ns)}, in {left_ns // DAY_NS} days: renew it"
    return True, f"ends {date_text(end_ns)}"
