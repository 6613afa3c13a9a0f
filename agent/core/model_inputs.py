"""What models are given and what their answers are about, as their manifests name it."""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.core.section import Section

Share = Annotated[float, Meta(ge=0, le=1)]


class ModelInput(Section, frozen=True, kw_only=True):
    """One signal: z = (value - mean) / scale, the value being the newest one, at most age_max_s old.

    An optional one that the car does not tell, or not often enough, is 0, and a column of its own says 0 for 1. edges
    part the training values into at most ten bins, shares is how much of the training fell into each: what the input's
    drift is measured against. A value on an edge belongs below it.
    """

    path: Annotated[str, Meta(min_length=3, max_length=200)]
    unit: Annotated[str, Meta(max_length=40)]
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    age_max_s: Annotated[float, Meta(gt=0, le=60)]
    edges: Annotated[list[float], Meta(max_length=9)] = msgspec.field(default_factory=list)
    shares: Annotated[list[Share], Meta(max_length=10)] = msgspec.field(default_factory=list)
    optional: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where edges and shares do not go together."""
        if self.edges and len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{self.path}: {len(self.edges)} edges part {len(self.edges) + 1} shares")
        if any(below >= above for below, above in pairwise(self.edges)):
            raise ValueError(f"{self.path}: edges must rise")


class Output(Section, frozen=True, kw_only=True):
    """What one score of a window is about: a fault by name, and the signal that it shows in.

    It counts only where that input was at least `least` in every row of the window, if that is given: a car that stands
    while somebody plays with the pedal is no car whose speed reads 0.
    """

    fault: Annotated[str, Meta(min_length=1, max_length=64)]
    signal: Annotated[str, Meta(min_length=3, max_length=200)]
    least: float | None = None


class Gate(Section, frozen=True, kw_only=True):
    """Which rows count: those in which `signal` is at least `least`; others are left out, for pause_max_s at most.

    A car whose `moves` is above `moves_above` in such a row is of a kind the model does not know: it is judged no more.
    """

    signal: Annotated[str, Meta(min_length=3, max_length=200)]
    least: float
    pause_max_s: Annotated[float, Meta(ge=0, le=3600)]
    moves: Annotated[str, Meta(min_length=3, max_length=200)]
    moves_above: float


class Feature(Section, frozen=True, kw_only=True):
    """One number that a detector worked out: z = (value - mean) / scale."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    mean: float
    scale: Annotated[float, Meta(gt=0)]


class SequenceFeature(Section, frozen=True, kw_only=True):
    """One number a step, 0 where it is as usual: z = value / scale.

    edges and shares: as a ModelInput's, of what the newest step of a healthy sequence held in training.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    unit: Annotated[str, Meta(max_length=40)]
    scale: Annotated[float, Meta(gt=0)]
    edges: Annotated[list[float], Meta(max_length=9)] = msgspec.field(default_factory=list)
    shares: Annotated[list[Share], Meta(max_length=10)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where edges and shares do not go together."""
        if self.edges and len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{self.name}: {len(self.edges)} edges part {len(self.edges) + 1} shares")
