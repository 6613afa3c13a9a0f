"""From the sample that decides to the record on the disk: simulated crashes through the pipeline and the recorder.

One IMU at 400 Hz beside a car at 10 Hz, in windows of 20 ms as the car's driver makes them. Around each T0 they come in
real time: what takes long delays the next one, as it would in the car. Between crashes they come as fast as they are
taken, and the disk has caught up before the next. The crash model is not asked; it has 20 ms, and only a first notice
waits for it. The outbox is on a real disk, every commit is synced.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.config import Detect
from agent.core.crash import IMU_PATHS
from agent.core.events import Collision, CrashRecord, Event
from agent.core.records import SealedRecord
from agent.core.signals import Samples, SignalSpec, interleave
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from tests.unit.store.kit import KEYS, make_config

_NS: Final = 1_000_000_000
_FOLDER: Final = "/var/tmp"  # a real disk, where /tmp may be memory
_CRASHES: Final = 200
WINDOW_NS: Final = _NS // 50
_APART_S: Final = 6.0  # the next is another crash; its record overlaps with two before it
_FIRST_S: Final = 16.0
_PULSE_S: Final = 0.1
_REAL_BEFORE_S, _REAL_AFTER_S = 0.1, 0.45
_G: Final = 9.80665


class Signals:
    """A source of a car's IMU and speed, for a pipeline; numbers as in specs."""

    name = "car"
    specs: Sequence[SignalSpec] = [*(SignalSpec(path) for path in IMU_PATHS), SignalSpec(vss.SPEED)]

    async def open(self) -> None:
        """Nothing to open."""

    async def read_batch(self) -> Samples:
        """Windows are handed over by whoever owns this."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""

    def counters(self) -> dict[str, int]:
        """Nothing to count."""
        return {}


@dataclass
class Car:
    """A drive with a crash every so often, window by window. seed: of the noise."""

    rate_hz: int = 400
    crashes: int = _CRASHES
    seed: int = 1
    first_s: float = _FIRST_S
    apart_s: float = _APART_S
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def window(self, start_ns: int) -> Samples:
        """20 ms from start_ns on."""
        t_ns = np.arange(start_ns, start_ns + WINDOW_NS, _NS // self.rate_hz, dtype=np.int64)
        values = self._rng.normal(0, 0.3, (len(t_ns), 6)) + np.array([0, 0, _G, 0, 0, 0])
        values[:, 0] += self._pulse(t_ns / _NS)
        imu = interleave(t_ns, values)
        if start_ns % (_NS // 10):
            return imu
        speed = Samples(
            np.array([start_ns]), np.array([len(IMU_PATHS)], np.int32), np.array([50.0]), np.zeros(1, np.uint8)
        )
        return Samples(
            *(
                np.concatenate([getattr(speed, name), getattr(imu, name)])
                for name in ("t_ns", "signal", "value", "quality")
            )
        )

    def _pulse(self, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        since_s = (t_s - self.first_s) % self.apart_s
        inside = (t_s >= self.first_s) & (t_s < self.first_s + self.crashes * self.apart_s) & (since_s < _PULSE_S)
        return np.where(inside, -25 / 3.6 / _PULSE_S * (1 - np.cos(2 * np.pi * since_s / _PULSE_S)), 0.0)


def make_pipeline(on_events: Callable[[Sequence[Event]], None]) -> Pipeline:
    """Rules only, fed by Signals."""
    return Pipeline(
        load_profile("generic"),
        [],
        limits=Detect(),
        sample_sources=[Signals()],
        on_events=on_events,
        on_window=lambda _: None,
    )


def durable(crashes: int = _CRASHES) -> dict[str, object]:
    """durable_p99_ms: of first notices and of the two fragments that must not wait, from their window to the disk."""
    with TemporaryDirectory(prefix="bench-durable-", dir=_FOLDER) as folder:
        return asyncio.run(_measure(Path(folder), Car(crashes=crashes)))


def run() -> dict[str, object]:
    """The bar: 50 ms."""
    return {"name": "collision_durable", **durable()}


@dataclass
class _Stopwatch:
    """handed_s: when the window was handed over that made what is not yet on the disk, by kind."""

    open: list[tuple[str, float]] = field(default_factory=list)
    taken_ms: dict[str, list[float]] = field(default_factory=lambda: {"notice": [], "trigger": [], "table": []})


async def _measure(folder: Path, car: Car) -> dict[str, object]:
    watch, handed_s = _Stopwatch(), 0.0
    places: dict[int, tuple[str, float]] = {}
    clock = SystemClock()
    notices = details = 0

    def on_durable(records: Sequence[SealedRecord]) -> None:
        """Notices and detail are each sealed in the order in which they were put."""
        nonlocal notices, details
        now_s = time.perf_counter()
        for record in records:
            line, number = (1, details) if record.bulk else (0, notices)
            details, notices = (details + 1, notices) if record.bulk else (details, notices + 1)
            kind, since_s = places.pop(2 * number + line)
            if kind in watch.taken_ms:
                watch.taken_ms[kind].append((now_s - since_s) * 1e3)

    counts = [0, 0]

    def on_events(events: Sequence[Event]) -> None:
        for event in events:
            if event.priority:
                continue
            kind = event.part if isinstance(event, CrashRecord) else "notice" if isinstance(event, Collision) else ""
            places[2 * counts[event.bulk] + event.bulk] = (kind, handed_s)
            counts[event.bulk] += 1
            recorder.put(event)

    recorder = await Recorder.open(make_config(folder), KEYS.device, clock, on_durable=on_durable)
    pipeline = make_pipeline(on_events)
    busy_ms: list[float] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        end_ns = round((car.first_s + car.crashes * car.apart_s) * _NS)
        for start_ns in range(0, end_ns, WINDOW_NS):
            window = car.window(start_ns)
            handed_s, begun_s = time.perf_counter(), time.thread_time()
            pipeline.on_samples("car", window)
            busy_ms.append((time.thread_time() - begun_s) * 1e3)
            since_ns = (start_ns - round((car.first_s - _REAL_BEFORE_S) * _NS)) % round(car.apart_s * _NS)
            if since_ns < WINDOW_NS:
                await recorder.flush()
            real = since_ns < (_REAL_BEFORE_S + _REAL_AFTER_S) * _NS
            await asyncio.sleep(max(handed_s + WINDOW_NS / _NS - time.perf_counter(), 0) if real else 0)
        pipeline.finish()
        recorder.close()
    return _figures(watch, busy_ms)


def _figures(watch: _Stopwatch, busy_ms: list[float]) -> dict[str, object]:
    urgent = [ms for kind in watch.taken_ms.values() for ms in kind]
    found: dict[str, object] = {"durable_p99_ms": round(_percentile(urgent, 99), 1)}
    for kind, taken in watch.taken_ms.items():
        found[f"durable_{kind}_p99_ms"] = round(_percentile(taken, 99), 1)
        found[f"durable_{kind}_median_ms"] = round(statistics.median(taken), 1)
    return found | {
        "durable_crashes": len(watch.taken_ms["notice"]),
        "window_longest_cpu_ms": round(max(busy_ms), 1),
        "window_p99_cpu_ms": round(_percentile(busy_ms, 99), 1),
        "cores": os.cpu_count() or 0,
    }


def _percentile(values: list[float], percent: int) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")
