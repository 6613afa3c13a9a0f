"""What a microphone picks up in the simulated car: the cabin's noise all the time, and what somebody says in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.ports import Clock
from simulators.sounds import RATE_HZ, Float32s, cabin

PIECE_S: Final = 0.05

_PIECE: Final = round(PIECE_S * RATE_HZ)
_NOISE_S: Final = 20
# Below full scale. espeak-ng's words, whose peak is at half of it, are some 12 dB above the noise of a town's street.
_STANDING_DB: Final = -39.5
_DB_PER_KMH: Final = 0.1


@dataclass(frozen=True, slots=True)
class Word:
    """Something said. samples: float32 at 16 kHz, to be heard from at_s after the microphone is opened."""

    text: str
    samples: Float32s
    at_s: float


class CabinCapture:
    """A Capture at the clock's pace: a second of sound takes a second of simulated time.

    speed_kmh: the car's, which is how loud the noise is; on_word: called as each word begins.
    """

    def __init__(
        self, clock: Clock, rng: np.random.Generator, *, speed_kmh: Callable[[], float], on_word: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._noise = cabin(rng, _NOISE_S)
        self._speed_kmh = speed_kmh
        self._on_word = on_word
        self._words: list[Word] = []
        self._at = 0  # samples since it was opened
        self._noise_at = 0

    def expect(self, words: list[Word]) -> None:
        """What is said once the microphone is opened next."""
        self._words = words

    async def open(self) -> None:
        """Begin to hear."""
        self._at = 0

    async def read(self) -> bytes:
        """The next twentieth of a second, once it has passed."""
        await self._clock.sleep(PIECE_S)
        places = np.arange(self._noise_at, self._noise_at + _PIECE) % len(self._noise)
        level_db = _STANDING_DB + _DB_PER_KMH * self._speed_kmh()
        sound = self._noise[places] * np.float32(10 ** (level_db / 20))
        for word in self._words:
            self._add(sound, word)
        self._at += _PIECE
        self._noise_at = (self._noise_at + _PIECE) % len(self._noise)
        pcm: npt.NDArray[np.int16] = (np.clip(sound, -1, 1) * 32767).astype("<i2")
        return pcm.tobytes()

    async def close(self) -> None:
        """Hear no more; what has not been said by then is not said."""
        self._words = []

    def _add(self, sound: Float32s, word: Word) -> None:
        """Mix in what of the word falls into this piece."""
        begin = round(word.at_s * RATE_HZ) - self._at
        if 0 <= begin < _PIECE:
            self._on_word(word.text)
        first, last = max(begin, 0), min(begin + len(word.samples), _PIECE)
        if first < last:
            sound[first:last] += word.samples[first - begin : last - begin]
