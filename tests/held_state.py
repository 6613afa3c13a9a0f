"""A StateStore in memory."""

from dataclasses import dataclass

from agent.core.errors import StoreError


@dataclass
class HeldState:
    """state: as saved last; saves: how often; refuses: as a full disk does."""

    state: bytes = b""
    saves: int = 0
    refuses: bool = False

    def load(self) -> bytes:
        return self.state

    def save(self, state: bytes) -> None:
        if self.refuses:
            raise StoreError("full")
        self.state = state
        self.saves += 1
