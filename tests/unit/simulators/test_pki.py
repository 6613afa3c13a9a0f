import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from simulators.pki import Authority


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_certificates_hold_before_a_strict_verifier(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    builder = PolicyBuilder().store(Store([_load(authority.certificate)]))
    server = _load(authority.issue_server().certificate)
    builder.build_server_verifier(x509.DNSName("localhost")).verify(server, [])
    client = _load(authority.issue_client("car1").certificate)
    assert client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "car1"
    assert client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    client.verify_directly_issued_by(_load(authority.certificate))


def test_private_keys_are_private_and_made_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue_client("car1")
    assert stat.S_IMODE(identity.key.stat().st_mode) == 0o600
    key = identity.key.read_bytes()
    assert authority.issue_client("car1") == identity
    assert identity.key.read_bytes() == key


def test_an_expired_certificate_is_another_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good, expired = authority.issue_client("car1"), authority.issue_client("car1", expired=True)
    assert good != expired
    assert (
        _load(expired.certificate).not_valid_after_utc < datetime.now(UTC) < _load(good.certificate).not_valid_after_utc
    )
    assert _load(expired.certificate).subject == _load(good.certificate).subject
