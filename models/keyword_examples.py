"""The training's examples: replies, and what is none, as the box's voice activity detection cuts them out of cabins.

They are kept as they were heard, in half precision for memory's sake; each epoch varies them anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drivers.keyword_features import BANDS, log_mel, model_input
from drivers.keyword_replies import Keywords
from models.keyword_figures import Kind, out_of_grammar, short_stretches
from models.keyword_speech import (
    Cabins,
    example,
    fragment,
    make_cabins,
    noise_examples,
    other_clips,
    reply_clips,
    wordings_of,
)
from models.keyword_talk import Talk
from models.speech_net import STEPS
from simulators.sounds import RATE_HZ
from simulators.voices import breathy, rough

Float32s = npt.NDArray[np.float32]
Float16s = npt.NDArray[np.float16]
Ints = npt.NDArray[np.int64]

_CABINS: Final = 160
_NONSENSE: Final = 6000
_ROWS: Final = 4000
_SENTENCES: Final = 7000
_SHORT: Final = int(1.8 * RATE_HZ)  # samples of the longest sentence that may be taken for a reply
_NOISES: Final = 1500
# Of noise much: a knock or a cough is as short as 不 or 是, and an hour holds but 400 of them.
_HOURS: Final[dict[Kind, float]] = {"noise": 8.0, "music": 0.5, "speech": 6.0, "words": 3.0}
_BREATHY: Final = 0.3  # of the examples: espeak-ng has few such voices, and people many
_ROUGH: Final = 0.3
_SNR_DB: Final = (5.0, 25.0)
_FADED_DB: Final = (3.0, 25.0)  # below the speech is the noise that is added in each epoch
_TILT: Final = 0.5  # nepers by which that noise may be brighter or darker at its ends
_LEVEL: Final = np.float32(0.05)


@dataclass(frozen=True, slots=True)
class Examples:
    """Log mel frames float16[n, 40] of each and its class; noise: powers float32[m, 40] of cabins, mean 1."""

    frames: list[Float16s]
    classes: Ints
    noise: Float32s


def examples(rng: np.random.Generator, keywords: Keywords) -> Examples:
    """All of the training; the last class is what is no reply."""
    cabins = make_cabins(rng, _CABINS)
    frames: list[Float16s] = []
    classes: list[int] = []
    for clip in reply_clips(rng, keywords, "training"):
        frames.append(_half(_heard(rng, clip.samples, cabins)))
        classes.append(clip.wording)
    frames += (_half(heard) for heard in _refused(rng, keywords, cabins))
    classes += [len(wordings_of(keywords))] * (len(frames) - len(classes))
    return Examples(frames, np.array(classes), _powers(cabins))


def joined(parts: Sequence[Examples]) -> Examples:
    """All of them."""
    return Examples(
        [frames for part in parts for frames in part.frames],
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.noise for part in parts]),
    )


def _refused(rng: np.random.Generator, keywords: Keywords, cabins: Cabins) -> Iterator[Float32s]:
    """What is no reply."""
    talk = Talk(keywords, "training")
    for clip in other_clips(rng, keywords.language, "training", talk.nonsense(rng, _NONSENSE) + talk.rows(rng, _ROWS)):
        yield _heard(rng, clip.samples, cabins)
    for clip in other_clips(rng, keywords.language, "training", talk.sentences(rng, _SENTENCES)):
        if len(clip.samples) <= _SHORT:
            yield _heard(rng, clip.samples, cabins)
        yield _heard(rng, fragment(rng, clip.samples), cabins)
    for kind, hours in _HOURS.items():
        yield from short_stretches(out_of_grammar(rng, kind, talk, cabins, hours=hours))[1]
    yield from noise_examples(rng, cabins, _NOISES)


def _heard(rng: np.random.Generator, samples: Float32s, cabins: Cabins) -> Float32s:
    if rng.random() < _BREATHY:
        samples = breathy(rng, samples)
    if rng.random() < _ROUGH:
        samples = rough(rng, samples)
    return example(rng, samples, cabins, snr_db=rng.uniform(*_SNR_DB), music=0.2)


def _half(heard: Float32s) -> Float16s:
    return heard[:STEPS].astype(np.float16)


def _powers(cabins: Cabins) -> Float32s:
    powers = np.exp(np.concatenate([log_mel(noise * _LEVEL) for noise in cabins.noise]))
    return np.asarray(powers / powers.mean(), np.float32)


def varied(rng: np.random.Generator, frames: Float16s, noise: Float32s) -> Float32s:
    """The same faster or slower, by a longer or shorter throat, in more noise, with something missing: [192, 40]."""
    pace = rng.uniform(0.85, 1.18)
    steps = np.arange(min(STEPS, int(len(frames) / pace))) * pace + rng.integers(-4, 5)
    bands = np.clip(np.arange(BANDS) * rng.uniform(0.94, 1.06) + rng.uniform(-1, 1), 0, BANDS - 1.001)
    low = bands.astype(np.int64)
    share = (bands - low).astype(np.float32)
    paced = frames[np.clip(steps, 0, len(frames) - 1).astype(np.int64)].astype(np.float32)
    power = np.exp(paced[:, low] * (1 - share) + paced[:, low + 1] * share)
    level = power.mean() * np.float32(10 ** (-rng.uniform(*_FADED_DB) / 10))
    colour = np.exp(rng.normal(0, _TILT) * np.linspace(-1, 1, BANDS)).astype(np.float32)
    at = int(rng.integers(0, len(noise) - STEPS))
    (row,) = model_input(np.log(power + level * noise[at : at + len(power)] * colour), STEPS)
    gap, hole = rng.integers(0, STEPS), rng.integers(0, BANDS)
    row[gap : gap + rng.integers(0, 12)] = 0
    row[:, hole : hole + rng.integers(0, 5)] = 0
    return np.asarray(row, np.float32)
