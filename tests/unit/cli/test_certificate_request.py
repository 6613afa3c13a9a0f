"""What `outrider keys request` prints is a request that a CA can sign."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.cli.certificate_request import make_request
from agent.cli.main import main
from drivers.keystore import TlsKey, create_x25519


@pytest.mark.parametrize(
    "key",
    [Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65_537, 2048)],
)
def test_a_request_names_the_device_and_proves_the_key(key: TlsKey) -> None:
    request = x509.load_pem_x509_csr(make_request(key, "car-1"))
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=car-1"
    assert request.public_key() == key.public_key()


def test_the_key_is_made_once_and_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "link-key.pem"
    assert main(["keys", "request", str(path), "--device", "car-1", "--new"]) == 0
    first = x509.load_pem_x509_csr(capsys.readouterr().out.encode())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["keys", "request", str(path), "--device", "car-1"]) == 0
    again = x509.load_pem_x509_csr(capsys.readouterr().out.encode())
    made = load_pem_private_key(path.read_bytes(), None)
    assert first.public_key() == again.public_key() == made.public_key()
    assert main(["keys", "request", str(path), "--device", "car-1", "--new"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_other_keys_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_x25519(tmp_path / "owner.pem")
    assert main(["keys", "request", str(tmp_path / "owner.pem"), "--device", "car-1"]) == 2
    assert "not an RSA, ECDSA or Ed25519 key" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "car-1.csr"
    file.write_bytes(make_request(ec.generate_private_key(ec.SECP256R1()), "car-1"))
    command = ["openssl", "req", "-in", str(file), "-noout", "-verify", "-subject"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "car-1" in done.stdout
