"""Rebuild models/battery.onnx, its manifest and card: `python -m models.train_battery`. Some minutes; seeded.

Learns from what the agent keeps of simulated packs (simulators/packs.py), and from the first half of car1 of the cloud
logs, which is healthy as far as is known; the threshold comes from other simulated packs and the same half. Neither the
second half of car1 nor anything of car2 is read.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core.manifest import Golden, SequenceManifest
from agent.core.model_card import Card, Metric
from agent.core.model_inputs import SequenceFeature
from agent.detect.cell_features import DAYS_MIN, FEATURES, STEPS, told
from agent.detect.cell_scores import drift_of
from agent.detect.drift import bins
from models.battery_figures import measure, sick_by_day
from models.battery_packs import KINDS, Pack, cells_of, packs_of, real_pack, simulate
from models.temporal import Temporal
from models.writing import write_model
from simulators.packs import Kind

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

NAME: Final = "battery"
VERSION: Final = 1
SEED: Final = 20261129
OPSET: Final = 17
CLIP: Final = 30.0
WIDTH: Final = 12
HIDDEN: Final = 16
EPOCHS: Final = 16
NOISE: Final = 0.15  # of a feature's scale
PERSISTENCE: Final = 3
FAULTS: Final = ("weak_cell", "contact_resistance", "micro_short")
THRESHOLD_MIN: Final = 0.9
MARGIN: Final = 1.0  # of log-odds above the highest healthy cell
TRAINING: Final = 1_000_000  # seeds from here; the sweep's end below 20,000
TUNING: Final = 2_000_000
HELD_OUT: Final = 3_000_000
PACKS: Final[Mapping[Kind, int]] = {
    "healthy": 12,
    "aged": 6,
    "cold": 5,
    "fast_charging": 5,
    "weak_cell": 12,
    "contact_resistance": 10,
    "micro_short": 12,
    "volt_stuck": 6,
    "volt_drift": 8,
    "volt_offset": 8,
}
UNITS: Final = ("percent", "", "percent/d", "percent", "", "", "", "", "", "", "")
SCALES_MIN: Final = {"pack_denies": 0.5, "days_apart": 0.5, "charge_per_day": 0.2, "ohm": 0.1}
WATCHED: Final = ("charge_sigmas", "charge_per_day", "moved_sigmas", "ohm_sigmas", "pack_denies")
"""Whose drift is watched: what is told in absolute figures differs from pack to pack, and so do flags by use."""
LOGS: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "ev_battery_cloud_logs"
OFFSETS_S: Final = (0.0, 1800.0, 3600.0, 5400.0)

CARD: Final = Card(
    does="says of each cell of a traction battery, once a day of use, how likely it is at fault, and by which fault",
    how=f"asinh, two convolutions over three days of use ({WIDTH} channels), pooled over {STEPS} days, {HIDDEN} hidden "
    "units; explained by what it says with a group of features blanked, and since when by what it said of earlier days",
    trained_on="simulated packs of 32 cells (simulators/packs.py, seeds from 1,000,000), also with cells less alike, "
    "or with one that only lacks charge; the first half of car1 of the ev_battery_cloud_logs as healthy cells",
    threshold_from="other simulated packs (seeds from 2,000,000) and the same half of car1: the highest that a healthy "
    f"cell reached on {PERSISTENCE} days of use in a row, and {MARGIN:g} of log-odds above",
    rebuilt_by="python -m models.train_battery",
    measured_on="simulated packs of held-out seeds (from 3,000,000 on).",
    metrics=[],
    limits=[
        "Its faults are simulated, all of them. No real cell with a known fault has been seen in training.",
        "Of real packs it saw half a log of one healthy car; a weak cell's first weeks set what it calls weak.",
        "Real packs differ from simulated ones, so its inputs may drift from the first month on: that is reported.",
        "Its probability is for even odds of all kinds. In a fleet of a fault in 2,000 cars a lone 0.99 is no proof.",
        "It knows nothing of the first three days of use, and nothing of what begins and ends within a day.",
        "Alone it gives advice and no more, of a cell that nobody has named; it takes back nothing that rules say.",
        "In the days in which a cell quickly loses charge it wavers between cell and sensor: it is sure a week later.",
        "A joint that wears over weeks, below what a drive shows, is not in its training: that is left to rules.",
        "A sensor that was wrong before the box came looks like a weak cell: the pack's voltage shows changes alone.",
        "Where the voltage curve is flat (LFP at half charge) there are few rests that tell, and it says little.",
        "Another processor or BLAS may train slightly different weights; hash and vectors belong to what is shipped.",
    ],
)


def main(argv: Sequence[str]) -> int:
    """Simulate, train, calibrate, find the threshold, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m models.train_battery", description=__doc__)
    parser.add_argument("--logs", type=Path, default=LOGS, metavar="DIR", help="where car1_processed.zip is")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes that simulate")
    options = parser.parse_args(argv)
    car1 = options.logs / "car1_processed.zip"
    if not car1.is_file():
        print(
            f"no log at {car1}: the model is trained on its first half, and cannot be rebuilt without", file=sys.stderr
        )
        return 2
    rng = np.random.default_rng(SEED)
    training, tuning, held_out = (
        [pack for life in simulate(_fewer(share), first, workers=options.workers) for pack in packs_of(life)]
        for first, share in ((TRAINING, 1.0), (TUNING, 0.5), (HELD_OUT, 0.5))
    )
    real = [real_pack(car1, share=0.5, offset_s=offset_s) for offset_s in OFFSETS_S]
    x, kind = _samples(training, rng)
    known, healthy = _whole(real)
    x, kind = np.concatenate([x, known]), np.concatenate([kind, healthy])
    print(f"{len(training)} packs, {len(x)} sequences to train on: {np.bincount(kind).tolist()} of {KINDS}")
    scales = _scales(x[kind == 0])
    net = Temporal(len(FEATURES), len(KINDS), rng, width=WIDTH, hidden=HIDDEN)
    net.train(_scaled(x, scales), kind, evened(kind), rng, epochs=EPOCHS, batch=64, rate=5e-3, noise=NOISE)
    tuned, tuned_kind = _samples(tuning, rng)
    net.calibrate(_scaled(tuned, scales), tuned_kind, evened(tuned_kind))
    write(net, scales, training=training, tuning=tuning, real=real, held_out=held_out)
    return 0


