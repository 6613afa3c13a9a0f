"""An insurer that holds a car's drive with a crash: database, keys, and the box's own outbox."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.events import (
    AgentStarted,
    Collision,
    Event,
    Feedback,
    HarshDriving,
    RoadImpact,
    SourceChanged,
    TripStarted,
)
from agent.core.records import SealedRecord
from agent.store.seal import Sealer
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from tests.unit.store.kit import KEYS, seal_chain, thermal

NS = 10**9
SYNCED_NS = 1_790_000_000 * NS  # 2026-09-21, 14:13:20 UTC
CAME_NS = SYNCED_NS + 130 * NS
CRASH = 9  # its sequence

DRIVE: tuple[Event, ...] = (
    AgentStarted(t_ns=1 * NS, agent_version="0.1.0", config_version=3, profile="ice_generic"),
    TripStarted(t_ns=20 * NS),
    RoadImpact(t_ns=31 * NS, peak_mps2=22.5, speed_kmh=38.0),
    thermal(44 * NS),
    SourceChanged(t_ns=70 * NS, source="gnss", state="lost", detail="no data for 5 s"),
    SourceChanged(t_ns=84 * NS, source="gnss", state="restored"),
    HarshDriving(t_ns=99 * NS, maneuver="braking", peak_mps2=8.4, duration_s=1.1, speed_kmh=61.0),
    RoadImpact(t_ns=99_500_000_000, peak_mps2=31.0, speed_kmh=52.0),
    Collision(
        t_ns=100 * NS,
        delta_v_kmh=31.46,
        duration_ms=94.0,
        peak_mps2=182.3,
        stationary=False,
        pdof_deg=38.0,
        delta_v_longitudinal_kmh=-24.8,
        delta_v_lateral_kmh=-19.4,
        speed_before_kmh=47.2,
    ),
    Feedback(
        t_ns=112 * NS,
        question="collision",
        about="collision",
        intent="help",
        transcript="头很疼",
        confidence=0.9,
        language="zh",
        asked_ns=102 * NS,
    ),
    SourceChanged(t_ns=115 * NS, source="can0", state="lost", detail="no frames for 5 s"),
    RoadImpact(t_ns=400 * NS, peak_mps2=20.0, speed_kmh=5.0),
)


@dataclass(frozen=True)
class Insurer:
    """Where things lie, and what the car sent."""

    database: Path
    directory: Path
    keys: ReceiverKeys
    records: list[SealedRecord]


def hire_insurer(folder: Path, *, owner: X25519PrivateKey = KEYS.owner) -> Insurer:
    """Make keys, register car-1, take its drive; other cars' records came the same day."""
    directory = folder / "insurer"
    directory.mkdir()
    keys = ReceiverKeys.create(directory)
    keys.register("car-1", KEYS.device.public_pem())
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key(), owner.public_key()])
    records = seal_chain(DRIVE, wall_offset_ns=SYNCED_NS, sealer=sealer)
    database = folder / "insurer.db"
    store = open_store(str(database), create=True)
    intake = Intake(keys, store, now_ns=lambda: CAME_NS)
    assert {outcome.status for outcome in intake.take([record.payload for record in records])} == {"accepted"}
    store.close()
    return Insurer(database, directory, keys, records)
