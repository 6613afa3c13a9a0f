"""What is agreed to at one instant: grounds in force, and how precisely each purpose may tell a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.core.events import Ground, Purpose
from agent.core.privacy_events import Precision

_ORDER: Final[tuple[Precision, ...]] = ("none", "area", "exact")


@dataclass(frozen=True, slots=True)
class Agreed:
    """grounds always hold `rights`. places: a purpose that is not named tells none.

    since: purposes agreed to while the agent ran, and when, in monotonic ns: nobody agreed to what was before.
    """

    grounds: frozenset[Ground]
    places: Mapping[Ground, Precision] = field(default_factory=dict)
    since: Mapping[Ground, int] = field(default_factory=dict)

    def precision(self, grounds: frozenset[Ground]) -> Precision:
        """The best that any of these grounds allows, if it is in force."""
        allowed = (self.places.get(ground, "none") for ground in grounds & self.grounds)
        return max(allowed, key=_ORDER.index, default="none")

    def allows(self, purpose: Purpose) -> bool:
        """Whether a purpose is in force."""
        return purpose in self.grounds