def write(
    net: Temporal,
    scales: Floats,
    *,
    training: Sequence[Pack],
    tuning: Sequence[Pack],
    real: Sequence[Pack],
    held_out: Sequence[Pack],
) -> None:
    """Find threshold and drift's limit, measure, and write model, manifest and card."""
    blob = net.export(OPSET, steps=STEPS)
    healthy = [pack for pack in training if pack.kind == KINDS[0]]
    manifest = SequenceManifest(
        name=NAME,
        version=VERSION,
        file=f"{NAME}.onnx",
        sha256=hashlib.sha256(blob).hexdigest(),
        opset=OPSET,
        threshold=find_threshold(net, scales, [*tuning, *real]),
        golden_tolerance=1e-3,
        profiles=[],
        steps=STEPS,
        clip=CLIP,
        kinds=list(KINDS),
        faults=list(FAULTS),
        persistence=PERSISTENCE,
        drift_psi=0.25,
        card=CARD,
        features=_features(healthy, scales),
        golden=_golden(net, scales, held_out),
    )
    psi = [max(drift_of(manifest, pack.history).values()) for pack in [*tuning, *real] if pack.kind == KINDS[0]]
    simulated = psi[: -len(real)]
    limit = round(max(0.25, 1.5 * max(simulated)), 2)
    metrics = [
        *measure(held_out, lambda steps: net.probability(_scaled(steps, scales)), manifest),
        _drift_metric(simulated, psi[-len(real)]),
    ]
    card = msgspec.structs.replace(CARD, metrics=metrics)
    for metric in metrics:
        print(f"{metric.what}: {metric.value}")
    write_model(msgspec.structs.replace(manifest, drift_psi=limit, card=card), blob)


def evened(kind: Numbers) -> Floats:
    """Weights that give healthy cells as much as all others together, and each of these the same; their mean is 1."""
    count = np.bincount(kind, minlength=len(KINDS))
    share = np.where(kind == 0, 0.5, 0.5 / (len(KINDS) - 1))
    weights: Floats = share * len(kind) / count[kind]
    return weights


