"""Sound in one byte a sample: close to what it was, playable, and never too large for an event."""

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.core.events import VoiceClip
from agent.core.pcmu import RATE_HZ, SAMPLES_MAX, from_pcmu, to_pcmu, to_wav
from agent.core.records import EVENT_SIZE_MAX, Position, encode_event
from agent.store.unseal import open_record
from agent.voice.understanding import TEXT_MAX
from tests.unit.store.kit import KEYS, seal_chain

EVERY = np.arange(-32768, 32768).astype("<i2")


def test_every_sample_comes_back_within_a_32nd_of_itself() -> None:
    back = from_pcmu(to_pcmu(EVERY.tobytes())).astype(np.int64)
    error = np.abs(back - EVERY)
    quiet = np.abs(EVERY.astype(np.int64)) <= 32_635  # louder ones are clipped, as G.711 has it
    assert (error <= (np.abs(EVERY.astype(np.int64)) + 132) / 32)[quiet].all()
    assert error.max() == 32768 - 32124
    assert (np.diff(back) >= 0).all(), "louder stays louder"


@pytest.mark.parametrize(("sample", "code"), [(0, 0xFF), (-1, 0x7F), (32635, 0x80), (-32635, 0x00), (1000, 0xCE)])
def test_the_codes_are_those_of_g711(sample: int, code: int) -> None:
    assert to_pcmu(np.array([sample], "<i2").tobytes()) == bytes([code])


@pytest.mark.parametrize(("code", "sample"), [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0x7F, 0), (0xCE, 988)])
def test_the_values_are_those_of_g711(code: int, sample: int) -> None:
    assert from_pcmu(bytes([code])).tolist() == [sample]


@given(st.binary(max_size=300))
def test_any_code_is_stable(sound: bytes) -> None:
    """Coded again it is what it was, but for the two codes of zero."""
    again = to_pcmu(from_pcmu(sound).astype("<i2").tobytes())
    assert again == sound.replace(b"\x7f", b"\xff")


def test_a_wav_file_is_what_players_take() -> None:
    with wave.open(io.BytesIO(to_wav(to_pcmu(EVERY.tobytes()), RATE_HZ))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert file.readframes(10**6) == from_pcmu(to_pcmu(EVERY.tobytes())).astype("<i2").tobytes()
    for rate_hz in (0, -1, 2**40):
        with pytest.raises(ProtocolError, match=f"sound of {rate_hz} Hz"):
            to_wav(b"", rate_hz)


def test_the_largest_clip_is_a_record_like_any_other() -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, SAMPLES_MAX).astype("<i2")
    clip = VoiceClip(
        t_ns=2**62,
        answer_ns=2**62,
        question="x" * 64,
        language="zh",
        heard="我" * TEXT_MAX,
        codec="pcmu",
        rate_hz=RATE_HZ,
        sound=to_pcmu(noise.tobytes()),
    )
    data = encode_event(clip, position=Position(2**31 - 1, 2**31 - 1), wall_offset_ns=2**62, agent_version="x" * 64)
    assert len(clip.sound) == SAMPLES_MAX
    assert len(data) < EVENT_SIZE_MAX
    (record,) = seal_chain([clip], sealer=KEYS.sealer())
    assert open_record(record.payload, KEYS.owner, KEYS.device_public)[1].event == clip
