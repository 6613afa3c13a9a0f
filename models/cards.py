"""Model cards from manifests: `python -m models.cards` writes models/NAME.md for each models/NAME.toml."""

from pathlib import Path

from agent.core.manifest import (
    AnyManifest,
    FeatureManifest,
    KeywordManifest,
    SequenceManifest,
    WindowManifest,
    load_manifest,
)
from agent.core.paths import MODELS


def main() -> None:
    """Write the card of every model."""
    for path in manifests():
        path.with_suffix(".md").write_text(render_card(load_manifest(path)), encoding="utf-8")
        print(path.with_suffix(".md").name)


def manifests() -> list[Path]:
    """The manifests of all shipped models."""
    return sorted(MODELS.glob("*.toml"))


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
    lines = [f"# Model card: {manifest.name}, version {manifest.version}", ""]
    lines += [f"<!-- Written from {manifest.name}.toml by `python -m models.cards`. -->", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {_cell(value)} |" for what, value in rows]
    lines += ["", f"Measured on {card.measured_on}", "", "| what | figure |", "|---|---|"]
    lines += [f"| {_cell(metric.what)} | {_cell(metric.value)} |" for metric in card.metrics]
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in card.limits)]
    if not isinstance(manifest, KeywordManifest):
        lines += ["", "## Inputs", "", *_inputs(manifest)]
    return "\n".join(lines) + "\n"


def _input(manifest: AnyManifest) -> str:
    shape = ", ".join(map(str, manifest.input_shape))
    if isinstance(manifest, WindowManifest):
        return f"float32[{shape}]: {manifest.steps} rows at {manifest.rate_hz:g} Hz of the signals below, scaled"
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
        return f"float32[{shape}]: each signal's reconstruction error over its largest healthy one"
    if isinstance(manifest, SequenceManifest):
        return f"float32[{shape}]: probabilities of {', '.join(manifest.kinds)}"
    if isinstance(manifest, KeywordManifest):
        return f"float32[{shape}]: the probability of each of {', '.join(manifest.labels)}"
    return f"float32[{shape}]: a probability"


def _alarm(manifest: AnyManifest) -> str:
    if isinstance(manifest, WindowManifest):
        gap_min = manifest.gap_min_s / 60
        return (
            f"largest output at or above {manifest.threshold:g} in {manifest.persistence} windows in a row, "
            f"then quiet for {gap_min:g} min; drift is told from a population stability index of {manifest.drift_psi:g}"
        )
    if isinstance(manifest, SequenceManifest):
        return (
            f"the sum of {', '.join(manifest.faults)} at or above {manifest.threshold:g} at {manifest.persistence} "
            f"steps in a row; drift is told from a population stability index of {manifest.drift_psi:g}"
        )
    if isinstance(manifest, KeywordManifest):
        return f"none; the likeliest reply is believed at or above its own threshold, {manifest.threshold:g} at least"
    return f"read as a yes at or above {manifest.threshold:g}"


def _inputs(manifest: WindowManifest | SequenceManifest | FeatureManifest) -> list[str]:
    if isinstance(manifest, WindowManifest):
        rows = [(f"`{i.path}`", i.unit, f"{i.mean:g}", f"{i.scale:g}") for i in manifest.inputs]
    elif isinstance(manifest, SequenceManifest):
        rows = [(f"`{f.name}`", f.unit, "0", f"{f.scale:g}") for f in manifest.features]
    else:
        rows = [(f"`{f.name}`", "", f"{f.mean:g}", f"{f.scale:g}") for f in manifest.features]
    return ["| input | unit | mean | scale |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
