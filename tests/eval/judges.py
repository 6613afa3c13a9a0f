"""Who has the last word on a collision that the detector tells: the rules alone, or the rules and the model."""

from collections.abc import Callable, Mapping
from typing import Final

from agent.core.errors import InputError
from agent.core.events import Collision
from agent.core.manifest import load_feature_manifest
from agent.core.odds import join_confidence
from agent.core.paths import MODELS
from agent.detect.crash_features import FEATURES
from drivers.onnx_child import open_model, run

Judge = Callable[[Collision], bool]

_MODEL: Final = "collision"
# The agent takes no collision back, whatever the model says: it tells how sure it is. Here one counts where that is
# more likely true than not, which is the mildest reading of it that a desk could make.
_LIKELY: Final = 0.5


def judges() -> Mapping[str, Judge]:
    """By name: the rules, by which every collision told counts; with the model, those that then are likely."""
    known: dict[str, Judge] = {"rules": lambda _: True}
    if (MODELS / f"{_MODEL}.toml").is_file():
        known["rules_and_model"] = with_model()
    return known


def with_model() -> Judge:
    """Join the model's word to the rules' confidence, as agent.judge does. Raises AgentError."""
    manifest = load_feature_manifest(MODELS / f"{_MODEL}.toml")
    if tuple(feature.name for feature in manifest.features) != FEATURES:
        raise InputError(f"{_MODEL}: its features are not those that the detector gives")
    session = open_model(manifest, MODELS / manifest.file)

    def judge(event: Collision) -> bool:
        if len(event.features) != len(manifest.features):
            return event.confidence >= _LIKELY
        inputs = manifest.scaled([value / 1000 for value in event.features])
        probability = float(run(session, inputs, manifest)[0, 0])
        return join_confidence(event.confidence, probability) >= _LIKELY

    return judge
