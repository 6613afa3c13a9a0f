"""Speech in one byte a sample: the mu-law of ITU-T G.711 ("PCMU"), at 16 kHz instead of its 8. Pure.

A code has a sign, three bits of exponent and four of mantissa, all inverted: the error stays at a 32nd of the sample,
however loud that is. Every clip of so many seconds is so many bytes, whatever is in it.
"""

import io
import wave
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ProtocolError

RATE_HZ: Final = 16_000
SAMPLES_MAX: Final = 60_000
"""Of a clip, 3.75 s: with everything else in it its event stays below agent.core.records.EVENT_SIZE_MAX."""

_BIAS: Final = 132  # puts the smallest magnitude into the lowest segment
_CLIP: Final = 32_635
_RATE_MAX_HZ: Final = 192_000
_LOWEST_BITS: Final = 8  # of a biased magnitude in the lowest segment


def to_pcmu(pcm: bytes) -> bytes:
    """One byte a sample of 16-bit little-endian samples; an odd last byte is left out."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.int32)
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.frexp(magnitude)[1] - _LOWEST_BITS
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    codes = np.where(samples < 0, 0x80, 0) | exponent << 4 | mantissa
    return bytes((~codes & 0xFF).astype(np.uint8))


def from_pcmu(sound: bytes) -> npt.NDArray[np.int16]:
    """int16[n]: the middle of what each code stands for."""
    codes = ~np.frombuffer(sound, np.uint8).astype(np.int32)
    magnitude = ((((codes & 0x0F) << 3) + _BIAS) << ((codes >> 4) & 0x07)) - _BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)


def to_wav(sound: bytes, rate_hz: int) -> bytes:
    """A WAV file, 16-bit mono, which every player takes. Raises ProtocolError for a rate that is none."""
    if not 1 <= rate_hz <= _RATE_MAX_HZ:
        raise ProtocolError(f"sound of {rate_hz} Hz")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(from_pcmu(sound).astype("<i2").tobytes())
    return target.getvalue()
