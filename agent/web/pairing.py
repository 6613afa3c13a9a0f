"""Who may look: a browser is paired once, by a code that only somebody at the box can read.

Guessing is hopeless: after TRIES_MAX wrong tries the code is another one, and nobody may try for a while that doubles.
What is kept of a paired browser is a digest of its token.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Annotated, Final, Literal, Protocol

import msgspec
from msgspec import Meta

from agent.core.best_time import Now
from agent.core.errors import StoreError
from agent.core.ports import StateStore

_LOG: Final = logging.getLogger(__name__)
_NS: Final = 10**9
CODE_DIGITS: Final = 8
CODE_S: Final = 600
TRIES_MAX: Final = 5
LOCK_S: Final = 60
LOCK_LONGEST_S: Final = 3600
BROWSERS_MAX: Final = 8
BROWSER_DAYS: Final = 90


class _Browser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """until_ns 0: nobody has known the time yet since it was paired."""

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    until_ns: int


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    browsers: Annotated[list[_Browser], Meta(max_length=BROWSERS_MAX)]


class Time(Protocol):
    """What is needed of agent.core.best_time."""

    def now(self) -> Now:
        """UTC as far as it is known."""
        ...


class Pairing:
    """The code of now, and the browsers that were paired with one. show: gets each new code, for whoever is there."""

    def __init__(
        self,
        store: StateStore | None,
        *,
        time: Time,
        monotonic_ns: Callable[[], int],
        show: Callable[[str], None],
    ) -> None:
        self._store = store
        self._time = time
        self._monotonic_ns = monotonic_ns
        self._show = show
        self._browsers = self._load()
        self._wrong = 0
        self._lock_s = LOCK_S
        self._locked_until_ns: int | None = None
        self._renew()

    def look(self) -> None:
        """Show another code where this one is old, and date what could not be dated before."""
        if self._monotonic_ns() - self._made_ns >= CODE_S * _NS:
            self._renew()
        until_ns = self._until_ns()
        if until_ns and any(not browser.until_ns for browser in self._browsers):
            self._browsers = [_Browser(browser.digest, browser.until_ns or until_ns) for browser in self._browsers]
            self._save()

    def locked_s(self) -> int:
        """Seconds until somebody may try again, 0 where he may now."""
        if self._locked_until_ns is None:
            return 0
        return max(0, -(-(self._locked_until_ns - self._monotonic_ns()) // _NS))

    def pair(self, code: str) -> str | None:
        """The token of a newly paired browser; None for a wrong code, and while it is locked."""
        self.look()
        if self.locked_s():
            return None
        if not hmac.compare_digest(code.encode(), self._code.encode()):
            self._count_wrong()
            return None
        token = secrets.token_urlsafe(32)
        browser = _Browser(_digest(token), self._until_ns())
        self._browsers = [*self._browsers, browser][-BROWSERS_MAX:]  # the oldest one is paired anew if it comes back
        self._save()
        self._wrong, self._lock_s, self._locked_until_ns = 0, LOCK_S, None
        self._renew()
        return token

    def knows(self, token: str) -> bool:
        """Whether the token is that of a paired browser, and not too old. Where nobody knows the time, none is."""
        digest, now = _digest(token), self._time.now()
        found = [browser for browser in self._browsers if hmac.compare_digest(browser.digest, digest)]
        return any(not browser.until_ns or now.passed(browser.until_ns) is not True for browser in found)

    def forget(self, token: str) -> None:
        """Unpair one browser."""
        digest = _digest(token)
        self._browsers = [browser for browser in self._browsers if browser.digest != digest]
        self._save()

    def _until_ns(self) -> int:
        wall_ns = self._time.now().wall_ns
        return 0 if wall_ns is None else wall_ns + BROWSER_DAYS * 86_400 * _NS

    def _renew(self) -> None:
        self._code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        self._made_ns = self._monotonic_ns()
        self._show(self._code)

    def _count_wrong(self) -> None:
        self._wrong += 1
        if self._wrong < TRIES_MAX:
            return
        _LOG.warning("local page: %d wrong codes: another one, and nobody may try for %d s", self._wrong, self._lock_s)
        self._wrong = 0
        self._locked_until_ns = self._monotonic_ns() + self._lock_s * _NS
        self._lock_s = min(2 * self._lock_s, LOCK_LONGEST_S)
        self._renew()

    def _load(self) -> list[_Browser]:
        try:
            data = self._store.load() if self._store else b""
            return msgspec.json.decode(data, type=_Kept).browsers if data else []
        except (StoreError, msgspec.DecodeError) as exc:
            _LOG.warning("local page: who was paired cannot be read, so nobody is: %s", exc)
            return []

    def _save(self) -> None:
        if self._store is None:
            return
        try:
            self._store.save(msgspec.json.encode(_Kept(browsers=self._browsers)))
        except StoreError as exc:
            _LOG.warning("local page: who is paired lasts until the next start only: %s", exc)


def form_key(token: str) -> str:
    """What a form of this browser carries, so that a page of another site cannot send one."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
