import numpy as np
import pytest

from drivers.keyword_features import BANDS, Float32s, from_pcm, log_mel, model_input
from drivers.keyword_segments import Segmenter, Stretch
from simulators import sounds

RATE = sounds.RATE_HZ


def voiced(seconds: float) -> Float32s:
    """Something like a vowel: harmonics of 120 Hz under formants."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 120 * k * t) / (1 + abs(k - 6)) for k in range(1, 30))
    return np.asarray(wave * np.minimum(1, np.minimum(t, seconds - t) / 0.02) / 8, np.float32)


def placed(*pieces: tuple[float, Float32s], seconds: float, snr_db: float = 12.0, seed: int = 3) -> Float32s:
    sound = np.zeros(round(seconds * RATE), np.float32)
    for at_s, piece in pieces:
        sound[round(at_s * RATE) : round(at_s * RATE) + len(piece)] += piece
    noise = sounds.cabin(np.random.default_rng(seed), seconds)
    return sounds.mix(sound, noise, snr_db=snr_db) if pieces else noise


def heard(sound: Float32s, *, pieces: int = 1) -> list[Stretch]:
    frames, segmenter = log_mel(sound), Segmenter()
    return [stretch for part in np.array_split(frames, pieces) for stretch in segmenter.update(part)]


@pytest.mark.parametrize("snr_db", [5, 10, 20])
def test_a_word_in_a_moving_car_is_found_where_it_is(snr_db: float) -> None:
    for seed in range(6):
        (found,) = heard(placed((1.0, voiced(0.6)), seconds=2.5, snr_db=snr_db, seed=seed))
        assert found.short
        assert 45 <= found.loud <= 120  # a knock just before or after it is one with it
        assert 184 <= found.end <= 211  # 0.28 s after its end at the least


def test_a_moving_car_says_nothing() -> None:
    rng = np.random.default_rng(5)
    found = [stretch for _ in range(6) for stretch in heard(sounds.cabin(rng, 20.0))]
    assert len(found) <= 6  # in two minutes; the model refuses what is left


def test_the_same_is_found_however_the_stream_is_cut() -> None:
    sound = placed((1.0, voiced(0.5)), (2.6, voiced(0.4)), seconds=4.0, seed=1)
    whole = heard(sound)
    assert [(stretch.loud, stretch.end) for stretch in heard(sound, pieces=17)] == [
        (stretch.loud, stretch.end) for stretch in whole
    ]
    assert len(whole) == 2


def test_a_sentence_is_no_reply() -> None:
    (found,) = heard(placed((1.0, voiced(2.2)), seconds=4.5))
    assert not found.short


def test_words_of_a_talk_do_not_stand_alone() -> None:
    first, second = heard(placed((1.0, voiced(0.5)), (1.88, voiced(0.5)), seconds=3.5))
    assert first.short
    assert not second.short


def test_an_engine_that_revs_up_is_followed() -> None:
    rng = np.random.default_rng(1)
    quiet, loud = sounds.cabin(rng, 4.0), sounds.cabin(rng, 4.0)
    rising = np.concatenate([quiet, quiet * np.linspace(1, 4, len(quiet), dtype=np.float32), 4 * loud])
    assert len(heard(rising)) <= 1


def test_music_without_a_pause_becomes_the_noise() -> None:
    segmenter = Segmenter()
    tone = voiced(12.0)
    segmenter.update(log_mel(placed((0.5, tone), seconds=14.0)))
    assert not segmenter.in_speech


def test_features_are_of_frames_of_25_ms_every_10_ms() -> None:
    t = np.arange(RATE, dtype=np.float32) / RATE
    frames = log_mel(np.sin(2 * np.pi * 1000 * t).astype(np.float32))
    assert frames.shape == (98, BANDS)
    assert len(set(frames.argmax(axis=1).tolist())) == 1
    assert log_mel(np.zeros(399, np.float32)).shape == (0, BANDS)


def test_the_model_hears_the_same_whatever_the_loudness() -> None:
    sound = np.asarray(voiced(0.5) + np.random.default_rng(1).normal(0, 0.05, RATE // 2), np.float32)
    frames, quieter = log_mel(sound), log_mel(sound / np.float32(10))
    assert np.abs(model_input(frames, 192) - model_input(quieter, 192)).max() < 0.05
    assert model_input(frames, 20).shape == (1, 20, BANDS)
    assert not model_input(frames, 192)[0, 60:].any()


def test_half_a_sample_is_left_out() -> None:
    assert from_pcm(b"\x00\x40\x01").tolist() == [0.5]


def test_a_new_stream_learns_its_noise_anew() -> None:
    segmenter = Segmenter()
    segmenter.update(log_mel(sounds.cabin(np.random.default_rng(2), 2.0) / np.float32(100)))
    segmenter.reset()
    (found,) = segmenter.update(log_mel(placed((1.0, voiced(0.6)), seconds=2.5)))
    assert found.short
