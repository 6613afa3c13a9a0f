from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.core.errors import InputError
from agent.core.keys import parse_ed25519
from drivers.keystore import FileKeystore, write_private


def test_a_key_made_is_the_key_opened(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "device.pem"
    made = FileKeystore.create(path, "car-1")
    opened = FileKeystore.open(path, "car-1")
    assert (opened.public_key, opened.device_id) == (made.public_key, "car-1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["device.pem"]
    Ed25519PublicKey.from_public_bytes(made.public_key).verify(opened.sign(b"data"), b"data")
    assert parse_ed25519(made.public_pem()).public_bytes_raw() == made.public_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "device.pem"
    FileKeystore.create(path, "car-1")
    path.chmod(mode)
    with pytest.raises(InputError, match=rf"device\.pem: mode {mode:04o} lets others in; run: chmod 600"):
        FileKeystore.open(path, "car-1")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    key = FileKeystore.create(path, "car-1").public_key
    with pytest.raises(InputError, match="exists already"):
        FileKeystore.create(path, "car-1")
    assert FileKeystore.open(path, "car-1").public_key == key


def test_missing_broken_and_foreign_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pem: cannot be read: No such file"):
        FileKeystore.open(tmp_path / "none.pem", "car-1")
    write_private(tmp_path / "broken.pem", b"-----BEGIN")
    with pytest.raises(InputError, match=r"broken\.pem: not an unencrypted PKCS#8"):
        FileKeystore.open(tmp_path / "broken.pem", "car-1")
    curve = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(tmp_path / "curve.pem", curve)
    with pytest.raises(InputError, match=r"curve\.pem: not an Ed25519 key"):
        FileKeystore.open(tmp_path / "curve.pem", "car-1")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"device\.pem: cannot be written"):
        FileKeystore.create(tmp_path / "file" / "device.pem", "car-1")
