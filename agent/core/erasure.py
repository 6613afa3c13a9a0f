"""Which of the owner's data is to go: of some purposes or of all, of a time or of all times. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from agent.core.events import Purpose

RIGHTS: Final = "rights"


@dataclass(frozen=True, slots=True)
class Selection:
    """purposes: None for all. from_ns and until_ns in UTC, the latter excluded; None has no bound.

    What tells of the owner's own will (`rights`) is never selected: it is the proof that he is owed this.
    """

    purposes: frozenset[Purpose] | None = None
    from_ns: int | None = None
    until_ns: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing of the owner is to be left, as for the car's next one."""
        return self == Selection()

    def covers(self, purposes: Collection[str], wall_ns: int | None) -> bool:
        """Whether a record of these purposes goes; one without a date may lie in any time, and goes."""
        if RIGHTS in purposes or not (self.purposes is None or any(each in self.purposes for each in purposes)):
            return False
        if wall_ns is None:
            return True
        return (self.from_ns is None or wall_ns >= self.from_ns) and (self.until_ns is None or wall_ns < self.until_ns)


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What the insurer has signed for: so many records of a request are gone with him, since when in UTC."""

    request: str
    records: int
    erased_ns: int
