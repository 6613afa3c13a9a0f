"""A crash as the insurer's store holds it, made by hand: events, and a record in fragments."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from agent.core import vss
from agent.core.crash import IMU_PATHS
from agent.core.crash_columns import pack_samples
from agent.core.crash_events import CrashRecord
from agent.core.events import AnyEvent, Collision, EmergencyData, Feedback
from agent.core.signals import Series
from fleet.desk.store import Arrival
from fleet.receiver.store import Place

S = 1_000_000_000
T0_NS = 60 * S
WALL_NS = 1_790_000_000 * S
STEPS = dict.fromkeys(IMU_PATHS, 0.01) | {
    vss.SPEED: 0.1,
    vss.BRAKE_PEDAL: 1.0,
    vss.ACCELERATOR_PEDAL: 1.0,
    vss.STEERING_ANGLE: 0.1,
    vss.IMU_CLIPPED: 1.0,
}


class HeldStore:
    """What a page asks of the receiver's store."""

    def __init__(
        self, events: Sequence[AnyEvent], *, device: str = "car1", boot: int = 1, chain: str = "verified"
    ) -> None:
        self._rows = [
            {
                "device": device,
                "boot": boot,
                "sequence": number,
                "wall_ns": WALL_NS + event.t_ns,
                "received_ns": WALL_NS + max(event.t_ns, T0_NS) + int(1.5 * S) + number,
                "chain": chain,
                "event": msgspec.json.decode(msgspec.json.encode(event)),
            }
            for number, event in enumerate(events, 1)
        ]

    def run_desk(self, query: str, *args: object) -> list[Any]:  # noqa: ARG002 - no desk ever ran
        return []

    def arrivals(self) -> list[Arrival]:
        """As they came."""
        return [
            Arrival(Place(row["device"], row["boot"], row["sequence"]), row["event"], row["received_ns"])
            for row in sorted(self._rows, key=lambda row: row["received_ns"])
        ]

    def events(self, device: str | None = None, *, kinds: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if device in {None, row["device"]} and (not kinds or row["event"]["kind"] in kinds):
                yield row


def collision(**changes: Any) -> Collision:
    fields: dict[str, Any] = {
        "t_ns": T0_NS,
        "delta_v_kmh": 34.6,
        "duration_ms": 110.0,
        "peak_mps2": 172.0,
        "stationary": False,
        "pdof_deg": 350.0,
        "delta_v_longitudinal_kmh": -34.1,
        "delta_v_lateral_kmh": 6.0,
        "speed_before_kmh": 49.0,
        "crash_mode": "frontal",
        "max_after_ms": 112.0,
        "asi": 1.12,
        "severity": "severe",
        "confidence": 0.97,
        "confidence_rules": 0.95,
        "confidence_model": 0.99,
        "airbag_deployed": True,
        "occupants": 2,
        "belted": 2,
        "braking": True,
        "drivable": "unlikely",
        "record": 1,
    }
    return Collision(**(fields | changes))


def answer(intent: str, transcript: str = "") -> Feedback:
    return Feedback(
        t_ns=T0_NS + 6 * S,
        question="all_right",
        about="collision",
        about_ns=T0_NS,
        intent=intent,
        transcript=transcript,
        confidence=1.0,
        language="zh",
        asked_ns=T0_NS + 3 * S,
    )


def record(*, range_g: float = 200.0, complete: bool = True, number: int = 1) -> list[CrashRecord]:
    """A frontal pulse of 110 ms at 400 Hz, clipped at range_g, in four fragments."""
    at_ns = T0_NS + np.arange(-400, 800, dtype=np.int64) * 2_500_000
    ms = (at_ns - T0_NS) / 1e6
    pulse = np.where((ms > 0) & (ms < 110), np.sin(np.pi * np.clip(ms, 0, 110) / 110) ** 2, 0.0)
    axes = [-175.0 * pulse, 30.0 * pulse, 9.81 + 12 * pulse * np.sin(ms / 7), 3 * pulse, 9 * pulse, 14 * pulse]
    limit = range_g * 9.80665
    values = [np.clip(axis, -limit, limit) if column < 3 else axis for column, axis in enumerate(axes)]
    imu = {path: Series(at_ns, axis) for path, axis in zip(IMU_PATHS, values, strict=True)}
    clipped = np.abs(values[0]) >= limit
    if clipped.any():
        imu[vss.IMU_CLIPPED] = Series(at_ns[clipped], np.ones(int(clipped.sum())))
    fell = -np.cumsum(values[0]) * 0.0025 * 3.6
    grid = np.searchsorted(ms, np.arange(26) * 10.0)
    elements = {
        "trigger": "collision",
        "trigger_ms": 45.0,
        "delta_v_longitudinal_kmh": [round(-float(fell[at]), 1) for at in grid],
        "delta_v_lateral_kmh": [round(float(fell[at]) * 0.17, 1) for at in grid],
        "delta_v_resultant_kmh": [round(float(fell[at]) * 1.014, 1) for at in grid],
        "clipped": bool(clipped.any()),
        "clipped_ms": float(ms[clipped][0]) if clipped.any() else None,
        "service_brake_20s": [None] * 180 + [1.0] * 21,
        "ignition_cycles_crash": None,
        "belt_driver": True,
        "locked_by": "airbag",
        "complete": complete,
    }
    times = T0_NS + np.arange(-200, 50, dtype=np.int64) * 100_000_000
    seconds = (times - T0_NS) / 1e9
    signals = {
        vss.SPEED: Series(times, np.where(seconds < 0, np.interp(seconds, [-20, -6, -2, 0], [30, 62, 60, 49]), 12.0)),
        vss.BRAKE_PEDAL: Series(times, np.where((seconds > -1.6) & (seconds < 3), 85.0, 0.0)),
        vss.ACCELERATOR_PEDAL: Series(times, np.where(seconds < -2, 28 + 8 * np.sin(seconds), 0.0)),
        vss.STEERING_ANGLE: Series(times, 4 * np.sin(seconds / 2) - np.where((seconds > -1.2) & (seconds < 0), 35, 0)),
    }
    parts = [("trigger", imu, ""), ("table", {}, msgspec.json.encode(elements).decode()), ("signals", signals, "")]
    fragments = [_fragment(number, n, part, samples, text) for n, (part, samples, text) in enumerate(parts)]
    if complete:
        fragments.append(_fragment(number, 3, "end", {}, "", complete=True))
    return fragments


def emergency() -> EmergencyData:
    return EmergencyData(
        t_ns=T0_NS, msd=bytes.fromhex("02251C0680E30A51439E2955D43800800437F80A3105669023F8A71166932185B004150043C040")
    )


def _fragment(
    record_number: int, number: int, part: Any, samples: dict[str, Series], elements: str, *, complete: bool = False
) -> CrashRecord:
    columns = pack_samples(T0_NS, samples, STEPS)
    return CrashRecord(
        t_ns=T0_NS,
        record=record_number,
        fragment=number,
        part=part,
        from_ns=T0_NS - 20 * S,
        until_ns=T0_NS + 5 * S,
        complete=complete,
        elements=elements,
        **columns._asdict(),
    )
