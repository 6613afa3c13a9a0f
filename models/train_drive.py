"""Rebuild models/drive.onnx and drive.toml: `python -m models.train_drive`. Takes a few minutes; seeded.

Trains on healthy simulated commutes, as the agent would see them through CAN or an OBD-II dongle; sets the threshold
on other commutes; then tells, on a third set, how often it alarms when nothing is wrong, and what it notices otherwise.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.manifest import Golden, Manifest, ModelInput
from models.autoencoder import Autoencoder, export
from simulators.world import simulate_commute

Floats = npt.NDArray[np.float64]
Fault = Callable[[Floats], Floats]

NAME: Final = "drive"
VERSION: Final = 1
SEED: Final = 20260915
RATE_HZ: Final = 2.0
STEPS: Final = 20
OPSET: Final = 17
PERSISTENCE: Final = 5
DRIVE_S: Final = 600.0
TRAINING: Final = range(1_000, 1_070)
VALIDATION: Final = range(2_000, 2_030)
TEST: Final = range(3_000, 3_030)
# path, unit, resolution on the wire (CAN, OBD-II)
SIGNALS: Final = (
    (vss.SPEED, "km/h", (0.01, 1.0)),
    (vss.ENGINE_SPEED, "rpm", (0.25, 0.25)),
    (vss.THROTTLE, "percent", (0.1, 100 / 255)),
    (vss.MASS_AIR_FLOW, "g/s", (0.01, 0.01)),
)
AGE_MAX_S: Final = 1.5
FOLDER: Final = Path(__file__).parent

# What a fault does to the rows (n, 4) of a drive, from its middle on: speed, rpm, throttle, air flow.
FAULTS: Final[dict[str, Fault]] = {
    "air flow reads 40 % low": lambda rows: rows * [1, 1, 1, 0.6],
    "air flow reads 60 % high": lambda rows: rows * [1, 1, 1, 1.6],
    "throttle reads 15 points high": lambda rows: rows + np.array([0, 0, 15, 0]),
    "engine speed reads 30 % high": lambda rows: rows * [1, 1.3, 1, 1],
    "throttle frozen": lambda rows: np.column_stack([rows[:, :2], np.full(len(rows), rows[0, 2]), rows[:, 3]]),
    "speed reads 0": lambda rows: rows * [0, 1, 1, 1],
}


def main() -> None:
    """Train, set the threshold, export, test, write."""
    rng = np.random.default_rng(SEED)
    training = [drive_rows(seed) for seed in TRAINING]
    mean, scale = _scaling(training)
    x = np.concatenate([_windows((rows - mean) / scale) for rows in training])
    zero = -mean / scale

    def corrupt(clean: Floats, rng: np.random.Generator) -> Floats:
        return _corrupt(clean, zero, rng)

    net = Autoencoder([STEPS * len(SIGNALS), 64, 24, 64, STEPS * len(SIGNALS)], rng)
    for epoch, loss in enumerate(net.train(x, rng, corrupt=corrupt, epochs=80, batch=128, rate=2e-3)):
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {loss:.5f} over {len(x)} windows")

    healthy = [net.errors(_windows((drive_rows(seed) - mean) / scale), len(SIGNALS)) for seed in VALIDATION]
    error_scale = np.quantile(np.concatenate(healthy), 0.999, axis=0)
    threshold = round(1.5 * max(_persistent(errors / error_scale) for errors in healthy), 3)
    blob = export(net, steps=STEPS, inputs=len(SIGNALS), error_scale=error_scale, opset=OPSET)
    print(f"threshold {threshold}, {len(blob)} bytes")

    def score(rows: Floats) -> Floats:
        return net.errors(_windows((rows - mean) / scale), len(SIGNALS)) / error_scale

    _report(score, threshold)
    picked = x[rng.choice(len(x), 3, replace=False)]
    picked[2] += rng.normal(0, 1, picked[2].shape)  # one that is unlike the drives, too
    manifest = Manifest(
        name=NAME,
        version=VERSION,
        file=f"{NAME}.onnx",
        sha256=hashlib.sha256(blob).hexdigest(),
        opset=OPSET,
        rate_hz=RATE_HZ,
        steps=STEPS,
        threshold=threshold,
        persistence=PERSISTENCE,
        gap_min_s=600.0,
        golden_tolerance=1e-3,
        profiles=["simcar"],
        inputs=[
            ModelInput(path=path, unit=unit, mean=float(mean[i]), scale=float(scale[i]), age_max_s=AGE_MAX_S)
            for i, (path, unit, _) in enumerate(SIGNALS)
        ],
        golden=_golden(net, picked, error_scale),
    )
    (FOLDER / manifest.file).write_bytes(blob)
    (FOLDER / f"{NAME}.toml").write_text(to_toml(manifest), encoding="utf-8")


def drive_rows(seed: int) -> Floats:
    """One commute on the model's grid, float64[n, 4]: each signal at its own rate, late and rounded as on its wire."""
    rng = np.random.default_rng([SEED, seed])
    drive = simulate_commute(seed, DRIVE_S)
    dongle = bool(seed % 2)
    grid_s = np.arange(1.0, DRIVE_S, 1 / RATE_HZ)
    columns = []
    for path, _, resolutions in SIGNALS:
        t_ns, value = drive.signals[path]
        period_s = rng.uniform(0.2, 0.8) if dongle else 0.05
        age_s = rng.uniform(0, period_s, len(grid_s)) + (rng.uniform(0.02, 0.15) if dongle else 0.0)
        resolution = resolutions[dongle]
        columns.append(np.rint(np.interp(grid_s - age_s, t_ns / 1e9, value) / resolution) * resolution)
    return np.column_stack(columns)


