import cbor2
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cwt import COSE, COSEKey, Recipient

from agent.core.cose import encode_cbor, head, sign1
from agent.core.errors import SealError
from agent.core.events import AnyEvent, Collision, Priority
from agent.core.paths import DICTIONARIES
from agent.core.records import (
    EVENT_SIZE_MAX,
    GENESIS,
    Header,
    Position,
    build_envelope,
    digest_of,
    encode_event,
    parse_envelope,
)
from agent.store import seal
from agent.store.dictionary import ID_CURRENT
from agent.store.unseal import derive_kek, encryption_aad, key_id, open_record, signature_aad
from tests.unit.store.kit import KEYS, braking

EVENT = braking()


def header_of(event: AnyEvent = EVENT, *, sequence: int = 1, previous: bytes = GENESIS) -> Header:
    return Header(device="car-1", boot=1, sequence=sequence, priority=event.priority, previous=previous)


def content_of(event: AnyEvent = EVENT, sequence: int = 1) -> bytes:
    return encode_event(event, position=Position(1, sequence), wall_offset_ns=7, agent_version="0.1.0")


def sealed(event: AnyEvent = EVENT) -> bytes:
    return KEYS.sealer().seal(content_of(event), header_of(event)).payload


def test_each_recipient_opens_the_record() -> None:
    envelope = sealed()
    for key in (KEYS.insurer, KEYS.owner):
        header, told = open_record(envelope, key, KEYS.device_public)
        assert (header.device, header.position, header.priority) == ("car-1", (1, 1), Priority.SERVICE)
        assert (told.event, told.wall_ns, told.agent) == (EVENT, 5_007, "0.1.0")


def test_a_third_key_does_not_open_it() -> None:
    with pytest.raises(SealError, match="not sealed for this key"):
        open_record(sealed(), X25519PrivateKey.generate(), KEYS.device_public)


def test_another_device_did_not_sign_it() -> None:
    with pytest.raises(SealError, match="signature is wrong"):
        open_record(sealed(), KEYS.insurer, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    "changed",
    [{"device": "car-2"}, {"boot": 2}, {"sequence": 2}, {"priority": Priority.CRASH}, {"previous": b"\1" * 32}],
)
def test_the_header_cannot_be_changed(changed: dict[str, object]) -> None:
    header, cose = parse_envelope(sealed())
    fields = {name: getattr(header, name) for name in header.__struct_fields__}
    moved = build_envelope(Header(**{**fields, **changed}), cose)
    with pytest.raises(SealError, match="altered"):
        open_record(moved, KEYS.insurer, KEYS.device_public)


def test_the_owner_cannot_be_cut_off_unseen() -> None:
    header, cose = parse_envelope(sealed())
    message = cbor2.loads(cose)
    del message.value[3][1]
    without_owner = build_envelope(header, cbor2.dumps(message, canonical=True))
    with pytest.raises(SealError, match="altered"):
        open_record(without_owner, KEYS.insurer, KEYS.device_public)


def test_a_signature_does_not_move_to_another_place_in_the_chain() -> None:
    """A recipient knows the content key, but cannot make the device have said it elsewhere."""
    compressed = zstandard.compress(content_of(sequence=2))
    signed = sign1(compressed, external_aad=signature_aad(header_of()), sign=KEYS.device.sign)
    elsewhere = header_of(sequence=2)
    cose = seal.encrypt(signed, elsewhere, [KEYS.insurer.public_key()])
    with pytest.raises(SealError, match="signature is wrong"):
        open_record(build_envelope(elsewhere, cose), KEYS.insurer, KEYS.device_public)


def test_content_must_agree_with_the_envelope() -> None:
    content = content_of(Collision(t_ns=1, delta_v_kmh=9.0, duration_ms=80.0, peak_mps2=90.0, stationary=False))
    record = KEYS.sealer().seal(content, header_of())
    with pytest.raises(SealError, match="disagree"):
        open_record(record.payload, KEYS.insurer, KEYS.device_public)


@pytest.mark.parametrize(
    ("compressed", "reason"),
    [
        (zstandard.compress(bytes(EVENT_SIZE_MAX + 1)), "are allowed"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100)), "are allowed"),
        (b"not zstd", "not zstd"),
        (zstandard.compress(content_of()) + b"more", "not zstd"),
        (zstandard.compress(b"\xa0"), "not an event"),
        (zstandard.compress(b"\xff"), "CBOR"),
    ],
    ids=["bomb", "no-size", "not-zstd", "extra", "not-an-event", "not-cbor"],
)
def test_signed_nonsense_is_refused(compressed: bytes, reason: str) -> None:
    signed = sign1(compressed, external_aad=signature_aad(header_of()), sign=KEYS.device.sign)
    cose = seal.encrypt(signed, header_of(), [KEYS.insurer.public_key()])
    with pytest.raises(SealError, match=reason):
        open_record(build_envelope(header_of(), cose), KEYS.insurer, KEYS.device_public)


