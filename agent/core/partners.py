"""Places that the insurer works with, and the policy: what a box may know of the world beyond its car."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from agent.core.section import Section

Offer = Literal["service", "repair", "tyres", "battery", "charging"]


class Partner(Section, frozen=True, kw_only=True):
    """A partner place. A car that stands within radius_m of it for a while was there; what for the box cannot know."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    offers: Annotated[list[Offer], Meta(min_length=1)]
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    radius_m: Annotated[float, Meta(ge=20, le=2000)] = 120.0
    phone: Annotated[str, Meta(pattern=r"^(\+?\(?[0-9][0-9() -]{1,20}[0-9])?$")] = ""


class Policy(Section, frozen=True, kw_only=True):
    """The insurance policy. renewal: its last day, YYYY-MM-DD; empty: not told."""

    renewal: Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = ""

    def __post_init__(self) -> None:
        if self.renewal:
            date.fromisoformat(self.renewal)


Partners = Annotated[list[Partner], Meta(max_length=200)]
