"""The shipped collision model on the one real crash at hand, which it was not trained on."""

from pathlib import Path

import pytest

from agent.core.manifest import load_feature_manifest
from agent.core.paths import MODELS
from drivers.onnx_child import open_model, run
from tests.eval.crash_test import FOLDER, MOUNTS, judge

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("range_g", [16.0, 200.0])
def test_a_real_crash_is_likely_one(shared_data: Path, range_g: float) -> None:
    manifest = load_feature_manifest(MODELS / "collision.toml")
    session = open_model(manifest, MODELS / manifest.file)
    for mount in MOUNTS:
        crash = judge(shared_data / FOLDER, mount, range_g=range_g).collision
        assert crash is not None
        inputs = manifest.scaled([value / 1000 for value in crash.features])
        assert float(run(session, inputs, manifest)[0, 0]) > 0.9
