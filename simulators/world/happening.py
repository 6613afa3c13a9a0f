"""What all happenings of a scenario file share: the instant, the span, and names for parts of the car."""

from collections.abc import Collection
from typing import Annotated, Final, Literal

from msgspec import Meta

from agent.core.config import Section
from agent.core.errors import InputError
from simulators.guess import guess

CELL_COUNT: Final = 24

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Degrees = Annotated[float, Meta(ge=-360, le=360)]
Peak = Annotated[float, Meta(ge=0.5, le=300)]
Cell = Annotated[int, Meta(ge=0, lt=CELL_COUNT)]
Side = Literal["left", "right"]
Wheel = Literal["front_left", "front_right", "rear_left", "rear_right"]
Door = Literal["driver", "passenger", "rear_left", "rear_right"]
PulseShape = Literal["haversine", "triangle", "half_sine", "plateau", "sawtooth"]
Seat = Literal["driver", "passenger"]


class Happening(Section, frozen=True, kw_only=True, tag_field="kind"):
    """Base of what befalls the car at at_s."""

    at_s: Seconds


class Lasting(Happening, frozen=True, kw_only=True):
    """Base of what lasts; without duration_s to the end of the drive."""

    duration_s: Annotated[float, Meta(gt=0, le=86_400)] = 86_400.0

    @property
    def until_s(self) -> float:
        """When it is over."""
        return self.at_s + self.duration_s


def require(scenario: str, event: Happening, key: str, known: Collection[str]) -> None:
    """Hold a key of the event to names that only the whole car knows. Raises InputError."""
    name = getattr(event, key)
    if name not in known:
        kind = event.__struct_config__.tag
        raise InputError(f"{scenario}: {kind} at {event.at_s:g} s: {key}: unknown {name!r}{guess(name, known)}")
