"""What a model says about itself: models/NAME.toml beside models/NAME.onnx."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.core.config import Name, Section
from agent.core.toml import load_toml


class ModelInput(Section, frozen=True, kw_only=True):
    """One signal: z = (value - mean) / scale, the value being the newest one, at most age_max_s old."""

    path: Annotated[str, Meta(min_length=3, max_length=200)]
    unit: Annotated[str, Meta(max_length=40)]
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    age_max_s: Annotated[float, Meta(gt=0, le=60)]


class Golden(Section, frozen=True, kw_only=True):
    """A model window (scaled, row by row) and what the model made of it where it was trained."""

    input: Annotated[list[float], Meta(min_length=1, max_length=65_536)]
    output: Annotated[list[float], Meta(min_length=1, max_length=4096)]


class Manifest(Section, frozen=True, kw_only=True):
    """The contract of one model.

    Input: float32[1, steps, inputs], rows at rate_hz, oldest first. Output: float32[1, inputs], each input's
    reconstruction error over its largest healthy one. The window is unlike the training drives where the
    largest output reaches `threshold`, and worth an event when `persistence` windows in a row are.
    `profiles` names the vehicles whose drives it was trained on; for any other it knows nothing.
    """

    name: Name
    version: Annotated[int, Meta(ge=1)]
    file: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    opset: Annotated[int, Meta(ge=7, le=30)]
    rate_hz: Annotated[float, Meta(ge=0.1, le=100)]
    steps: Annotated[int, Meta(ge=2, le=4096)]
    threshold: Annotated[float, Meta(gt=0)]
    persistence: Annotated[int, Meta(ge=1, le=1000)]
    gap_min_s: Annotated[float, Meta(ge=0, le=86_400)]
    golden_tolerance: Annotated[float, Meta(gt=0, le=0.1)]
    profiles: list[Name]
    inputs: Annotated[list[ModelInput], Meta(min_length=1, max_length=64)]
    golden: Annotated[list[Golden], Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        for number, golden in enumerate(self.golden):
            if len(golden.input) != self.steps * len(self.inputs) or len(golden.output) != len(self.inputs):
                raise ValueError(f"golden vector {number} does not have the model's shape")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of a model window."""
        return 1, self.steps, len(self.inputs)

    @property
    def output_shape(self) -> tuple[int, int]:
        """Shape of what the model answers."""
        return 1, len(self.inputs)


def load_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises ConfigError naming the key."""
    return load_toml(path, Manifest)
