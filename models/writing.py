"""Writes what a training script made: the model, its manifest and its card."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from agent.core.habits_manifest import HabitsManifest
from agent.core.manifest import AnyManifest
from agent.core.paths import HABITS
from models.cards import habits_card, render_card, render_habits

FOLDER: Final = Path(__file__).parent


def write_model(manifest: AnyManifest, blob: bytes) -> None:
    """Write NAME.onnx, NAME.toml, which pins its hash, and NAME.md beside this file."""
    if manifest.sha256 != hashlib.sha256(blob).hexdigest():
        raise ValueError(f"{manifest.name}: the manifest pins another file")
    (FOLDER / manifest.file).write_bytes(blob)
    (FOLDER / f"{manifest.name}.toml").write_text(to_toml(manifest), encoding="utf-8")
    (FOLDER / f"{manifest.name}.md").write_text(render_card(manifest), encoding="utf-8")


def write_habits(manifest: HabitsManifest, state: bytes) -> None:
    """Write the habits, and the manifest that pins their hash, to firmware_config/habits; the card beside this file."""
    if manifest.sha256 != hashlib.sha256(state).hexdigest():
        raise ValueError(f"{manifest.name}: the manifest pins another file")
    HABITS.mkdir(exist_ok=True)
    path = HABITS / manifest.file
    path.write_bytes(state)
    path.with_suffix(".toml").write_text(to_toml(manifest), encoding="utf-8")
    habits_card(manifest).write_text(render_habits(manifest), encoding="utf-8")


def to_toml(manifest: AnyManifest | HabitsManifest) -> str:
    """The manifest as the agent reads it."""
    heading = [
        f"# Written by `{manifest.card.rebuilt_by}`; the model card is {manifest.name}.md.",
        f'kind = "{manifest.__struct_config__.tag}"',
    ]
    return "\n".join([*heading, *_table(manifest, "")]) + "\n"


def _table(struct: msgspec.Struct, path: str) -> list[str]:
    """Plain keys first, then tables and lists of tables, as TOML wants them."""
    plain, below = [], []
    for key in struct.__struct_fields__:
        value = getattr(struct, key)
        name = f"{path}.{key}" if path else key
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            below += ["", f"[{name}]", *_table(value, name)]
        elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            for item in value:
                below += ["", f"[[{name}]]", *_table(item, name)]
        else:
            plain.append(f"{key} = {_literal(value)}")
    return plain + below


def _literal(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return repr(value)
