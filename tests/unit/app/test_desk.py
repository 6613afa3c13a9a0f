"""Messages of the desk: sealed for one box, signed by one insurer, and refused with the reason otherwise."""

import hashlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.core.cose import encode_cbor, sign1
from agent.core.desk import DESK_SIZE_MAX, LIFETIME_MAX_NS, DeskNote, encode_note, parse_note
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.keys import parse_ed25519, to_x25519
from agent.core.records import digest_of
from agent.desk import DESK_CONTEXT, open_note, seal_note
from agent.link.wire import RECEIPT_CONTEXT
from agent.store.seal import encrypt_bound
from drivers.keystore import FileKeystore

INSURER = Ed25519PrivateKey.from_private_bytes(b"\5" * 32)
PUBLIC = INSURER.public_key().public_bytes_raw()
CAR = FileKeystore(Ed25519PrivateKey.from_private_bytes(b"\7" * 32), "car-1")
OTHER = FileKeystore(Ed25519PrivateKey.from_private_bytes(b"\x08" * 32), "car-2")
NOTE = DeskNote(
    id="1-answer-a", device="car-1", created_ns=10**18, expires_ns=10**18 + 10**15, what="answer", ticket=1,
    zh="修理厂约好了。", en="A garage is booked.",
)  # fmt: skip


def key_of(keystore: FileKeystore) -> Ed25519PublicKey:
    return parse_ed25519(keystore.public_key)


def sealed(
    content: bytes, *, device: str = "car-1", context: bytes = DESK_CONTEXT, signer: Ed25519PrivateKey = INSURER
) -> bytes:
    """What somebody with these keys could send; device: as it stands in the seal."""
    signed = sign1(content, external_aad=context, sign=signer.sign)
    return encrypt_bound(
        signed,
        lambda recipients: encode_cbor(["outrider/desk", 1, device, digest_of(recipients)]),
        [to_x25519(key_of(CAR))],
    )


def plain(**changes: Any) -> bytes:
    return encode_cbor({**msgspec.to_builtins(NOTE), **changes})


def test_what_is_sealed_for_a_box_it_opens_and_nobody_reads_it_on_the_way() -> None:
    blob = seal_note(NOTE, key_of(CAR), INSURER.sign)
    assert open_note(blob, CAR, PUBLIC) == NOTE
    assert b"garage" not in blob
    assert "修理厂".encode() not in blob
    assert len(blob) < 600


@given(st.binary(min_size=32, max_size=32))
def test_the_devices_key_is_one_point_on_both_curves(seed: bytes) -> None:
    device, somebody = FileKeystore(Ed25519PrivateKey.from_private_bytes(seed), "x"), X25519PrivateKey.generate()
    assert device.agree(somebody.public_key()) == somebody.exchange(to_x25519(key_of(device)))


def test_the_point_is_the_one_that_others_compute() -> None:
    """RFC 8032, 7.1, test 1; the Curve25519 key as libsodium's crypto_sign_ed25519_*_to_curve25519 makes it."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    assert to_x25519(public).public_bytes_raw() == scalar.public_key().public_bytes_raw()


def test_the_point_without_a_twin_is_refused() -> None:
    with pytest.raises(InputError, match="nothing can be sealed"):
        to_x25519(Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little")))


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "not a COSE_Encrypt"),
        (bytes(DESK_SIZE_MAX + 1), "are allowed"),
        (seal_note(NOTE, key_of(CAR), INSURER.sign)[:-1], "recipients"),
        (seal_note(msgspec.structs.replace(NOTE, device="car-2"), key_of(OTHER), INSURER.sign), "not sealed for this"),
        (sealed(plain(), signer=Ed25519PrivateKey.from_private_bytes(b"\6" * 32)), "signature is wrong"),
        (sealed(plain(), context=RECEIPT_CONTEXT), "signature is wrong"),
        (sealed(plain(), device="car-2"), "was altered"),
        (sealed(plain(device="car-2")), "a desk message for car-2, not for car-1"),
        (sealed(plain(v=2)), "not a desk message"),
        (sealed(plain(what="advert")), "not a desk message"),
        (sealed(plain(more=1)), "not a desk message"),
        (sealed(plain(zh="")), "not a desk message"),
        (sealed(plain(zh="两\n行")), "not a desk message"),
        (sealed(plain(en="x" * 601)), "not a desk message"),
        (sealed(plain(expires_ns=10**18)), "lives for no time"),
        (sealed(plain(expires_ns=10**18 + LIFETIME_MAX_NS + 1)), "more than 31 days"),
        (sealed(b"\xff"), "not a desk message|CBOR"),
    ],
)
def test_anything_wrong_is_refused_with_the_reason(blob: bytes, reason: str) -> None:
    with pytest.raises(SealError, match=reason):
        open_note(blob, CAR, PUBLIC)


def test_a_desk_cannot_make_what_no_car_would_take() -> None:
    assert parse_note(encode_note(NOTE)) == NOTE
    with pytest.raises(ProtocolError, match="not a desk message"):
        seal_note(msgspec.structs.replace(NOTE, zh=""), key_of(CAR), INSURER.sign)


@given(st.data())
def test_no_byte_that_was_altered_and_no_other_content_raises_anything_else(data: st.DataObject) -> None:
    blob = bytearray(seal_note(NOTE, key_of(CAR), INSURER.sign))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    content = data.draw(
        st.binary(max_size=80) | st.builds(lambda value: plain(about_ns=value), st.integers(-5, 2**64 - 1))
    )
    for hostile in (bytes(blob), bytes(blob[:place]), data.draw(st.binary(max_size=80)), sealed(content)):
        try:
            assert open_note(hostile, CAR, PUBLIC).device == "car-1"
        except SealError:
            continue
