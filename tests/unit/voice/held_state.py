"""A StateStore in memory, for what scenes remember."""

from dataclasses import dataclass


@dataclass
class Store:
    state: bytes = b""

    def load(self) -> bytes:
        return self.state

    def save(self, state: bytes) -> None:
        self.state = state
