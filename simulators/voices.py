"""Synthetic speakers: espeak-ng with every variant of a voice, for training and trying the keyword model.

Needs espeak-ng, which is a program of its own and no part of the daemon. Speech comes as float32 at 16 kHz, peak 0.5.
"""

import html
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from agent.core.errors import InputError
from agent.core.ports import Language
from drivers.pinyin import to_pinyin
from simulators.sounds import RATE_HZ
from simulators.voice_files import DRAWN, DrawnVoices, draw_voice

Float32s = npt.NDArray[np.float32]
Part = Literal["training", "validation", "test"]

_ESPEAK_HZ: Final = 22_050
_HEADER_BYTES: Final = 44
_PAUSE_MS: Final = 500
_DICTIONARY_TIMEOUT_S: Final = 120  # for ten thousand words and more
_BREATH: Final = RATE_HZ // 100
# espeak-ng's accents of English; the test has four of them, as people of two countries have.
# "en" is the British one: under its other name, en-gb, espeak-ng 1.51 leaves the variant out, and all sound the same.
_ACCENTS: Final = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-us-nyc",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
_TEST_ACCENTS: Final = _ACCENTS[:4]
_NO_PERSON: Final = frozenset(
    {"whisper", "whisperf", "croak", "demonic", "unirobot", "anikarobot", "robosoft", "tweaky"}
)
_MANDARIN: Final = (
    "cmn-latn-pinyin",
)  # espeak-ng has one Mandarin voice that can be used; its variants are the people
_SPEEDS: Final[dict[Language, tuple[int, int]]] = {"zh": (160, 270), "en": (130, 215)}
# Training hears people more unlike each other than those it is tried on: times the width of every range.
_SPREAD: Final[dict[Part, float]] = {"training": 1.4, "validation": 1.0, "test": 1.0}
_LISTED: Final = re.compile(r"!v/(\S+)(?= {2,}|\s*$)", re.MULTILINE)
_NUMBERED: Final = re.compile(r"^[mf]\d$")


@dataclass(frozen=True, slots=True)
class Person:
    """One way to speak: espeak-ng's voice, pitch 0-99, speed in words a minute; stretch scales the vocal tract.

    file: the text of a voice file, where the variant is none of espeak-ng's own.
    """

    voice: str
    pitch: int
    speed: int
    stretch: float
    file: str = ""


def variants(part: Part) -> list[str]:
    """espeak-ng's variants of one part; those of one name (iven, iven2) stay together.

    Of five names two are for the test and one for validation. Training hears all of its own; the others are tried on
    none that is a robot, a monster or a whisper.
    """
    names = sorted(set(_LISTED.findall(_espeak(["--voices=variant"]).decode())))
    families = sorted({_family(name) for name in names})
    wanted = {"test": (0, 4), "validation": (1,), "training": (2, 3)}[part]
    chosen = {family for number, family in enumerate(families) if number % 5 in wanted}
    spared = frozenset() if part == "training" else _NO_PERSON
    return [name for name in names if _family(name) in chosen - spared]


def draw_person(rng: np.random.Generator, language: Language, part: Part, variant: str) -> Person:
    """Somebody with that variant's timbre; with one that nobody else has, if it is DRAWN."""
    english = _TEST_ACCENTS if part == "test" else _ACCENTS
    accents = _MANDARIN if language == "zh" else english

    def drawn(low: float, high: float) -> float:
        beyond = (_SPREAD[part] - 1) * (high - low) / 2
        return float(rng.uniform(low - beyond, high + beyond))

    return Person(
        voice=f"{accents[rng.integers(0, len(accents))]}+{variant}",
        pitch=round(drawn(25, 75)),
        speed=round(drawn(*_SPEEDS[language])),
        stretch=drawn(0.92, 1.08),
        file=draw_voice(rng) if variant == DRAWN else "",
    )


