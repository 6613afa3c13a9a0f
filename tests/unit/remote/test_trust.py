import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from agent.core.best_time import Now
from agent.core.config import Config, Device
from agent.core.cose import sign1
from agent.core.errors import BundleRejected
from agent.remote.trust import BUNDLE_CONTEXT, AcceptedBundle, accept_bundle
from fleet.bundle import make_manifest, sign_bundle

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BASE = Config(device=Device(id="box-1", groups=["taxi"]))
TEXT = "[detect.driving]\nbraking_mps2 = 3.5\n"


def make(
    text: str = TEXT,
    *,
    version: int = 2,
    expires_ns: int = 100,
    vehicles: tuple[str, ...] = ("box-1",),
    groups: tuple[str, ...] = (),
) -> bytes:
    manifest = make_manifest(
        text, bundle="b1", version=version, expires_ns=expires_ns, vehicles=vehicles, groups=groups
    )
    return sign_bundle(manifest, KEY)


NOW = Now(floor_ns=0, wall_ns=50)


def accept(blob: bytes, *, now: Now = NOW, version_current: int = 1) -> AcceptedBundle:
    return accept_bundle(blob, operator_key=PUBLIC, base=BASE, now=now, version_current=version_current)


@pytest.mark.parametrize("blob", [make(), make(vehicles=(), groups=("van", "taxi"))])
def test_a_good_bundle_changes_only_what_it_says(blob: bytes) -> None:
    accepted = accept(blob)
    assert accepted.config.detect.driving.braking_mps2 == 3.5
    assert accepted.config.version == accepted.version == 2
    assert accepted.config.device == BASE.device


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (make(vehicles=("box-2",), groups=("van",)), "foreign"),
        (make(expires_ns=50), "expired"),
        (make(version=1), "older: version 1, running 1"),
        (make("[detect.driving]\nbraking_mps2 = 350.0\n"), r"b1:2: detect\.driving\.braking_mps2"),
        (make("[detect.driving]\nbreaking = 3.0\n"), "unknown key"),
        (make('[device]\nid = "x"\n'), "may not be pushed"),
        (make("[link]\nhost = 'evil'\n"), "may not be pushed"),
        (make("[detect.anomaly]\nmodel = 'nonexistent'\n"), r"detect\.anomaly: may not be pushed"),
        (make("[detect.anomaly]\nenabled = false\n"), r"detect\.anomaly: may not be pushed"),
        (make("[detect.bus]\nenabled = true\n"), r"detect\.bus: may not be pushed"),
        (make("no toml"), "not TOML"),
        (sign_bundle(make_manifest("", bundle="b", version=9, expires_ns=100, vehicles=["box-1"], groups=[]),
                     Ed25519PrivateKey.generate()), "tampered"),
        (b"", "tampered: not a COSE_Sign1 by EdDSA"),
        (b"\xd2\x84", "tampered"),
        (cbor2.dumps({"config": TEXT}), "tampered: not a COSE_Sign1"),
        (b"\x81" * 60_000, "not a COSE_Sign1"),
        (sign1(b"\xa0", external_aad=BUNDLE_CONTEXT, sign=KEY.sign), "malformed"),
        (sign1(b"junk", external_aad=BUNDLE_CONTEXT, sign=KEY.sign), "malformed"),
        (sign1(cbor2.dumps({}), external_aad=b"other", sign=KEY.sign), "tampered: signature is wrong"),
        (bytes(70_000), "malformed: 70000 bytes"),
    ],
)  # fmt: skip
def test_bad_bundles_are_refused_with_the_reason(blob: bytes, reason: str) -> None:
    with pytest.raises(BundleRejected, match=reason):
        accept(blob)


def test_a_box_without_an_operator_takes_nothing() -> None:
    with pytest.raises(BundleRejected, match="no operator key"):
        accept_bundle(make(), operator_key=b"", base=BASE, now=NOW, version_current=0)


@given(st.data())
def test_no_changed_byte_gets_through(data: st.DataObject) -> None:
    blob = bytearray(make())
    where = data.draw(st.integers(0, len(blob) - 1))
    blob[where] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleRejected):
        accept(bytes(blob))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_one_way(blob: bytes) -> None:
    with pytest.raises(BundleRejected):
        accept(blob)


@pytest.mark.parametrize("expires_ns", [40, 50])
def test_what_ended_before_a_signed_time_is_refused_without_a_clock(expires_ns: int) -> None:
    with pytest.raises(BundleRejected, match="expired: at least 0 s ago"):
        accept(make(expires_ns=expires_ns), now=Now(floor_ns=50))


def test_what_nobody_can_date_is_taken_and_marked() -> None:
    assert not accept(make(expires_ns=51), now=Now(floor_ns=50)).in_time
    assert accept(make(expires_ns=51)).in_time
    with pytest.raises(BundleRejected, match="older: version 1"):
        accept(make(expires_ns=51, version=1), now=Now(floor_ns=50))


def make_issued(issued_ns: int, *, expires_ns: int) -> bytes:
    manifest = make_manifest(
        TEXT, bundle="b1", version=2, expires_ns=expires_ns, vehicles=["box-1"], groups=[], issued_ns=issued_ns
    )
    return sign_bundle(manifest, KEY)


def test_when_a_bundle_was_issued_is_a_signed_time() -> None:
    assert accept(make()).issued_ns is None
    assert accept(make_issued(45, expires_ns=100)).issued_ns == 45
    far_ns = 10**12
    assert accept(make_issued(far_ns, expires_ns=2 * far_ns), now=Now(floor_ns=50)).issued_ns == far_ns
    with pytest.raises(BundleRejected, match="from the future: issued in 999 s"):
        accept(make_issued(far_ns, expires_ns=2 * far_ns))
    with pytest.raises(BundleRejected, match="expires before it is issued"):
        accept(make_issued(100, expires_ns=100))
