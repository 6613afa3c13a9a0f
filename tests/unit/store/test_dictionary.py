import random

import pytest
import zstandard

from agent.core.cose import sign1
from agent.core.errors import SealError
from agent.core.events import Collision
from agent.core.records import Header, Position, build_envelope, encode_event
from agent.store import seal
from agent.store.dictionary import ID_CURRENT, ID_FIRST, load_dictionary
from agent.store.unseal import open_record, signature_aad
from tests.unit.store.kit import KEYS, braking, thermal

HEADER = Header(device="car-1", boot=1, sequence=1, priority=braking().priority, previous=bytes(32))
CONTENT = encode_event(braking(), position=Position(1, 1), wall_offset_ns=7, agent_version="0.1.0")


def signed_by_the_device(frame: bytes) -> bytes:
    signed = sign1(frame, external_aad=signature_aad(HEADER), sign=KEYS.device.sign)
    return build_envelope(HEADER, seal.encrypt(signed, HEADER, [KEYS.insurer.public_key()]))


def test_a_frame_names_its_dictionary() -> None:
    frame = seal.make_compressor().compress(CONTENT)
    assert ID_CURRENT >= ID_FIRST
    assert zstandard.get_frame_parameters(frame).dict_id == ID_CURRENT == load_dictionary(ID_CURRENT).dict_id()
    assert open_record(signed_by_the_device(frame), KEYS.insurer, KEYS.device_public)[1].event == braking()


def test_what_was_sealed_without_one_stays_readable() -> None:
    envelope = signed_by_the_device(zstandard.compress(CONTENT))
    assert open_record(envelope, KEYS.insurer, KEYS.device_public)[1].event == braking()


def test_a_dictionary_of_newer_software_is_named() -> None:
    samples = [random.Random(seed).randbytes(8) * 20 for seed in range(200)]  # noqa: S311  # any samples do
    newer = zstandard.train_dictionary(1024, list(samples), dict_id=ID_CURRENT + 1)
    frame = zstandard.ZstdCompressor(dict_data=newer).compress(CONTENT)
    with pytest.raises(SealError, match=f"needs the zstd dictionary {ID_CURRENT + 1}"):
        open_record(signed_by_the_device(frame), KEYS.insurer, KEYS.device_public)


def test_it_saves_half_of_the_content() -> None:
    crash = Collision(t_ns=84 * 10**9, delta_v_kmh=31.5, duration_ms=94.25, peak_mps2=182.25, stationary=False)
    plain, helped = zstandard.ZstdCompressor(), seal.make_compressor()
    for event in (braking(5 * 10**9), thermal(6 * 10**9), crash):
        content = encode_event(event, position=Position(3, 17), wall_offset_ns=179 * 10**16, agent_version="0.1.0")
        assert len(helped.compress(content)) < len(plain.compress(content)) / 2
