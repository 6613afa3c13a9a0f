"""Rebuild models/drive.onnx and drive.toml: `python -m models.train_drive`. Takes a few minutes; seeded.

Trains on healthy simulated commutes, as the agent would see them through CAN or an OBD-II dongle; sets the threshold
on other commutes; then tells, on a third set, how often it alarms when nothing is wrong, and what it notices otherwise.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.manifest import Card, Golden, Metric, ModelInput, WindowManifest
from agent.detect.drift import bins, psi
from models.autoencoder import Autoencoder, export
from models.writing import write_model
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

# What a fault does to the rows (n, 4) of a drive, from its middle on: speed, rpm, throttle, air flow.
FAULTS: Final[dict[str, Fault]] = {
    "air flow reads 40 % low": lambda rows: rows * [1, 1, 1, 0.6],
    "air flow reads 60 % high": lambda rows: rows * [1, 1, 1, 1.6],
    "throttle reads 15 points high": lambda rows: rows + np.array([0, 0, 15, 0]),
    "engine speed reads 30 % high": lambda rows: rows * [1, 1.3, 1, 1],
    "throttle frozen": lambda rows: np.column_stack([rows[:, :2], np.full(len(rows), rows[0, 2]), rows[:, 3]]),
    "speed reads 0": lambda rows: rows * [0, 1, 1, 1],
}

CARD: Final = Card(
    does="says how unlike its training drives ten seconds of speed, engine speed, throttle and air flow are",
    how="a denoising autoencoder (80-64-24-64-80, tanh), taught to rebuild each signal from the others",
    trained_on="70 simulated commutes of 10 minutes (simulators/world) as CAN or an OBD-II dongle shows them",
    threshold_from="30 other commutes: 1.5 times the highest level five windows in a row reached",
    rebuilt_by="python -m models.train_drive",
    measured_on="30 further simulated commutes (5 hours); a fault is in the second half of each drive.",
    metrics=[],
    limits=[
        "It knows one simulated hybrid, whose power varies from drive to drive, and has seen no real car.",
        "A real car needs a model trained on that car's own healthy drives.",
        "Air flow scales with the car's power, which it cannot see: a wrong one is often taken for another engine.",
        'It says "unlike", never "broken", and names only the signal that fits worst. An event of it is a hint.',
        "With the engine off (the hybrid drives electrically) three of four inputs are 0: nothing to compare.",
        "Drift is looked at once a day at most, from two hours of driving since the start: less says little.",
        "Another processor or BLAS may train slightly different weights; hash and vectors belong to what is shipped.",
    ],
)


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

    metrics = _measure(score, threshold)
    for metric in metrics:
        print(f"{metric.what}: {metric.value}")
    picked = x[rng.choice(len(x), 3, replace=False)]
    picked[2] += rng.normal(0, 1, picked[2].shape)  # one that is unlike the drives, too
    trained = [bins(column) for column in np.concatenate(training).T]
    manifest = WindowManifest(
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
        drift_psi=_drift_limit(trained),
        golden_tolerance=1e-3,
        profiles=["simcar"],
        card=msgspec.structs.replace(CARD, metrics=metrics),
        inputs=[
            ModelInput(
                path=path,
                unit=unit,
                mean=float(mean[i]),
                scale=float(scale[i]),
                age_max_s=AGE_MAX_S,
                edges=trained[i][0],
                shares=trained[i][1],
            )
            for i, (path, unit, _) in enumerate(SIGNALS)
        ],
        golden=_golden(net, picked, error_scale),
    )
    write_model(manifest, blob)


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


def _measure(score: Callable[[Floats], Floats], threshold: float) -> list[Metric]:
    """How many of the test drives alarm, healthy and with each fault."""
    drives = [drive_rows(seed) for seed in TEST]
    half = len(drives[0]) // 2
    alarms = {"nothing is wrong": sum(_persistent(score(rows)) >= threshold for rows in drives)}
    for name, fault in FAULTS.items():
        alarms[name] = sum(_persistent(score(np.maximum(fault(rows[half:]), 0))) >= threshold for rows in drives)
    return [Metric(what=name, value=f"{count} of {len(drives)} drives alarm") for name, count in alarms.items()]


def _drift_limit(trained: list[tuple[list[float], list[float]]]) -> float:
    """Half again the largest index that two hours of healthy commutes reach, at least the customary 0.25."""
    drives = [drive_rows(seed)[:: round(RATE_HZ)] for seed in VALIDATION]
    largest = 0.0
    for first in range(len(drives) - 11):
        rows = np.concatenate(drives[first : first + 12])
        for column, (edges, shares) in zip(rows.T, trained, strict=True):
            counts = np.bincount(np.searchsorted(edges, column), minlength=len(shares))
            largest = max(largest, psi(counts / len(rows), np.array(shares)))
    return round(max(0.25, 1.5 * largest), 2)


def _golden(net: Autoencoder, windows: Floats, error_scale: Floats) -> list[Golden]:
    rounded = np.round(windows, 4)
    outputs = net.errors(rounded, len(SIGNALS)) / error_scale
    return [Golden(input=x.tolist(), output=np.round(y, 6).tolist()) for x, y in zip(rounded, outputs, strict=True)]


if __name__ == "__main__":
    main()
