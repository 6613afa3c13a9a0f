"""Seeded sounds of a moving car's cabin: engine, road, wind, rain, ticks, music; and its echo. 16 kHz, float32.

Shapes and levels are ours, after what cabins sound like: road noise falls by some 9 dB an octave above 100 Hz, wind is
broad, an engine has harmonics of its firing rate. All are heard through a microphone that takes nothing below 80 Hz.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]
RATE_HZ: Final = 16_000
_LOWEST_HZ: Final = 80.0
_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10))


def rms(samples: Float32s) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def cabin(rng: np.random.Generator, seconds: float) -> Float32s:
    """What a car's inside sounds like without anybody speaking; rms 1."""
    n = round(seconds * RATE_HZ)
    road = _coloured(rng, n, knee_hz=rng.uniform(80, 250), slope=rng.uniform(1.2, 2.0), top_hz=8000)
    wind = _coloured(rng, n, knee_hz=rng.uniform(300, 1200), slope=rng.uniform(0.8, 1.4), top_hz=8000)
    shares = rng.dirichlet([4, 2, 2])
    mixed = shares[0] * _breathing(rng, road) + shares[1] * _breathing(rng, wind) + shares[2] * engine(rng, n)
    if rng.random() < 0.25:
        mixed = mixed + np.float32(0.4) * ticks(rng, n)
    return _unit(mixed)


