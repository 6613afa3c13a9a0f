"""The running config on disk: swapped atomically, the last good one kept."""

import hashlib
import os
from pathlib import Path
from typing import Final

from agent.core.best_time import Now
from agent.core.config import Config
from agent.core.errors import BundleRejected, ConfigError, StoreError
from agent.remote.trust import AcceptedBundle, accept_bundle, open_bundle

_SEEN_MAX: Final = 64
_CURRENT: Final = "current.bundle"
_PREVIOUS: Final = "previous.bundle"


class ConfigStore:
    """Bundles below a directory. What is on disk is checked again at every start, expiry apart: it was in time."""

    def __init__(self, base: Config) -> None:
        """Find the newest bundle on disk that still verifies; base alone where there is none."""
        self._base = base
        self._directory = Path(base.store.directory) / "config"
        self._operator_key = _read_key(base.trust.operator_key)
        self.running = base
        self.issued_ns: int | None = None  # of the running bundle: a signed time
        self.problems: list[str] = []
        self._seen: set[str] = set()
        for name in (_CURRENT, _PREVIOUS):
            if self._load(self._directory / name):
                break

    def offer(self, blob: bytes, *, now: Now) -> AcceptedBundle | None:
        """Judge a bundle and make it the running one, on disk first.

        None where the very same bytes have been judged before (the broker keeps the last bundle and repeats it).
        Raises BundleRejected, or StoreError where the disk refuses.
        """
        digest = hashlib.sha256(blob).hexdigest()
        if digest in self._seen:
            return None
        try:
            accepted = accept_bundle(
                blob,
                operator_key=self._operator_key,
                base=self._base,
                now=now,
                version_current=self.running.version,
            )
        except BundleRejected:
            self._remember(digest)
            raise
        self._activate(blob)  # where the disk refuses, the broker's next copy is another chance
        self._remember(digest)
        self.running, self.issued_ns = accepted.config, accepted.issued_ns
        return accepted

    def _remember(self, digest: str) -> None:
        if len(self._seen) >= _SEEN_MAX:  # bound what a noisy operator can make us remember
            self._seen.clear()
        self._seen.add(digest)

    def name_of(self, blob: bytes) -> str:
        """Return the id a bundle gives itself if the operator signed it, else the start of its hash."""
        try:
            return open_bundle(blob, self._operator_key).id
        except BundleRejected:
            return nameless(blob)

    def _load(self, path: Path) -> bool:
        try:
            blob = path.read_bytes()
            accepted = accept_bundle(
                blob,
                operator_key=self._operator_key,
                base=self._base,
                now=Now(floor_ns=0),
                version_current=self._base.version,
            )
        except FileNotFoundError:
            return False
        except (OSError, BundleRejected) as exc:
            self.problems.append(f"{path.name}: {exc}")
            return False
        self.running, self.issued_ns = accepted.config, accepted.issued_ns
        self._seen.add(accepted.sha256)
        return True

    def _activate(self, blob: bytes) -> None:
        current, previous = self._directory / _CURRENT, self._directory / _PREVIOUS
        fresh = self._directory / "new.bundle"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            if current.exists():
                current.replace(previous)
            fresh.replace(current)
            folder = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as exc:
            raise StoreError(f"config cannot be kept: {exc}") from exc


def nameless(blob: bytes) -> str:
    """What a bundle is called in a report when its own name cannot be believed."""
    return f"sha256-{hashlib.sha256(blob).hexdigest()[:12]}"


def _read_key(path: str) -> bytes:
    if not path:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"trust.operator_key: {path} cannot be read: {exc.strerror}") from exc