def test_a_huge_event_is_not_sealed() -> None:
    with pytest.raises(SealError, match="are allowed"):
        KEYS.sealer().seal(bytes(EVENT_SIZE_MAX + 1), header_of())


def test_a_point_of_low_order_is_refused() -> None:
    header, cose = parse_envelope(sealed())
    message = cbor2.loads(cose)
    message.value[3][0][1][-1][-2] = bytes(32)
    with pytest.raises(SealError, match="altered"):
        open_record(build_envelope(header, cbor2.dumps(message, canonical=True)), KEYS.insurer, KEYS.device_public)


def test_kek_is_that_of_the_cose_working_group_vector() -> None:
    """cose-wg/Examples, ecdh-wrap-examples/p256-wrap-256-01: the same KDF context, another curve."""
    secret = bytes.fromhex("8BED545F07A7F39BD7179403C94E7D9862D0A5630217C289B8B4D953490D6D9E")
    assert derive_kek(secret).hex() == "185e6208b1e0abee41fcd0890318ffe5320b5fb2d66b4976f7a51a9493e5b502"


def test_an_independent_cose_library_decrypts_and_verifies() -> None:
    """cwt has no ECDH-ES + A256KW over X25519, but does the ECDH, the key wrap, the encryption and the signature."""
    header, cose = parse_envelope(sealed())
    message = cbor2.loads(cose)
    recipient = message.value[3][0]
    private = COSEKey.new(
        {1: 1, -1: 4, 3: -25, -2: KEYS.insurer.public_key().public_bytes_raw(), -4: KEYS.insurer.private_bytes_raw()}
    )
    ephemeral = COSEKey.new({**recipient[1][-1], 3: -25})
    context = [-5, [None] * 3, [None] * 3, [256, recipient[0]]]
    kek = private.derive_bytes(32, info=cbor2.dumps(context), public_key=ephemeral)

    recipients = [[b"", {1: -5, 4: recipient[1][4]}, recipient[2]]]
    simpler = cbor2.CBORTag(96, [*message.value[:3], recipients])
    key = COSEKey.from_symmetric_key(kek, alg="A256KW", kid=key_id(KEYS.insurer.public_key()))
    signed = COSE.new().decode(
        cbor2.dumps(simpler), key, external_aad=encryption_aad(header, encode_cbor(message.value[3]))
    )
    public = COSEKey.new({1: 1, -1: 6, 3: -8, -2: KEYS.device.public_key})
    compressed = COSE.new().decode(signed, public, external_aad=signature_aad(header))
    dictionary = zstandard.ZstdCompressionDict((DICTIONARIES / f"events-{ID_CURRENT}.dict").read_bytes())
    assert zstandard.ZstdDecompressor(dict_data=dictionary).decompress(compressed) == content_of()


def test_we_open_what_the_independent_library_signs_and_encrypts() -> None:
    header = header_of()
    device = COSEKey.new({1: 1, -1: 6, 3: -8, -2: KEYS.device.public_key, -4: bytes(range(32))})
    signed = COSE.new(alg_auto_inclusion=True).encode_and_sign(
        zstandard.compress(content_of()), device, external_aad=signature_aad(header)
    )
    cek = COSEKey.generate_symmetric_key(alg="A256GCM")
    recipients = head(4, 1) + seal._wrap(cek.key, KEYS.owner.public_key())
    wrapper = Recipient.new(unprotected={1: -5}, sender_key=COSEKey.from_symmetric_key(bytes(32), alg="A256KW"))
    message = COSE.new(alg_auto_inclusion=True).encode_and_encrypt(
        signed, cek, recipients=[wrapper], external_aad=encryption_aad(header, recipients), out="cbor2/CBORTag"
    )
    message.value[3] = cbor2.loads(recipients)
    envelope = build_envelope(header, cbor2.dumps(message, canonical=True))
    assert open_record(envelope, KEYS.owner, KEYS.device_public)[1].event == EVENT


def test_the_chain_hash_covers_the_whole_envelope() -> None:
    record = KEYS.sealer().seal(content_of(), header_of())
    assert record.digest == digest_of(record.payload)


def test_a_wrapped_key_of_another_size_is_refused() -> None:
    header, cose = parse_envelope(sealed())
    message = cbor2.loads(cose)
    x = X25519PrivateKey.generate()
    kek = derive_kek(x.exchange(KEYS.insurer.public_key()))
    message.value[3][0][1][-1][-2] = x.public_key().public_bytes_raw()
    message.value[3][0][2] = aes_key_wrap(kek, bytes(16))
    with pytest.raises(SealError, match="not 1 to 4 recipients"):
        open_record(build_envelope(header, cbor2.dumps(message, canonical=True)), KEYS.insurer, KEYS.device_public)
