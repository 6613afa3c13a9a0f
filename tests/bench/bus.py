"""The bus watch's share of the pipeline's cost: the same frames with and without it, in turns, in batches of 20 ms.

Frames: the simulated car's own, their times drawn together until they come at 8,000 a second, as on two saturated buses
of 500 kbit/s. learning: what is normal; watching: by what was learnt of these frames; doubting: by the car's true
rhythm, so that every frame comes too early and is looked at by itself, which is the most an attacker can cost. CPU time
of this process; the median of the rounds counts.
"""

import statistics
import time
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from agent.core.config import Detect
from agent.core.frames import FrameBatch
from agent.core.limits import BusLimits
from agent.core.paths import DBC
from agent.decode.profile import load_pinned, load_profile
from agent.detect.bus_guard import BusGuard
from agent.pipeline import Pipeline
from simulators.hardware import PROFILE
from simulators.world import simulate_commute
from simulators.world.frames import encode_drive

_RATE: Final = 8_000
_BATCH: Final = _RATE // 50
_LEARN_S: Final = 60
_ROUNDS: Final = 7


class _Kept:
    """A StateStore of this process."""

    def __init__(self, state: bytes = b"") -> None:
        self._state = state

    def load(self) -> bytes:
        return self._state

    def save(self, state: bytes) -> None:
        """Each round begins with the same."""


def run() -> dict[str, object]:
    """Measure; by way: us_per_frame, share beside a pipeline without the watch, percent of a core at 8,000 frames/s."""
    frames = encode_drive(simulate_commute(1, 90))
    frames = replace(frames, t_ns=np.arange(len(frames), dtype=np.int64) * (10**9 // _RATE))
    off, on = Detect(), Detect(bus=BusLimits(enabled=True, learn_s=_LEARN_S))
    ways = {
        "without": (off, _Kept()),
        "learning": (on, _Kept()),
        "watching": (on, _Kept(_learn(frames))),
        "doubting": (on, _Kept(load_pinned(load_profile(PROFILE).habits))),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(_ROUNDS):
        for way, (limits, store) in ways.items():
            took[way].append(_time(frames, limits, store))
    us = {way: statistics.median(times) / len(frames) * 1e6 for way, times in took.items()}
    more = {way: figure - us["without"] for way, figure in us.items() if way != "without"}
    return {
        "name": "bus",
        "frames": len(frames),
        "us_per_frame": {way: round(figure, 2) for way, figure in us.items()},
        "share": {way: round(figure / us["without"], 2) for way, figure in more.items()},
        "core_percent": {way: round(figure * _RATE / 1e4, 1) for way, figure in more.items()},
    }


def _learn(frames: FrameBatch) -> bytes:
    """Habits of frames that come so often."""
    guard = BusGuard(BusLimits(enabled=True, learn_s=_LEARN_S))
    span_ns = len(frames) * (10**9 // _RATE)
    for turn in range(_LEARN_S * 10**9 // span_ns + 1):
        guard.update(replace(frames, t_ns=frames.t_ns + turn * span_ns))
    return guard.dump()


def _time(frames: FrameBatch, limits: Detect, store: _Kept) -> float:
    pipeline = Pipeline(
        msgspec.structs.replace(load_profile(PROFILE), habits=""),
        [DBC / "outrider_sim.dbc"],
        limits=limits,
        on_events=lambda _: None,
        on_window=lambda _: None,
        bus_store=store,
    )
    begun = time.process_time()
    for row in range(0, len(frames), _BATCH):
        pipeline.on_frames(frames[row : row + _BATCH])
    return time.process_time() - begun
