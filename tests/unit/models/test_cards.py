import hashlib
from pathlib import Path

import pytest

from agent.core.habits_manifest import load_habits_manifest
from agent.core.manifest import load_manifest
from agent.core.paths import HABITS, MODELS
from models.cards import habits_card, manifests, render_card, render_habits
from models.writing import to_toml

MANIFESTS = pytest.mark.parametrize("path", manifests(), ids=lambda path: path.stem)


@MANIFESTS
def test_the_card_says_what_the_manifest_says(path: Path) -> None:
    assert path.with_suffix(".md").read_text() == render_card(load_manifest(path)), "run python -m models.cards"


@MANIFESTS
def test_a_manifest_reads_back_as_it_was_written(path: Path, tmp_path: Path) -> None:
    manifest = load_manifest(path)
    again = tmp_path / path.name
    again.write_text(to_toml(manifest))
    assert load_manifest(again) == manifest
    assert path.read_text() == again.read_text()


@MANIFESTS
def test_the_manifest_pins_the_file_beside_it(path: Path) -> None:
    manifest = load_manifest(path)
    assert manifest.name == path.stem
    assert hashlib.sha256((MODELS / manifest.file).read_bytes()).hexdigest() == manifest.sha256


def test_every_model_has_a_manifest() -> None:
    assert {path.stem for path in MODELS.glob("*.onnx")} == {path.stem for path in manifests()}


@pytest.mark.parametrize("path", sorted(HABITS.glob("*.toml")), ids=lambda path: path.stem)
def test_habits_have_a_card_a_manifest_and_their_hash(path: Path) -> None:
    manifest = load_habits_manifest(path)
    assert habits_card(manifest).read_text() == render_habits(manifest), "run python -m models.cards"
    assert path.read_text() == to_toml(manifest)
    assert hashlib.sha256((HABITS / manifest.file).read_bytes()).hexdigest() == manifest.sha256
    assert path.stem == Path(manifest.file).stem
