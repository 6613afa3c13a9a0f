"""The keyword model's net: what it is made of, whoever trains it or runs it.

Convolutions over time, of which all but the first two add to what they were given; averages over pieces of the time;
two dense layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]
# Of each convolution float32[out, in, kernel] and float32[out], then float32[out, in] and float32[out] of dense layers.
Weights = Sequence[Float32s]


@dataclass(frozen=True, slots=True)
class Shape:
    """One convolution over time; spacing: frames from one that the kernel sees to the next; added: to its input.

    before, after: zeros around the input.
    """

    kernel: int
    stride: int
    before: int
    after: int
    channels: int
    spacing: int = 1
    added: bool = False


# 192 frames of 10 ms -> 64 -> 32, each of which knows the second around it at the end; then 8 pieces: what was said
# first and last stays apart.
STEPS: Final = 192
_CHANNELS: Final = 160
CONVOLUTIONS: Final = (
    Shape(5, 3, 1, 1, 96),
    Shape(5, 2, 1, 2, _CHANNELS),
    *(Shape(3, 1, spacing, spacing, _CHANNELS, spacing, added=True) for spacing in (1, 2, 4, 2)),
)
POOL: Final = 4
PIECES: Final = 8
HIDDEN: Final = 256
# What is heard is looked at five times: as it is, by a longer and a shorter throat, said faster and slower. Pairs of
# bands moved and of the pace.
VIEWS: Final = ((0.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, 0.93), (0.0, 1.08))
# What other replies count against the likeliest one: that it is one of them is rarer by far than that it is none, and a
# doubt between two of them (fast, quick) is no doubt that a reply was meant.
RIVALS: Final = 0.2


def sizes(bands: int, classes: int) -> list[tuple[int, ...]]:
    """The shapes of a net's weights."""
    inputs, found = bands, []
    for shape in CONVOLUTIONS:
        found += [(shape.channels, inputs, shape.kernel), (shape.channels,)]
        inputs = shape.channels
    return [*found, (HIDDEN, PIECES * inputs), (HIDDEN,), (classes, HIDDEN), (classes,)]


def moved(bands: int, by: float) -> Float32s:
    """Moves a spectrum by so many bands, between them by interpolation; float32[bands, bands], from the right."""
    at = np.clip(np.arange(bands) + by, 0, bands - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(bands)[:, None] - at)), np.float32)


def pace(by: float) -> Float32s:
    """Says a stretch so many times as fast; float32[192, 192], from the left. Beyond its end there is nothing."""
    at = np.arange(STEPS)[:, None] * by
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(STEPS) - at)), np.float32)