def find_threshold(net: Temporal, scales: Floats, packs: Sequence[Pack]) -> float:
    """The margin above the highest that any healthy cell holds for PERSISTENCE days of use in a row."""
    highest = 0.0
    for pack in packs:
        sick = sick_by_day(pack, lambda steps: net.probability(_scaled(steps, scales)))
        for cell in range(pack.history.cells):
            ages = range(len(sick) - 1, -1, -1)  # the oldest day first, as sick has them
            well = np.array([pack.truth(cell, before=age) == KINDS[0] for age in ages])
            levels = np.where(well, sick[:, cell], 0.0)
            if len(levels) >= PERSISTENCE:
                rows = np.lib.stride_tricks.sliding_window_view(levels, PERSISTENCE)
                highest = max(highest, float(rows.min(axis=1).max()))
    odds = np.log(highest / (1 - highest)) + MARGIN if 0 < highest < 1 else 0.0
    return round(float(max(THRESHOLD_MIN, 1 / (1 + np.exp(-odds)))), 4)


def _fewer(share: float) -> dict[Kind, int]:
    return {kind: max(4, round(share * count)) for kind, count in PACKS.items()}


def _samples(packs: Sequence[Pack], rng: np.random.Generator) -> tuple[Floats, Numbers]:
    """Sequences float64[n, STEPS, features] of what is worth learning from, every other day, and their kinds."""
    found = [
        (steps, KINDS.index(truth))
        for pack in packs
        for before in range(0, len(pack.history.numbers) - DAYS_MIN + 1, 2)
        for cell in cells_of(pack, before, rng)
        if (truth := pack.truth(cell, before=before)) is not None
        and (steps := pack.history.steps(cell, before=before)) is not None
    ]
    return np.array([steps for steps, _ in found]), np.array([kind for _, kind in found])


def _whole(packs: Sequence[Pack]) -> tuple[Floats, Numbers]:
    """All cells of healthy packs on all days."""
    found = [
        steps
        for pack in packs
        for before in range(len(pack.history.numbers) - DAYS_MIN + 1)
        for cell in range(pack.history.cells)
        if (steps := pack.history.steps(cell, before=before)) is not None
    ]
    return np.array(found), np.zeros(len(found), np.int64)


def _scales(x: Floats) -> Floats:
    """What nine tenths of healthy values stay within, rounded so that the manifest holds exactly what was used."""
    wide = np.quantile(np.abs(x.reshape(-1, x.shape[2])), 0.9, axis=0)
    lowest = np.array([SCALES_MIN.get(name, 1e-3) for name in FEATURES])
    scales: Floats = np.round(np.maximum(wide, lowest), 4)
    return scales


def _scaled(x: Floats, scales: Floats) -> Floats:
    return np.clip(x / scales, -CLIP, CLIP)


def _features(healthy: Sequence[Pack], scales: Floats) -> list[SequenceFeature]:
    features = []
    for name, unit, scale in zip(FEATURES, UNITS, scales.tolist(), strict=True):
        column = np.concatenate([told(pack.history.features, name) for pack in healthy])
        edges, shares = bins(column) if name in WATCHED else ([], [])
        features.append(SequenceFeature(name=name, unit=unit, scale=scale, edges=edges, shares=shares))
    return features


def _golden(net: Temporal, scales: Floats, packs: Sequence[Pack]) -> list[Golden]:
    """The newest days of one cell of each kind, and what the net says of them."""
    golden = []
    for kind in KINDS:
        pack = next(pack for pack in packs if pack.kind == kind)
        steps = pack.history.steps(pack.cell if pack.cell is not None else 0)
        if steps is not None:
            x = np.round(_scaled(steps, scales), 3)
            golden.append(Golden(input=x.ravel().tolist(), output=np.round(net.probability(x[None])[0], 6).tolist()))
    return golden


def _drift_metric(simulated: Sequence[float], car1: float) -> Metric:
    value = f"median {np.median(simulated):.2f}, highest {max(simulated):.2f}; car1's half, as days, {car1:.2f}"
    return Metric(what="highest population stability index of healthy packs of the tuning seeds", value=value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
