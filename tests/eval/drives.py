"""Recorded drives through the agent's own rooms: a car trip (CANedge), and a phone on an electric scooter."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.config import CollisionLimits, Detect
from agent.core.events import Collision, Event
from agent.core.frames import concatenate
from agent.core.signals import Series, SignalCatalog, SignalWindow
from agent.decode.decode import decode_batch
from agent.decode.history import History
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from agent.detect import make_detectors
from agent.detect.collision import CollisionDetector
from simulators.blows.feed import watch
from simulators.replay import open_recording

CAR_TRIP: Final = (
    "00000001-60FE3F04.MF4",
    "00000002-60FE415D.MF4",
    "00000003-60FE43B2.MF4",
    "00000004-60FEB585.MF4",
    "00000005-60FEB5A8.MF4",
)
# The prose that comes with the recording: steps, violent shaking and two staged crashes, without times. Seconds from
# its start, read from its plot: after either the phone lies still at another angle for seconds, and after nothing else.
STAGED_S: Final = ((57.9, 58.9), (81.0, 81.8))
SCOOTER_RANGE_MPS2: Final = 78.4  # where all three axes of that phone end
LIGHT_KMH: Final = 5.0  # a trigger for a vehicle of 15 kg, by config: half a scooter's speed in the scooter itself
_SLACK_S: Final = 0.5
_CAR_TRIP: Final = "canedge_mf4"
_SCOOTER: Final = "escooter_crash/step_and_crash.tsv.gz"


@dataclass(frozen=True, slots=True)
class Scooter:
    """What was told: by the seconds of each staged crash, and outside of both."""

    staged: tuple[tuple[Event, ...], ...]
    outside: tuple[Event, ...]
    seconds: float

    @property
    def found(self) -> int:
        """Staged crashes for which a collision was told."""
        return sum(any(isinstance(event, Collision) for event in events) for events in self.staged)

    @property
    def false(self) -> int:
        """Collisions told outside of them."""
        return sum(isinstance(event, Collision) for event in self.outside)


def windows(path: Path, dbc: Path, *, window_s: float) -> Iterator[SignalWindow]:
    """The way of a recording through decoding and history."""
    catalog = SignalCatalog()
    table = build_table(load_profile("canedge"), [dbc], catalog)
    history = History(catalog)
    frames = concatenate(list(open_recording(path)))
    ends_ns = np.arange(frames.t_ns[0], frames.t_ns[-1] + window_s * 1e9, window_s * 1e9).astype(np.int64)
    places = np.searchsorted(frames.t_ns, ends_ns, side="right").tolist()
    for first, last, end_ns in zip([0, *places], places, ends_ns.tolist(), strict=False):
        samples = decode_batch(table, frames[first:last]).samples
        history.extend(samples)
        yield history.window(samples, end_ns)


def car_trip(shared_data: Path, name: str, *, window_s: float = 0.5) -> tuple[list[Event], float]:
    """All events, and the distance in m that the same speed gives when simply summed up."""
    folder = shared_data / _CAR_TRIP
    detectors = make_detectors(Detect())
    events: list[Event] = []
    metres, before, end_ns = 0.0, None, 0
    for window in windows(folder / "car_trip" / name, folder / "canmod-gps.dbc", window_s=window_s):
        for detector in detectors:
            events += detector.update(window)
        speed = window.new(vss.SPEED)
        for t_ns, kmh in zip(speed.t_ns.tolist(), speed.value.tolist(), strict=True):
            metres += 0.0 if before is None else kmh / 3.6 * min((t_ns - before) / 1e9, 5.0)
            before = t_ns
        end_ns = window.t_ns
    for detector in detectors:
        events += detector.finish(end_ns)
    return events, metres


def scooter(shared_data: Path, *, delta_v_kmh: float | None = None) -> Scooter:
    """The phone's samples as they are, axes included; delta_v_kmh None: the trigger that is the default."""
    with gzip.open(shared_data / _SCOOTER, "rt") as file:
        rows = [line.split("\t")[1:5] for line in file]
    ms = np.array([int(row[0]) for row in rows])
    t_ns = (ms - ms[0] + 1) * 1_000_000
    axes = np.array([[float(cell) for cell in row[1:]] for row in rows])
    paths = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
    usual = CollisionLimits(sensor_range_mps2=SCOOTER_RANGE_MPS2)
    light = CollisionLimits(sensor_range_mps2=SCOOTER_RANGE_MPS2, delta_v_kmh=delta_v_kmh or usual.delta_v_kmh)
    detector = CollisionDetector(Detect(collision=light))
    events = watch(detector, {path: Series(t_ns, axes[:, k].copy()) for k, path in enumerate(paths)})
    staged = tuple(tuple(event for event in events if _inside(event, *span)) for span in STAGED_S)
    outside = tuple(event for event in events if not any(_inside(event, *span) for span in STAGED_S))
    return Scooter(staged, outside, float(t_ns[-1] / 1e9))


def _inside(event: Event, begin_s: float, end_s: float) -> bool:
    return begin_s - _SLACK_S <= event.t_ns / 1e9 <= end_s + _SLACK_S
