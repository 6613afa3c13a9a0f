from collections.abc import Callable

import numpy as np
import pytest

from simulators import sounds

SOUNDS: list[Callable[[np.random.Generator], sounds.Float32s]] = [
    lambda rng: sounds.cabin(rng, 2.0),
    lambda rng: sounds.music(rng, 4.0),
    lambda rng: sounds.burst(rng, 0.3),
]


@pytest.mark.parametrize("make", SOUNDS)
def test_the_same_seed_sounds_the_same_and_another_otherwise(
    make: Callable[[np.random.Generator], sounds.Float32s],
) -> None:
    first, again, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert np.isfinite(first).all()
    assert sounds.rms(first) == pytest.approx(1.0, rel=1e-3)
    assert len(first) != len(other) or not (first == other).all()


def test_a_cabin_rumbles_and_holds_nothing_below_the_microphone() -> None:
    power = np.abs(np.fft.rfft(sounds.cabin(np.random.default_rng(4), 8.0))) ** 2
    hz = np.fft.rfftfreq(8 * sounds.RATE_HZ, 1 / sounds.RATE_HZ)
    assert power[(hz > 80) & (hz < 500)].sum() > power[hz > 2000].sum()


@pytest.mark.parametrize("snr_db", [5.0, 10.0, 25.0])
def test_the_ratio_is_of_speech_where_it_sounds(snr_db: float) -> None:
    rng = np.random.default_rng(1)
    speech = np.zeros(32_000, np.float32)
    speech[8000:16_000] = rng.normal(0, 0.1, 8000)
    noise = sounds.mix(speech, rng.normal(0, 1, 32_000).astype(np.float32), snr_db=snr_db) - speech
    ratio = 20 * np.log10(sounds.rms(speech[8000:16_000]) / sounds.rms(noise))
    assert ratio == pytest.approx(snr_db, abs=0.3)


def test_an_echo_is_as_long_and_as_loud() -> None:
    rng = np.random.default_rng(1)
    dry = rng.normal(0, 0.1, 8000).astype(np.float32)
    wet = sounds.echo(rng, dry)
    assert len(wet) == len(dry)
    assert sounds.rms(wet) == pytest.approx(sounds.rms(dry), rel=1e-3)
    assert not (wet == dry).all()
