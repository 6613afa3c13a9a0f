"""What is fuzzed: one function of bytes, and how it takes them apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """run raises only on a finding: an undocumented exception, or a bound that does not hold."""

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


class Feed:
    """Takes an input apart, front to back; what is missing at its end is 0 or empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, size: int = 1) -> int:
        """The next bytes as an unsigned number."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def chunk(self, size_max: int = 255) -> bytes:
        """A length byte, and that many bytes."""
        return self.take(min(self.number(), size_max))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))
