"""`outrider keys request`: asks for a certificate of the link, new or renewed. The private key stays in the box."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drivers.keystore import TlsKey, create_tls_key, open_tls_key


def print_request(path: Path, device: str, *, new: bool) -> int:
    """Print a PKCS#10 request in PEM for the key at path, which new makes. Raises InputError."""
    key = create_tls_key(path) if new else open_tls_key(path)
    print(make_request(key, device).decode(), end="")
    return 0


def make_request(key: TlsKey, device: str) -> bytes:
    """PKCS#10 (RFC 2986) in PEM, for a client named as the device."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)]))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256())
    )
    return request.public_bytes(Encoding.PEM)