def engine(rng: np.random.Generator, n: int) -> Float32s:
    """Harmonics of a firing rate that wanders, or the whine of an electric motor; rms 1."""
    electric = rng.random() < 0.4
    base_hz = rng.uniform(400, 2500) if electric else rng.uniform(30, 130)
    wander = np.cumsum(rng.normal(0, 1, n // 1600 + 2))
    hz = base_hz * np.exp(0.01 * np.interp(np.arange(n), np.arange(len(wander)) * 1600, wander))
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    orders = np.arange(1, 4 if electric else 16)
    sound = np.zeros(n)
    for order in orders:
        if base_hz * order < 6000:
            sound += rng.uniform(0.3, 1) / order ** rng.uniform(0.8, 1.6) * np.sin(order * phase + rng.uniform(0, 6))
    return _unit(sound.astype(np.float32))


def ticks(rng: np.random.Generator, n: int) -> Float32s:
    """An indicator's relay, or something loose; rms 1."""
    sound = np.zeros(n, np.float32)
    period, jitter = rng.uniform(0.3, 0.8), rng.choice([0.0, 0.3])
    t = rng.uniform(0, period)
    length = round(rng.uniform(0.01, 0.05) * RATE_HZ)
    shape = np.exp(-np.arange(length) / (length / 5)) * np.sin(np.arange(length) * rng.uniform(0.3, 2.0))
    while t * RATE_HZ < n - length:
        at = round(t * RATE_HZ)
        sound[at : at + length] += (shape * rng.uniform(0.6, 1)).astype(np.float32)
        t += period * (1 + jitter * rng.uniform(-1, 1))
    return _unit(sound)


def burst(rng: np.random.Generator, seconds: float) -> Float32s:
    """One sound that is no speech: a knock, a bump, a cough's hiss, a horn, a beep; rms 1."""
    n = round(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    kind = rng.integers(0, 3)
    fading = np.exp(-t / (seconds / 4)) if kind == 0 else np.hanning(n)
    if kind < 2:
        knee_hz, slope = (rng.uniform(100, 800), 1.5) if kind == 0 else (rng.uniform(500, 3000), 1.0)
        return _unit(np.asarray(_coloured(rng, n, knee_hz=knee_hz, slope=slope, top_hz=8000) * fading, np.float32))
    tones = rng.uniform(250, 2500) * np.array([1, rng.uniform(1.1, 1.6)])
    wave = sum(np.sin(2 * np.pi * hz * t) + 0.4 * np.sin(6 * np.pi * hz * t) for hz in tones)
    return _unit(np.asarray(wave * np.minimum(1, np.minimum(t, seconds - t) / 0.02), np.float32))


def music(rng: np.random.Generator, seconds: float) -> Float32s:
    """A beat, a bass, chords, and a tune that may be hummed or sung on vowels; rms 1."""
    n = round(seconds * RATE_HZ)
    beat_s = 60 / rng.uniform(70, 150)
    root = rng.uniform(40, 58)
    scale = _SCALES[rng.integers(0, len(_SCALES))]
    sound = np.zeros(n, np.float32)
    singing = rng.random() < 0.4
    for beat in range(int(seconds / beat_s) + 1):
        at = round(beat * beat_s * RATE_HZ)
        if rng.random() < 0.9:
            _add(sound, at, _drum(rng, low=beat % 2 == 0), rng.uniform(0.4, 1.0))
        degree = scale[rng.integers(0, len(scale))]
        _add(sound, at, _note(rng, root + degree, beat_s, bright=0.4), 0.6)
        if beat % 4 == 0:
            for third in (0, 2, 4):
                pitch = root + 12 + scale[(third + beat) % len(scale)]
                _add(sound, at, _note(rng, pitch, 4 * beat_s, bright=0.6), 0.35)
        for part in range(2):
            if rng.random() < 0.6:
                pitch = root + 24 + scale[rng.integers(0, len(scale))]
                note = _sung(rng, pitch, beat_s) if singing else _note(rng, pitch, beat_s / 2, bright=0.9)
                _add(sound, at + round(part * beat_s / 2 * RATE_HZ), note, 0.8)
    return _unit(sound)


def echo(rng: np.random.Generator, samples: Float32s) -> Float32s:
    """The same in a cabin: windscreen and glass nearby, gone within 40 to 120 ms; as long and as loud as before."""
    length = round(rng.uniform(0.04, 0.12) * RATE_HZ)
    response = rng.normal(0, 1, length) * np.exp(-6.9 * np.arange(length) / length) * rng.uniform(0.02, 0.12)
    response[0] = 1.0
    for _ in range(rng.integers(2, 6)):
        response[rng.integers(16, 160)] += rng.uniform(-0.4, 0.4)
    size = 1 << (len(samples) + length).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    return np.asarray(wet * (rms(samples) / max(rms(wet.astype(np.float32)), 1e-9)), np.float32)


def mix(speech: Float32s, noise: Float32s, *, snr_db: float) -> Float32s:
    """Speech over noise of the same length; the ratio is of powers above 80 Hz, the speech's where it sounds."""
    power = speech.astype(np.float64) ** 2
    sounding = power[power > 1e-4 * power.max()] if power.any() else power
    gain = np.sqrt(sounding.mean()) / max(rms(noise), 1e-9) * 10 ** (-snr_db / 20)
    return np.asarray(speech + gain * noise, np.float32)


def _coloured(rng: np.random.Generator, n: int, *, knee_hz: float, slope: float, top_hz: float) -> Float32s:
    """Noise flat up to a knee, then falling as f^-slope in amplitude."""
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    shape = (1 + (hz / knee_hz) ** 2) ** (-slope / 2) * (hz > _LOWEST_HZ) * (hz < top_hz)
    spectrum = (rng.normal(0, 1, len(hz)) + 1j * rng.normal(0, 1, len(hz))) * shape
    return _unit(np.fft.irfft(spectrum, n).astype(np.float32))


def _breathing(rng: np.random.Generator, sound: Float32s) -> Float32s:
    """Loudness that comes and goes with the road."""
    knots = np.exp(rng.normal(0, 0.3, len(sound) // 8000 + 2))
    return np.asarray(sound * np.interp(np.arange(len(sound)), np.arange(len(knots)) * 8000, knots), np.float32)


def _note(rng: np.random.Generator, pitch: float, seconds: float, *, bright: float) -> Float32s:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    sound = sum(
        bright**k / k * np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6)) for k in range(1, 8) if hz * k < 7000
    )
    return np.asarray(sound * np.exp(-t / (seconds / 2)) * np.minimum(1, t / 0.01), np.float32)


def _sung(rng: np.random.Generator, pitch: float, seconds: float) -> Float32s:
    """A vowel: harmonics under two formants, with vibrato."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * hz * t + 0.5 * np.sin(2 * np.pi * 5.5 * t)
    formants = rng.uniform(300, 900), rng.uniform(900, 2500)
    sound = np.zeros(len(t))
    for k in range(1, 24):
        if hz * k < 5000:
            weight = sum(np.exp(-(((hz * k - f) / 180) ** 2)) for f in formants) + 0.03
            sound += weight * np.sin(k * phase)
    return np.asarray(sound * np.minimum(1, np.minimum(t, seconds - t) / 0.05), np.float32)


def _drum(rng: np.random.Generator, *, low: bool) -> Float32s:
    t = np.arange(round(0.18 * RATE_HZ)) / RATE_HZ
    if low:
        return np.asarray(np.sin(2 * np.pi * (60 * t + 8 * np.exp(-t / 0.03))) * np.exp(-t / 0.06) * 3, np.float32)
    return np.asarray(rng.normal(0, 1, len(t)) * np.exp(-t / 0.04), np.float32)


def _add(sound: Float32s, at: int, piece: Float32s, gain: float) -> None:
    room = max(0, len(sound) - at)
    sound[at : at + min(room, len(piece))] += gain * piece[:room]


def _unit(sound: Float32s) -> Float32s:
    return np.asarray(sound / max(rms(sound), 1e-9), np.float32)
