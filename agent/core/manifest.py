"""What a model says about itself: models/NAME.toml beside models/NAME.onnx. Its card is written from it."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from agent.core.config import Name, Section
from agent.core.model_card import Card
from agent.core.model_inputs import Feature, Gate, ModelInput, Output, SequenceFeature
from agent.core.toml import load_toml


class Golden(Section, frozen=True, kw_only=True):
    """What the model is given (scaled, row by row) and what it made of it where it was trained."""

    input: Annotated[list[float], Meta(min_length=1, max_length=65_536)]
    output: Annotated[list[float], Meta(min_length=1, max_length=4096)]


class Manifest(Section, frozen=True, kw_only=True, tag_field="kind"):
    """The contract of one model, whatever its kind. The hash pins the file; whoever ships the manifest vouches for it.

    `profiles` names the vehicles it was trained for; empty: any.
    """

    name: Name
    version: Annotated[int, Meta(ge=1)]
    file: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    opset: Annotated[int, Meta(ge=7, le=30)]
    threshold: Annotated[float, Meta(gt=0)]
    golden_tolerance: Annotated[float, Meta(gt=0, le=0.1)]
    profiles: list[Name]
    card: Card
    golden: Annotated[list[Golden], Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where a golden vector does not fit."""
        ins, outs = _size(self.input_shape), _size(self.output_shape)
        for number, golden in enumerate(self.golden):
            if len(golden.input) != ins or len(golden.output) != outs:
                raise ValueError(f"golden vector {number} does not have the model's shape")

    @property
    def id(self) -> str:
        """What events call it: name and version."""
        return f"{self.name}-{self.version}"

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what the model is given, float32."""
        ...

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what the model answers, float32."""
        ...


class WindowManifest(Manifest, frozen=True, kw_only=True, tag="window"):
    """A model that looks at a window of signals.

    Input: float32[1, steps, inputs + optional inputs], rows at rate_hz, oldest first; behind the values stands for each
    optional input whether it is told. Output: float32[1, outputs], a score each. One at or above `threshold` in
    `persistence` windows in a row is worth an event. An input has drifted where its population stability index reaches
    drift_psi.
    """

    rate_hz: Annotated[float, Meta(ge=0.1, le=100)]
    steps: Annotated[int, Meta(ge=2, le=4096)]
    persistence: Annotated[int, Meta(ge=1, le=1000)]
    gap_min_s: Annotated[float, Meta(ge=0, le=86_400)]
    drift_psi: Annotated[float, Meta(gt=0, le=100)] = 0.25
    gate: Gate | None = None
    inputs: Annotated[list[ModelInput], Meta(min_length=1, max_length=64)]
    outputs: Annotated[list[Output], Meta(min_length=1, max_length=64)]

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where a vector or the gate does not fit."""
        super().__post_init__()
        required = {signal.path for signal in self.inputs if not signal.optional}
        if self.gate is not None and not {self.gate.signal, self.gate.moves} <= required:
            raise ValueError("the gate's signals must be inputs that are not optional")
        if not {output.signal for output in self.outputs if output.least is not None} <= required:
            raise ValueError("an output that counts from a value on must be about an input that is not optional")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of a model window."""
        return 1, self.steps, len(self.inputs) + sum(signal.optional for signal in self.inputs)

    @property
    def output_shape(self) -> tuple[int, int]:
        """One score an output."""
        return 1, len(self.outputs)


class FeatureManifest(Manifest, frozen=True, kw_only=True, tag="classifier"):
    """A model that names the probability of one thing from a detector's features.

    Input: float32[1, features], scaled and then held within +-clip. Output: float32[1, 1], a probability, calibrated
    on data it was not trained on. `threshold` is where a yes is read from it.
    """

    clip: Annotated[float, Meta(gt=0, le=1000)]
    features: Annotated[list[Feature], Meta(min_length=1, max_length=256)]

    def scaled(self, values: Sequence[float]) -> npt.NDArray[np.float32]:
        """What the model is given for a row of features in their units, float32[1, features]."""
        z = [(x - feature.mean) / feature.scale for x, feature in zip(values, self.features, strict=True)]
        inputs: npt.NDArray[np.float32] = np.clip(np.array([z]), -self.clip, self.clip).astype(np.float32)
        return inputs

    @property
    def input_shape(self) -> tuple[int, int]:
        """One row of features."""
        return 1, len(self.features)

    @property
    def output_shape(self) -> tuple[int, int]:
        """One probability."""
        return 1, 1


