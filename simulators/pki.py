"""A throw-away certificate authority for the simulated cloud: broker, devices, insurer, operator."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.config import Link
from drivers.keystore import write_private

VALID: Final = timedelta(days=90)  # longer than a box warns ahead
_SLACK: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a certificate and its private key (0600) lie, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """A CA with an ECDSA P-256 key; everything it issues lies in one directory."""

    def __init__(self, directory: Path, *, valid: timedelta = VALID) -> None:
        self.directory = directory
        self._valid = valid
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issued: dict[str, Identity] = {}
        self._name = _name("Outrider simulator CA")
        now = datetime.now(UTC)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), self._key.public_key(), end=now + valid)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = directory / "ca.crt"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue_server(
        self, names: Sequence[str] = ("localhost", "127.0.0.1", "::1"), *, expired: bool = False
    ) -> Identity:
        """Certificate of the broker, for names and addresses; one that was good until yesterday where expired."""
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return self._issue("broker", ExtendedKeyUsageOID.SERVER_AUTH, alternative, expired=expired)

    def issue_client(self, name: str, *, expired: bool = False) -> Identity:
        """Certificate of a device, the insurer or an operator; the broker knows it by this common name. Made once."""
        file = _file_name(name, expired=expired)
        return self._issued.get(file) or self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, None, expired=expired)

    def link(self, name: str, port: int, **settings: float) -> Link:
        """Link of a client of this name to a broker on this machine; settings are further keys of [link]."""
        identity = self.issue_client(name)
        values = {
            "host": "127.0.0.1",
            "port": port,
            "ca": str(self.certificate),
            "certificate": str(identity.certificate),
            "key": str(identity.key),
        }
        return msgspec.convert(values | settings, Link)

    def _issue(
        self,
        name: str,
        usage: x509.ObjectIdentifier,
        alternative: x509.SubjectAlternativeName | None,
        *,
        expired: bool,
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        end = datetime.now(UTC) + (-_SLACK if expired else self._valid)
        builder = (
            _builder(_name(name), self._name, key.public_key(), self._key.public_key(), end=end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        file = _file_name(name, expired=expired)
        identity = Identity(self.directory / f"{file}.crt", self.directory / f"{file}.key")
        certificate = builder.sign(self._key, hashes.SHA256())
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(
            identity.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        self._issued[file] = identity
        return identity


def _file_name(name: str, *, expired: bool) -> str:
    return f"{name}-expired" if expired else name


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    *,
    end: datetime,
) -> x509.CertificateBuilder:
    """Key identifiers are there because Python 3.13 verifies strictly (RFC 5280, 4.2.1.1 and 4.2.1.2)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 2 * VALID - _SLACK)  # the slack is for boxes whose clock runs late
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
