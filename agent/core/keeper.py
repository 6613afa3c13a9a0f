"""Keeps a small state that must not be lost unnoticed, on a disk that may refuse it for a while."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from agent.core.errors import StoreError
from agent.core.ports import StateStore

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_AGAIN_NS: Final = 60 * 10**9


class Keeper:
    """A refusal is told once an outage, and tried again at the next change, or a minute later by look().

    store: raises StoreError; None keeps nothing. what: its name for people. state: what is to be kept, as of now.
    """

    def __init__(self, store: StateStore | None, what: str, state: Callable[[], bytes]) -> None:
        self._store = store
        self._what = what
        self._state = state
        self._kept: bytes | None = None
        self._refused = False
        self._tried_ns = 0

    def load(self, parse: Callable[[bytes], T]) -> T | None:
        """What was kept; None where nothing was, or it is damaged, which is told.

        parse: raises msgspec.DecodeError or UnicodeDecodeError.
        """
        if self._store is None:
            return None
        try:
            data = self._store.load()
            return parse(data) if data else None
        except (StoreError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            _LOG.error("%s: cannot be read, begun anew: %s", self._what, exc)  # expected, no traceback
            return None

    def save(self) -> None:
        """Keep the state, if it is another than was kept last."""
        state = self._state() if self._store else b""
        if self._store is None or state == self._kept:
            return
        try:
            self._store.save(state)
        except StoreError as exc:
            if not self._refused:
                _LOG.warning("%s: not kept yet, tried again: %s", self._what, exc)
            self._refused = True
        else:
            self._kept, self._refused = state, False

    def look(self, t_ns: int) -> None:
        """Try again what was refused, a minute after the last look that did."""
        if self._refused and t_ns - self._tried_ns >= _AGAIN_NS:
            self._tried_ns = t_ns
            self.save()
