"""What is agreed to at one instant: grounds in force, and how precisely each purpose may tell a place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agent.core.config import Consent
from agent.core.events import Ground, Purpose

Precision = Literal["none", "area", "exact"]

_ORDER: Final[tuple[Precision, ...]] = ("none", "area", "exact")


@dataclass(frozen=True, slots=True)
class Agreed:
    """grounds always hold `rights`. places: a purpose that is not named tells none."""

    grounds: frozenset[Ground]
    places: Mapping[Ground, Precision]

    def precision(self, grounds: frozenset[Ground]) -> Precision:
        """The best that any of these grounds allows, if it is in force."""
        allowed = (self.places.get(ground, "none") for ground in grounds & self.grounds)
        return max(allowed, key=_ORDER.index, default="none")


def agreed_by(consent: Consent) -> Agreed:
    """What a config's [consent] says."""
    purposes: set[Purpose] = set(consent.purposes)
    grounds: set[Ground] = {"rights", *purposes}
    if "ubi_score" in purposes:
        grounds.add("ubi_detail")
    return Agreed(frozenset(grounds), {"claims": consent.crash_position})
