"""The newest signed time, kept over a restart: not the number but the receipt that proves it.

So whoever writes to the disk can at most take it back to an older receipt; he cannot make one that says more.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from agent.core.best_time import BestTime
from agent.core.errors import SealError
from agent.link.wire import RECEIPT_SIZE_MAX, open_receipt

_LOG: Final = logging.getLogger(__name__)
_NAME: Final = "newest.receipt"
_STEP_NS: Final = (
    3_600 * 10**9
)  # an hour lost in a power cut is little; a write for every receipt would wear a card out


class SignedTime:
    """Teaches the best time what receipts say, those of earlier starts first."""

    def __init__(self, directory: Path, best: BestTime, *, device: str, receipt_key: bytes) -> None:
        """Read what an earlier start has kept; what does not verify counts for nothing."""
        self._path = directory / _NAME
        self._best = best
        self._kept_ns = self._load(device, receipt_key)

    async def take(self, receipt: bytes, received_ns: int) -> None:
        """A receipt whose signature was checked. A disk that refuses is no error: the next start knows less."""
        if not self._best.learn(received_ns):
            _LOG.warning("a receipt is dated %d s ahead of this box's clock", self._ahead_ns(received_ns) // 10**9)
        elif received_ns >= self._kept_ns + _STEP_NS:
            self._kept_ns = received_ns
            await asyncio.to_thread(self._write, receipt)

    def _load(self, device: str, receipt_key: bytes) -> int:
        try:
            with self._path.open("rb") as file:
                receipt = open_receipt(file.read(RECEIPT_SIZE_MAX + 1), receipt_key, device)
        except FileNotFoundError:
            return 0
        except (OSError, SealError) as exc:
            _LOG.warning("%s: %s", self._path, exc)
            return 0
        self._best.learn(receipt.received_ns)
        return receipt.received_ns

    def _write(self, receipt: bytes) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(receipt)
            fresh.replace(self._path)
        except OSError as exc:
            _LOG.warning("%s: %s", self._path, exc.strerror)

    def _ahead_ns(self, received_ns: int) -> int:
        return received_ns - (self._best.now().wall_ns or 0)
