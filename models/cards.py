"""Model cards from manifests: `python -m models.cards` writes models/NAME.md for each manifest."""

from pathlib import Path

from agent.core.habits_manifest import HabitsManifest, load_habits_manifest
from agent.core.manifest import (
    AnyManifest,
    FeatureManifest,
    KeywordManifest,
    SequenceManifest,
    WindowManifest,
    load_manifest,
)
from agent.core.model_card import Card
from agent.core.paths import HABITS, MODELS


def main() -> None:
    """Write the card of every model."""
    for path in manifests():
        path.with_suffix(".md").write_text(render_card(load_manifest(path)), encoding="utf-8")
        print(path.with_suffix(".md").name)
    for path in sorted(HABITS.glob("*.toml")):
        manifest = load_habits_manifest(path)
        habits_card(manifest).write_text(render_habits(manifest), encoding="utf-8")
        print(habits_card(manifest).name)


def manifests() -> list[Path]:
    """The manifests of all shipped models."""
    return sorted(MODELS.glob("*.toml"))


def habits_card(manifest: HabitsManifest) -> Path:
    """Where its card is: with the others."""
    return MODELS / f"{manifest.name}.md"


def render_card(manifest: AnyManifest) -> str:
    """The card as Markdown: what it does, from what, how well, and what it cannot."""
    card = manifest.card
    rows = [
        ("what it does", card.does),
        ("how", card.how),
        ("input", _input(manifest)),
        ("output", _output(manifest)),
        ("alarm", _alarm(manifest)),
        ("threshold from", card.threshold_from),
        ("vehicles", ", ".join(manifest.profiles) or "any"),
        ("trained on", card.trained_on),
        ("rebuilt by", f"`{card.rebuilt_by}`"),
        ("file", f"{manifest.file}, opset {manifest.opset}, sha256 {manifest.sha256}"),
        ("loaded only if", f"the hash holds and {len(manifest.golden)} golden vectors come out as they were trained"),
    ]
    lines = [*_body(f"{manifest.name}, version {manifest.version}", f"{manifest.name}.toml", rows, card)]
    if not isinstance(manifest, KeywordManifest):
        lines += ["", "## Inputs", "", *_inputs(manifest)]
    if isinstance(manifest, WindowManifest):
        lines += ["", "## Outputs", "", "| fault | shows in |", "|---|---|"]
        lines += [f"| {output.fault} | `{output.signal}` |" for output in manifest.outputs]
    return "\n".join(lines) + "\n"


def render_habits(manifest: HabitsManifest) -> str:
    """The card of pinned habits of a bus, which are statistics and no net."""
    card = manifest.card
    frames = sum(len(golden.frames) for golden in manifest.golden)
    rows = [
        ("what it does", card.does),
        ("how", card.how),
        ("input", "each frame's identifier, time and payload, by bus"),
        ("output", "of each frame why it is not believed: unknown, early, payload, held; of these, events"),
        ("threshold from", card.threshold_from),
        ("vehicles", ", ".join(manifest.profiles)),
        ("trained on", card.trained_on),
        ("rebuilt by", f"`{card.rebuilt_by}`"),
        ("file", f"firmware_config/habits/{manifest.file}, sha256 {manifest.sha256}"),
        ("loaded only if", f"the hash holds and {frames} golden frames are judged as where they were learnt"),
    ]
    source = f"firmware_config/habits/{Path(manifest.file).stem}.toml"
    return "\n".join(_body(f"{manifest.name}, version {manifest.version}", source, rows, card)) + "\n"


def _body(title: str, source: str, rows: list[tuple[str, str]], card: Card) -> list[str]:
    lines = [f"# Model card: {title}", ""]
    lines += [f"<!-- Written from {source} by `python -m models.cards`. -->", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {_cell(value)} |" for what, value in rows]
    lines += ["", f"Measured on {card.measured_on}", "", "| what | figure |", "|---|---|"]
    lines += [f"| {_cell(metric.what)} | {_cell(metric.value)} |" for metric in card.metrics]
    return [*lines, "", "## Limits", "", *(f"- {limit}" for limit in card.limits)]


def _input(manifest: AnyManifest) -> str:
    shape = ", ".join(map(str, manifest.input_shape))
    if isinstance(manifest, WindowManifest):
        told = ", then whether the optional ones are told" if manifest.input_shape[2] > len(manifest.inputs) else ""
        return f"float32[{shape}]: {manifest.steps} rows at {manifest.rate_hz:g} Hz of the signals below, scaled{told}"
    if isinstance(manifest, SequenceManifest):
        what = f"{manifest.steps} steps of the features below, the newest last"
        return f"float32[{shape}]: {what}, over their scale and held within +-{manifest.clip:g}; no step: 0"
    if isinstance(manifest, KeywordManifest):
        rows = f"{manifest.steps} rows at {manifest.rate_hz:g} Hz"
        return f"float32[{shape}]: {rows} of log mel energies (drivers/keyword_features.py)"
    return f"float32[{shape}]: the features below, scaled and held within +-{manifest.clip:g}"


def _output(manifest: AnyManifest) -> str:
    shape = ", ".join(map(str, manifest.output_shape))
    if isinstance(manifest, WindowManifest):
        return f"float32[{shape}]: a score from 0 to 1 of each fault below"
    if isinstance(manifest, SequenceManifest):
        return f"float32[{shape}]: probabilities of {', '.join(manifest.kinds)}"
    if isinstance(manifest, KeywordManifest):
        return f"float32[{shape}]: how sure it is, 0 to 1, of each of {', '.join(manifest.labels)}"
    return f"float32[{shape}]: a probability"


def _alarm(manifest: AnyManifest) -> str:
    if isinstance(manifest, WindowManifest):
        gap_min = manifest.gap_min_s / 60
        return (
            f"the same score at or above {manifest.threshold:g} in {manifest.persistence} windows in a row, "
            f"then quiet for {gap_min:g} min; drift is told from a population stability index of {manifest.drift_psi:g}"
        )
    if isinstance(manifest, SequenceManifest):
        return (
            f"the sum of {', '.join(manifest.faults)} at or above {manifest.threshold:g} at {manifest.persistence} "
            f"steps in a row; drift is told from a population stability index of {manifest.drift_psi:g}"
        )
    if isinstance(manifest, KeywordManifest):
        return f"none; the surest reply is believed at or above {manifest.threshold:g}"
    return f"read as a yes at or above {manifest.threshold:g}"


def _inputs(manifest: WindowManifest | SequenceManifest | FeatureManifest) -> list[str]:
    if isinstance(manifest, WindowManifest):
        rows = [
            (f"`{i.path}`" + (", optional" if i.optional else ""), i.unit, f"{i.mean:g}", f"{i.scale:g}")
            for i in manifest.inputs
        ]
    elif isinstance(manifest, SequenceManifest):
        rows = [(f"`{f.name}`", f.unit, "0", f"{f.scale:g}") for f in manifest.features]
    else:
        rows = [(f"`{f.name}`", "", f"{f.mean:g}", f"{f.scale:g}") for f in manifest.features]
    return ["| input | unit | mean | scale |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