def speak(text: str, language: Language, person: Person) -> Float32s:
    """What that person sounds like, without the silence around it. Raises InputError without espeak-ng."""
    spoken = to_pinyin(text) if language == "zh" else text
    samples = _spoken(person, ["--", spoken])
    loud = np.flatnonzero(np.abs(samples) > 0.01 * max(1.0, float(np.abs(samples).max(initial=0))))
    if not len(loud):
        return np.zeros(RATE_HZ // 10, np.float32)
    samples = samples[loud[0] : loud[-1] + 1]
    return _resampled(samples / (2 * np.abs(samples).max()), person.stretch * RATE_HZ / _ESPEAK_HZ)


def speak_all(texts: Sequence[str], language: Language, person: Person) -> list[Float32s]:
    """The same for many texts in one run of espeak-ng, whose start costs more than a word."""
    spoken = [to_pinyin(text) if language == "zh" else f"{html.escape(text)}." for text in texts]
    pause = f'<break time="{_PAUSE_MS}ms"/>'
    marked = f"<speak>{pause.join(spoken)}</speak>"
    samples = _spoken(person, ["-m", "--", marked])
    loud = np.flatnonzero(np.abs(samples) > 0.01 * max(1.0, float(np.abs(samples).max(initial=0))))
    cuts = np.flatnonzero(np.diff(loud) > _ESPEAK_HZ * _PAUSE_MS / 1000 * 0.8)
    if not len(loud) or len(cuts) + 1 != len(texts):  # a word without sound, or one that pauses by itself
        return [speak(text, language, person) for text in texts]
    firsts, lasts = loud[np.r_[0, cuts + 1]], loud[np.r_[cuts, len(loud) - 1]]
    return [
        _resampled(piece / (2 * np.abs(piece).max()), person.stretch * RATE_HZ / _ESPEAK_HZ)
        for piece in (samples[first : last + 1] for first, last in zip(firsts, lasts, strict=True))
    ]


def phonemes(texts: Sequence[str]) -> list[str]:
    """How espeak-ng's American reads each English text, without the stress. Raises InputError without espeak-ng."""
    lines = "".join(f"{text}\n" for text in texts)
    said = _espeak(["-q", "-x", "-v", "en-us"], lines, timeout_s=_DICTIONARY_TIMEOUT_S).decode()
    read = [line.strip().replace("'", "").replace(",", "") for line in said.splitlines()]
    if len(read) != len(texts):
        raise InputError(f"espeak-ng: read {len(read)} of {len(texts)} texts")
    return read


def breathy(rng: np.random.Generator, samples: Float32s) -> Float32s:
    """The same with more breath than voice: a share of it with the phases of noise, so that formants stay."""
    share = rng.uniform(0.2, 1.0)
    padded = np.pad(samples, (_BREATH, 2 * _BREATH))
    breath = np.zeros(len(padded), np.float32)
    window = np.hanning(2 * _BREATH).astype(np.float32)
    for at in range(0, len(padded) - 2 * _BREATH, _BREATH):
        spectrum = np.abs(np.fft.rfft(window * padded[at : at + 2 * _BREATH]))
        phases = np.exp(2j * np.pi * rng.random(len(spectrum)))
        breath[at : at + 2 * _BREATH] += np.fft.irfft(spectrum * phases, 2 * _BREATH).astype(np.float32)
    return np.asarray((1 - share) * samples + share * breath[_BREATH : _BREATH + len(samples)], np.float32)


def rough(rng: np.random.Generator, samples: Float32s) -> Float32s:
    """The same by a voice that creaks: louder and softer some dozen times a second."""
    beat = 2 * np.pi * rng.uniform(15, 90) * np.arange(len(samples)) / RATE_HZ
    return np.asarray(samples * (1 - rng.uniform(0.2, 0.7) * (0.5 + 0.5 * np.sin(beat))), np.float32)


def _spoken(person: Person, arguments: Sequence[str]) -> Float32s:
    """What espeak-ng makes of a text by that person, at its own rate."""
    options = ["--stdout", "-v", person.voice, "-p", str(person.pitch), "-s", str(person.speed)]
    if person.file:
        options.append(f"--path={_drawn_voices().hold(person.file)}")
    data = _espeak([*options, *arguments])[_HEADER_BYTES:]
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32)


@cache
def _drawn_voices() -> DrawnVoices:
    """Of this process: espeak-ng reads the voice from a file."""
    _, _, data = _espeak(["--version"]).decode().strip().rpartition("Data at: ")
    return DrawnVoices(Path(data))


def _resampled(samples: Float32s, ratio: float) -> Float32s:
    """By leaving out, or adding zeros to, the top of the spectrum."""
    size = -(-len(samples) // 1024) * 1024
    target = round(size * ratio)
    spectrum = np.fft.rfft(samples, size)[: target // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, target)[: round(len(samples) * ratio)] * ratio, np.float32)


def _family(name: str) -> str:
    return name if _NUMBERED.match(name) else name.rstrip("0123456789").lower()


def _espeak(arguments: Sequence[str], said: str = "", *, timeout_s: float = 30) -> bytes:
    command = ["espeak-ng", *arguments]
    try:
        return subprocess.run(command, input=said.encode(), capture_output=True, check=True, timeout=timeout_s).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise InputError(f"espeak-ng: {exc} (Debian: apt install espeak-ng)") from exc