class SequenceManifest(Manifest, frozen=True, kw_only=True, tag="sequence"):
    """A model that tells what one of many like things is, from steps of its own history.

    Input: float32[1, steps, features], the newest step last, scaled and then held within +-clip; steps before the first
    one known are 0. Output: float32[1, kinds], probabilities; the first kind is the healthy one, those of `faults` are
    what it is asked about. `threshold` is where the sum of the faults' probabilities is a yes, worth an event where it
    was one at each of the newest `persistence` steps. A feature has drifted where its population stability index
    reaches drift_psi.
    """

    steps: Annotated[int, Meta(ge=2, le=256)]
    clip: Annotated[float, Meta(gt=0, le=1000)]
    kinds: Annotated[list[Name], Meta(min_length=2, max_length=16)]
    faults: Annotated[list[Name], Meta(min_length=1, max_length=15)]
    persistence: Annotated[int, Meta(ge=1, le=100)]
    drift_psi: Annotated[float, Meta(gt=0, le=100)]
    features: Annotated[list[SequenceFeature], Meta(min_length=1, max_length=64)]

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where kinds, or a golden vector, do not fit."""
        super().__post_init__()
        if not set(self.faults) <= set(self.kinds[1:]):
            raise ValueError("faults must be of the kinds, and not the first one")

    def scaled(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """What the model is given for float64[steps, features] in their units."""
        z = rows / np.array([feature.scale for feature in self.features])
        inputs: npt.NDArray[np.float32] = np.clip(z, -self.clip, self.clip).astype(np.float32)[None]
        return inputs

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One sequence."""
        return 1, self.steps, len(self.features)

    @property
    def output_shape(self) -> tuple[int, int]:
        """One probability a kind."""
        return 1, len(self.kinds)


class KeywordManifest(Manifest, frozen=True, kw_only=True, tag="keywords"):
    """A model that names which reply a stretch of speech is.

    Input: float32[1, steps, bands], log mel energies at rate_hz as drivers.keyword_features makes them. Output:
    float32[1, labels], 0 to 1 each: how sure it is of that one and not of the last, "other". The surest reply is
    believed at `threshold` or above.
    """

    rate_hz: Annotated[float, Meta(ge=10, le=1000)]
    steps: Annotated[int, Meta(ge=10, le=4096)]
    bands: Annotated[int, Meta(ge=8, le=256)]
    labels: Annotated[list[Name], Meta(min_length=2, max_length=256)]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of a stretch of speech."""
        return 1, self.steps, self.bands

    @property
    def output_shape(self) -> tuple[int, int]:
        """One answer a label."""
        return 1, len(self.labels)


AnyManifest = WindowManifest | FeatureManifest | SequenceManifest | KeywordManifest


def load_manifest(path: Path) -> AnyManifest:
    """Read a manifest of any kind. Raises ConfigError naming the key."""
    return load_toml(path, AnyManifest)  # type: ignore[arg-type]  # msgspec takes a union where mypy wants one class


def load_window_manifest(path: Path) -> WindowManifest:
    """Read the manifest of a model over signals. Raises ConfigError naming the key."""
    return load_toml(path, WindowManifest)


def load_keyword_manifest(path: Path) -> KeywordManifest:
    """Read the manifest of a model of replies. Raises ConfigError naming the key."""
    return load_toml(path, KeywordManifest)


def load_feature_manifest(path: Path) -> FeatureManifest:
    """Read the manifest of a model over features. Raises ConfigError naming the key."""
    return load_toml(path, FeatureManifest)


def load_sequence_manifest(path: Path) -> SequenceManifest:
    """Read the manifest of a model over steps of a history. Raises ConfigError naming the key."""
    return load_toml(path, SequenceManifest)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
