from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.core.best_time import Now
from agent.core.config import Config, Device, Store, Trust
from agent.core.errors import BundleRejected, ConfigError
from agent.remote.apply import ConfigStore
from fleet.bundle import make_manifest, sign_bundle

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def base(tmp_path: Path) -> Config:
    public = tmp_path / "operator.pem"
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Config(
        device=Device(id="box-1"), store=Store(directory=str(tmp_path / "data")), trust=Trust(operator_key=str(public))
    )


def bundle(version: int, braking: float = 3.5) -> bytes:
    text = f"[detect.driving]\nbraking_mps2 = {braking}\n"
    manifest = make_manifest(
        text, bundle=f"b{version}", version=version, expires_ns=2**62, vehicles=["box-1"], groups=[]
    )
    return sign_bundle(manifest, KEY)


def test_an_accepted_bundle_survives_a_restart(base: Config) -> None:
    store = ConfigStore(base)
    accepted = store.offer(bundle(4), now=Now(floor_ns=0, wall_ns=1))
    assert accepted is not None
    assert store.running.version == 4
    again = ConfigStore(base)
    assert again.running == store.running
    assert again.offer(bundle(4), now=Now(floor_ns=0, wall_ns=1)) is None


def test_the_last_good_one_serves_when_the_newest_is_damaged(base: Config) -> None:
    store = ConfigStore(base)
    store.offer(bundle(4, 3.4), now=Now(floor_ns=0, wall_ns=1))
    store.offer(bundle(5, 3.6), now=Now(floor_ns=0, wall_ns=1))
    current = Path(base.store.directory) / "config" / "current.bundle"
    current.write_bytes(current.read_bytes()[:-3])
    again = ConfigStore(base)
    assert again.running.detect.driving.braking_mps2 == 3.4
    assert "current.bundle" in again.problems[0]


def test_a_repeated_bundle_is_judged_once(base: Config) -> None:
    store = ConfigStore(base)
    with pytest.raises(BundleRejected):
        store.offer(b"rubbish", now=Now(floor_ns=0, wall_ns=1))
    assert store.offer(b"rubbish", now=Now(floor_ns=0, wall_ns=1)) is None
    assert store.running == base


def test_a_refused_bundle_is_named_for_the_operator(base: Config) -> None:
    store = ConfigStore(base)
    assert store.name_of(bundle(7)) == "b7"
    assert store.name_of(b"rubbish").startswith("sha256-")


def test_an_unreadable_operator_key_is_named(base: Config) -> None:
    lost = msgspec.structs.replace(base, trust=Trust(operator_key="/nowhere/key.pem"))
    with pytest.raises(ConfigError, match=r"trust\.operator_key: /nowhere/key\.pem"):
        ConfigStore(lost)
