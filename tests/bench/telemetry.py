"""Telemetry of the recorded car trip: sealed bytes an hour, beside the same samples as JSON + zstd, unsealed.

Twelve signals at 1 Hz through the pipeline, as the agent tells them: batches of ten minutes, each sealed for insurer
and owner in its envelope. The peer gets batches of the same length, numbers rounded to the same steps, zstd's level 19
and no envelope at all.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import zstandard

from agent.core import vss
from agent.core.config import Detect, TelemetrySignal
from agent.core.config import Telemetry as Wanted
from agent.core.errors import AgentError, EndOfSource
from agent.core.events import Event, Telemetry
from agent.core.telemetry import unpack_columns
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.clock import ManualClock
from simulators.replay.source import ReplaySource
from tests.unit.store.kit import seal_chain

FOLDER: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "canedge_mf4"
SIGNALS: Final = (
    (vss.SPEED, 0.5),
    (vss.GNSS_SPEED, 0.5),
    (vss.ALTITUDE, 1.0),
    (vss.ACCELERATION_LONGITUDINAL, 0.1),
    (vss.ACCELERATION_LATERAL, 0.1),
    (vss.YAW_RATE, 0.5),
    (vss.ENGINE_SPEED, 20.0),
    (vss.THROTTLE, 1.0),
    (vss.COOLANT_TEMPERATURE, 1.0),
    (vss.LOW_VOLTAGE, 0.1),
    ("Vehicle.Powertrain.CombustionEngine.MAP", 1.0),
    ("Vehicle.Private.OBD.EngineLoad", 1.0),
)
_LEVEL: Final = 19


def run() -> dict[str, object]:
    """The bar: 24 kB an hour."""
    if not FOLDER.is_dir():
        raise AgentError(f"bench telemetry: no recording at {FOLDER}")
    return {"name": "telemetry", **measure(FOLDER)}


def measure(folder: Path) -> dict[str, object]:
    """ratio_json: bytes of JSON + zstd over ours."""
    batches = asyncio.run(_sample(sorted((folder / "car_trip").glob("*.MF4")), folder / "canmod-gps.dbc"))
    seconds = sum(batch.count * batch.period_s for batch in batches)
    sealed = sum(len(record.payload) for record in seal_chain(batches))
    plain = sum(len(zstandard.compress(_as_json(batch), _LEVEL)) for batch in batches)
    values = sum(int(np.isfinite(column).sum()) for batch in batches for column in unpack_columns(batch).values())
    return {
        "kb_per_hour": round(sealed / seconds * 3.6, 1),
        "kb_per_hour_json_zstd": round(plain / seconds * 3.6, 1),
        "ratio_json": round(plain / sealed, 2),
        "seconds": seconds,
        "batches": len(batches),
        "values": values,
    }


async def _sample(files: Sequence[Path], dbc: Path) -> list[Telemetry]:
    clock = ManualClock()
    source = ReplaySource(files, clock, window_s=0.5)
    told: list[Event] = []
    wanted = [TelemetrySignal(path=path, step=step) for path, step in SIGNALS]
    pipeline = Pipeline(
        load_profile("canedge"),
        [dbc],
        limits=Detect(),
        telemetry=Wanted(enabled=True, signals=wanted),
        on_events=told.extend,
        on_window=lambda _: None,
    )
    await source.open()
    try:
        while True:
            pipeline.on_frames(await source.read_batch())
    except EndOfSource:
        pipeline.finish()
    return [event for event in told if isinstance(event, Telemetry)]


def _as_json(batch: Telemetry) -> bytes:
    """What most would send: an object a second."""
    columns = unpack_columns(batch)
    rows = [
        {"t": batch.t_ns // 10**6 + round(row * batch.period_s * 1000)}
        | {path: round(float(column[row]), 1) for path, column in columns.items() if np.isfinite(column[row])}
        for row in range(batch.count)
    ]
    return json.dumps(rows, separators=(",", ":")).encode()
