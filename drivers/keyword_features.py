"""What the keyword model sees of speech: log mel energies, 25 ms every 10 ms. Pure NumPy.

The mel scale is O'Shaughnessy's, 2595 log10(1 + f/700); triangles of unit height, a Hann window.
"""

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]

RATE_HZ = 16_000
FRAME = 400
HOP = 160
BANDS = 40
FRAMES_PER_S = RATE_HZ // HOP

_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 7600.0  # below is the road, above what a cheap microphone leaves out
_FLOOR = 1e-7  # of full scale squared; about the noise of 16 bits over a frame


def log_mel(samples: Float32s) -> Float32s:
    """Natural logs of the band energies, float32[n, 40]; samples are float32 in -1..1 at 16 kHz.

    A frame begins every 160 samples and needs 400; what is left at the end belongs to the next call.
    """
    if len(samples) < FRAME:
        return np.empty((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP] * _HANN
    spectrum = np.fft.rfft(frames, _FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    energies: Float32s = np.log(power @ _BANKS + np.float32(_FLOOR)).astype(np.float32)
    return energies


def model_input(frames: Float32s, steps: int) -> Float32s:
    """A stretch of speech as the model takes it, float32[1, steps, 40]: each band around its mean, then unit spread.

    What is longer loses its end, what is shorter is filled with zeros.
    """
    kept = frames[:steps]
    centred = kept - kept.mean(axis=0)
    padded = np.zeros((1, steps, BANDS), np.float32)
    padded[0, : len(kept)] = centred / (centred.std() + 1e-3)
    return padded


def from_pcm(data: bytes) -> Float32s:
    """16-bit little-endian mono samples as float32 in -1..1; an odd last byte is left out."""
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)


def _mel(hz: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    return np.asarray(2595 * np.log10(1 + np.asarray(hz) / 700))


def band_centres_hz() -> npt.NDArray[np.float64]:
    """Where each band is loudest, float64[40]."""
    return _edges()[1:-1]


def _edges() -> npt.NDArray[np.float64]:
    mels = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2)
    return np.asarray(700 * (10 ** (mels / 2595) - 1))


def _banks() -> Float32s:
    edges = _edges()
    hz = np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT
    up = (hz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - hz[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(up, down), 0).astype(np.float32)


_HANN = np.hanning(FRAME).astype(np.float32)
_BANKS = _banks()
