"""Keys and records for the tests of store, receiver and chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.core.config import Config, Device, Store, Trust
from agent.core.events import BatteryAlarm, Event, HarshDriving, Priority
from agent.core.keys import public_pem
from agent.core.records import GENESIS, Header, Position, SealedRecord, build_envelope, encode_event
from agent.store.seal import Sealer
from drivers.keystore import FileKeystore


@dataclass(frozen=True)
class Keys:
    device: FileKeystore
    insurer: X25519PrivateKey
    owner: X25519PrivateKey

    @property
    def device_public(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.device.public_key)

    def sealer(self) -> Sealer:
        return Sealer(self.device, [self.insurer.public_key(), self.owner.public_key()])


KEYS = Keys(
    FileKeystore(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), "car-1"),
    X25519PrivateKey.from_private_bytes(b"\1" * 32),
    X25519PrivateKey.from_private_bytes(b"\2" * 32),
)


def certify(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    name: str,
    *,
    by: tuple[x509.Name, Ed25519PrivateKey] | None = None,
) -> bytes:
    """Certificate in PEM, by a CA's name and key, or by its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = by or (subject, key)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2036, 1, 1, tzinfo=UTC)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    algorithm = None if isinstance(signer, Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, algorithm).public_bytes(Encoding.PEM)


def make_config(directory: Path, **store: int) -> Config:
    (directory / "insurer.pem").write_bytes(public_pem(KEYS.insurer.public_key()))
    (directory / "owner.pem").write_bytes(public_pem(KEYS.owner.public_key()))
    return Config(
        device=Device(id="car-1"),
        store=Store(directory=str(directory / "store"), **store),
        trust=Trust(
            insurer_encryption_key=str(directory / "insurer.pem"), owner_encryption_key=str(directory / "owner.pem")
        ),
    )


def make_chain(
    count: int,
    *,
    boot: int = 1,
    after: bytes = GENESIS,
    first: int = 1,
    priorities: Sequence[Priority] = (Priority.TELEMETRY,),
    size: int = 40,
    bulk: bool = False,
) -> list[SealedRecord]:
    """Records that hang together, with any bytes where the seal would be."""
    records: list[SealedRecord] = []
    for index in range(count):
        priority = priorities[index % len(priorities)]
        position = Position(boot, first + index)
        header = Header(device="car-1", boot=boot, sequence=position.sequence, priority=priority, previous=after)
        content = repr(tuple(position)).encode().ljust(size, b".")
        envelope = build_envelope(header, content)
        records.append(SealedRecord("car-1", boot, position.sequence, priority, envelope, bulk))
        after = records[-1].digest
    return records


def braking(t_ns: int = 5_000) -> HarshDriving:
    return HarshDriving(t_ns=t_ns, maneuver="braking", peak_mps2=6.2, duration_s=0.8, speed_kmh=48.0)


def seal_chain(
    events: Sequence[Event],
    *,
    boot: int = 1,
    first: int = 1,
    after: bytes = GENESIS,
    wall_offset_ns: int | None = 7,
    sealer: Sealer | None = None,
    device: str = "car-1",
) -> list[SealedRecord]:
    """Really sealed records that hang together."""
    sealer = sealer or KEYS.sealer()
    records: list[SealedRecord] = []
    for index, event in enumerate(events):
        header = Header(device=device, boot=boot, sequence=first + index, priority=event.priority, previous=after)
        content = encode_event(event, position=header.position, wall_offset_ns=wall_offset_ns, agent_version="0.1.0")
        records.append(sealer.seal(content, header))
        after = records[-1].digest
    return records


def thermal(t_ns: int = 6_000) -> BatteryAlarm:
    return BatteryAlarm(t_ns=t_ns, alarm="over_temperature", level=2, value=61.0, limit=55.0, unit="Celsius", cell=3)
