"""`outrider replay`: recordings through the very same app, to an insurer's receiver on this machine."""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from agent import app
from agent.cli.speeds import SpeedProbe
from agent.core.config import Config, Consent, Device, Store, Voice
from agent.core.event_base import WITHOUT_SOUND
from agent.core.ports import Hardware, Notice
from drivers.keystore import FileKeystore
from drivers.onnx_worker import OnnxWorker
from simulators.clock import ManualClock
from simulators.cloud import Cloud
from simulators.replay.source import ReplaySource, find_start_wall_ns
from simulators.timeline import describe

_DEVICE: Final = "replay"
_WINDOW_S: Final = 0.5
_DRAIN_S: Final = 120.0


async def replay(files: Sequence[Path], *, profile: str, dbc: Sequence[str], as_json: bool) -> int:
    """Exit code 0 where every sealed event was received and verified, else 1. Raises InputError."""
    start_ns = find_start_wall_ns(files)
    clock = ManualClock() if start_ns is None else ManualClock(wall_start_ns=start_ns)
    source = ReplaySource(files, clock, window_s=_WINDOW_S)
    speeds = SpeedProbe(source)
    events: list[Notice] = []

    def notice(seen: Notice) -> None:
        if seen.topic == "event" and seen.event is not None:
            events.append(seen)
            if not as_json:
                print(f"{seen.event.t_ns / 1e9:10.2f} s  {describe(seen.event)}", flush=True)

    with tempfile.TemporaryDirectory(prefix="outrider-replay-") as folder:
        async with Cloud(Path(folder) / "cloud") as cloud:
            config = _make_config(Path(folder), cloud, profile=profile, dbc=dbc)
            keystore = FileKeystore.create(Path(config.device.key), _DEVICE)
            cloud.register(_DEVICE, keystore.public_key)
            hardware = Hardware(
                keystore=keystore,
                frames=[source],
                inference=OnnxWorker(config.detect.anomaly.deadline_s),
                notify=notice,
                probe=speeds,
            )
            begun_s = time.perf_counter()
            summary = await app.run(config, hardware, clock)
            wall_s = time.perf_counter() - begun_s
            received = cloud.counts().verified
    report = _report(summary, source, speeds, wall_s=wall_s, received=received)
    if as_json:
        print(json.dumps(report))
    else:
        _print_report(report)
    return 0 if received == summary.sealed else 1


def _make_config(folder: Path, cloud: Cloud, *, profile: str, dbc: Sequence[str]) -> Config:
    return Config(
        profile=profile,
        dbc=list(dbc),
        device=Device(id=_DEVICE, key=str(folder / "device.pem")),
        store=Store(directory=str(folder / "data")),
        link=cloud.link_config(_DEVICE, drain_timeout_s=_DRAIN_S),
        trust=cloud.trust(),
        consent=Consent(purposes=list(WITHOUT_SOUND)),
        voice=Voice(enabled=False),  # nobody sits in a recording
    )


def _report(
    summary: app.Summary, source: ReplaySource, speeds: SpeedProbe, *, wall_s: float, received: int
) -> dict[str, Any]:
    counters = source.counters()
    per_file = speeds.per_file()
    rmses = [row["rmse_mps"] for row in per_file if row["rmse_mps"] is not None]
    return {
        "files": len(source.recordings),
        "refused": source.refused,
        "frames": summary.counts.frames,
        "decoded": summary.counts.decoded,
        "unknown": summary.counts.unknown,
        "bad": summary.counts.bad + counters["bad_lines"],
        "bad_lines": counters["bad_lines"],
        "backward_steps": counters["backward_steps"],
        "samples": summary.counts.samples,
        "quality": dict(summary.counts.quality),
        "events": dict(summary.events),
        "collisions": summary.events["collision"],
        "trips": summary.events["trip_ended"],
        "speed_rmse_mps": max(rmses) if rmses else None,
        "speed": per_file,
        "events_sent": summary.sealed,
        "events_received": received,
        "recorded_s": counters["recorded_s"],
        "wall_s": round(wall_s, 3),
        "real_time_factor": round(counters["recorded_s"] / wall_s, 1),
    }


def _print_report(report: dict[str, Any]) -> None:
    for key, value in report.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        print(f"{key:<18} {shown}")
