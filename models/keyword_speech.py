"""What the keyword model learns from and is tried on: synthetic speech in simulated cabins, as the box would hear it.

Every example passes the box's own voice activity detection and features, so that the model sees in the car what it saw
here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.ports import Language
from drivers.keyword_features import HOP, log_mel
from drivers.keyword_replies import Keywords
from drivers.keyword_segments import Segmenter, Stretch
from simulators import sounds
from simulators.voice_files import DRAWN
from simulators.voices import Part, draw_person, speak_all, variants

Float32s = npt.NDArray[np.float32]

_LEAD_S: Final = 0.5
_TAIL_S: Final = 0.8
_NOISE_S: Final = 20
_SONGS_MAX: Final = 24
_NONE: Final = -1
_GROUP: Final = 15  # texts that one person says before the next one speaks
# Times that each variant of espeak-ng speaks, and drawn voices; the test has only what espeak-ng comes with.
_VOICES: Final[dict[Part, tuple[int, int]]] = {"training": (4, 300), "validation": (2, 24), "test": (1, 0)}


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance: samples at 16 kHz; which wording of the language it is, -1 for none; who said it."""

    samples: Float32s
    wording: int
    voice: str


@dataclass(frozen=True, slots=True)
class Cabins:
    """Noise and music of one part, to be cut from anywhere."""

    noise: tuple[Float32s, ...]
    music: tuple[Float32s, ...]

    def cut(self, rng: np.random.Generator, size: int, *, music: float = 0.0) -> Float32s:
        """Noise of that many samples, rms about 1; music: the chance that the radio is on, below the noise."""
        noise = _piece(rng, self.noise, size)
        if rng.random() < music:
            noise = noise + np.float32(rng.uniform(0.2, 0.7)) * _piece(rng, self.music, size)
        return noise


def make_cabins(rng: np.random.Generator, count: int) -> Cabins:
    """So many cars, and as many songs, but for a limit: cars differ more, in what they hide."""
    return Cabins(
        tuple(sounds.cabin(rng, _NOISE_S) for _ in range(count)),
        tuple(sounds.music(rng, _NOISE_S) for _ in range(min(count, _SONGS_MAX))),
    )


def wordings_of(keywords: Keywords) -> list[tuple[str, str]]:
    """Every wording and its reply, in the order of the model's classes."""
    return [(wording, name) for name, reply in keywords.replies.items() for wording in reply.wordings]


def reply_clips(rng: np.random.Generator, keywords: Keywords, part: Part) -> Iterator[Clip]:
    """Each wording in each voice of the part, by another person every fifteen."""
    wordings = [wording for wording, _ in wordings_of(keywords)]
    for voice in voices_of(part):
        order = rng.permutation(len(wordings))
        yield from _said(rng, keywords.language, part, [(wordings[n], int(n)) for n in order], [voice])


def other_clips(rng: np.random.Generator, language: Language, part: Part, texts: Sequence[str]) -> Iterator[Clip]:
    """Texts that are no reply, each fifteen by another of the part's voices."""
    yield from _said(rng, language, part, [(text, _NONE) for text in texts], voices_of(part))


def _said(
    rng: np.random.Generator,
    language: Language,
    part: Part,
    texts: Sequence[tuple[str, int]],
    people: Sequence[str],
) -> Iterator[Clip]:
    """Texts in groups, each by another person, as one run of espeak-ng makes them."""
    for at in range(0, len(texts), _GROUP):
        group = texts[at : at + _GROUP]
        person = draw_person(rng, language, part, people[int(rng.integers(0, len(people)))])
        spoken = speak_all([text for text, _ in group], language, person)
        for samples, (_, wording) in zip(spoken, group, strict=True):
            yield Clip(samples, wording, person.voice)


def fragment(rng: np.random.Generator, samples: Float32s) -> Float32s:
    """A piece of a sentence, 0.25 to 1.5 s, as a noisy detector may cut it."""
    size = min(len(samples), round(rng.uniform(0.25, 1.5) * sounds.RATE_HZ))
    at = int(rng.integers(0, len(samples) - size + 1))
    return samples[at : at + size]


@cache
def voices_of(part: Part) -> Sequence[str]:
    """What the part's people speak with: espeak-ng's variants, each several times, and drawn voices."""
    times, drawn = _VOICES[part]
    return (*times * variants(part), *drawn * [DRAWN])


def in_cabin(rng: np.random.Generator, samples: Float32s, cabins: Cabins, *, snr_db: float, music: float) -> Float32s:
    """The utterance with its echo in a cabin's noise, half a second of it before and after."""
    wet = sounds.echo(rng, np.pad(samples, (0, 800))) if rng.random() < 0.7 else samples
    lead, tail = round(_LEAD_S * sounds.RATE_HZ), round(_TAIL_S * sounds.RATE_HZ)
    padded = np.pad(wet, (lead, tail))
    noisy = sounds.mix(padded, cabins.cut(rng, len(padded), music=music), snr_db=snr_db)
    return np.asarray(noisy * (10 ** rng.uniform(-1.2, 0) / max(1.0, float(np.abs(noisy).max()))), np.float32)


def stretches(samples: Float32s) -> list[Stretch]:
    """What the box makes of a recording."""
    return Segmenter().update(log_mel(samples))


def example(rng: np.random.Generator, samples: Float32s, cabins: Cabins, *, snr_db: float, music: float) -> Float32s:
    """What the box takes for an utterance, float32[n, 40]; where it finds nothing, what lies where the speech is."""
    noisy = in_cabin(rng, samples, cabins, snr_db=snr_db, music=music)
    frames = log_mel(noisy)
    found = [stretch for stretch in Segmenter().update(frames) if stretch.short]
    if found and rng.random() < 0.9:
        return max(found, key=lambda stretch: stretch.loud).frames
    first = round(_LEAD_S * sounds.RATE_HZ) // HOP - int(rng.integers(0, 16))
    return frames[first : first + len(samples) // HOP + 16 + int(rng.integers(0, 16))]


def noise_examples(rng: np.random.Generator, cabins: Cabins, count: int) -> Iterator[Float32s]:
    """What is no speech at all: pieces of music, knocks and horns, noise."""
    for number in range(count):
        size = round(rng.uniform(0.2, 1.5) * sounds.RATE_HZ)
        noise = cabins.cut(rng, size)
        if number % 3 == 0:
            noise = noise * np.float32(0.3) + _piece(rng, cabins.music, size)
        elif number % 3 == 1:
            noise = noise + np.float32(rng.uniform(1, 5)) * sounds.burst(rng, size / sounds.RATE_HZ)[:size]
        yield log_mel(noise * np.float32(0.05))


def _piece(rng: np.random.Generator, pool: Sequence[Float32s], size: int) -> Float32s:
    whole = pool[int(rng.integers(0, len(pool)))]
    if size >= len(whole):
        whole = np.tile(whole, size // len(whole) + 1)
    at = int(rng.integers(0, len(whole) - size))
    return whole[at : at + size]