def _scaling(drives: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Mean and standard deviation per signal, rounded so that the manifest holds exactly what was used."""
    rows = np.concatenate(list(drives))
    return np.round(rows.mean(axis=0), 3), np.round(rows.std(axis=0), 3)


def _windows(rows: Floats) -> Floats:
    """Windows once a second, flattened row by row."""
    view = np.lib.stride_tricks.sliding_window_view(rows, STEPS, axis=0)[:: round(RATE_HZ)]
    return np.ascontiguousarray(view.transpose(0, 2, 1)).reshape(len(view), -1)


def _corrupt(clean: Floats, zero: Floats, rng: np.random.Generator) -> Floats:
    """Spoil one signal in two windows of three: another gain, an offset, frozen, or from another window.

    So the net learns to rebuild each signal from the others, and a faulty one stands out against what it should be.
    """
    x = clean.reshape(len(clean), STEPS, len(SIGNALS)).copy()
    kind = rng.integers(0, 6, len(x))
    signal = rng.integers(0, len(SIGNALS), len(x))
    rows = np.arange(len(x))
    spoilt = x[rows, :, signal]
    base = zero[signal][:, None]
    gain = np.exp(rng.uniform(-1, 1, (len(x), 1)))
    variants = np.stack(
        [
            base + (spoilt - base) * gain,
            spoilt + rng.normal(0, 1, (len(x), 1)),
            np.repeat(spoilt[:, :1], STEPS, axis=1),
            x[rng.permutation(len(x)), :, signal],
            spoilt,
            spoilt,
        ]
    )
    x[rows, :, signal] = variants[kind, rows]
    return x.reshape(len(x), -1)


def _persistent(score: Floats) -> float:
    """Highest level that PERSISTENCE windows in a row reach."""
    worst = np.lib.stride_tricks.sliding_window_view(score.max(axis=1), PERSISTENCE)
    return float(worst.min(axis=1).max())


def _report(score: Callable[[Floats], Floats], threshold: float) -> None:
    drives = [drive_rows(seed) for seed in TEST]
    false = sum(_persistent(score(rows)) >= threshold for rows in drives)
    print(f"healthy: {false} of {len(drives)} test drives ({len(drives) * DRIVE_S / 3600:.1f} h) alarm")
    for name, fault in FAULTS.items():
        half = len(drives[0]) // 2
        found = sum(_persistent(score(np.maximum(fault(rows[half:]), 0))) >= threshold for rows in drives)
        print(f"{name}: {found} of {len(drives)} noticed within {DRIVE_S / 120:.0f} min")


def _golden(net: Autoencoder, windows: Floats, error_scale: Floats) -> list[Golden]:
    rounded = np.round(windows, 4)
    outputs = net.errors(rounded, len(SIGNALS)) / error_scale
    return [Golden(input=x.tolist(), output=np.round(y, 6).tolist()) for x, y in zip(rounded, outputs, strict=True)]


def to_toml(manifest: Manifest) -> str:
    """Write the manifest as the agent reads it."""
    lines = ["# Written by models/train_drive.py; the model card is drive.md."]
    for key in manifest.__struct_fields__:
        value = getattr(manifest, key)
        if key not in ("inputs", "golden"):
            lines.append(f"{key} = {_literal(value)}")
    for key in ("inputs", "golden"):
        for table in getattr(manifest, key):
            lines += ["", f"[[{key}]]", *(f"{k} = {_literal(getattr(table, k))}" for k in table.__struct_fields__)]
    return "\n".join(lines) + "\n"


def _literal(value: str | float | list[str] | list[float]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return repr(value)


if __name__ == "__main__":
    main()
