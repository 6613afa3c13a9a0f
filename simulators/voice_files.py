"""Voices for espeak-ng that nobody has: drawn at random in its own format of voice files, as many as are wanted.

Attributes and their units are those of espeak-ng's docs/voices.md: frequencies, strengths and widths of formants are
per cent of the language's own. Ranges are ours: wide enough for voices nobody would call pleasant, but understood.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

DRAWN: Final = "drawn"  # the variant's name, to be asked for as en+drawn
_FORMANTS: Final = 9
_FIRST_UPPER: Final = 3  # from here on a formant colours the voice and tells no vowel
_BREATH_WIDTHS: Final = np.array([150, 150, 200, 200, 400, 400, 600, 600])
_TONE_HZ: Final = ((100, 700), (700, 1500), (1500, 3000), (3000, 5000))


def draw_voice(rng: np.random.Generator) -> str:
    """The text of a voice file."""
    low_hz = np.exp(rng.uniform(np.log(65), np.log(270)))
    lines = ["language variant", f"name {DRAWN}", _line("pitch", [low_hz, low_hz * rng.uniform(1.15, 2.0)])]
    lines += _formants(rng)
    lines.append(_line("voicing", [np.exp(rng.uniform(np.log(30), np.log(150)))]))
    lines.append(_line("consonants", rng.uniform((40, 25), (140, 140))))
    lines.append(_line("roughness", [int(rng.integers(0, 6))]))
    lines.append(_line("flutter", [int(rng.integers(0, 13))]))
    if rng.random() < 0.35:
        lines.append(_line("breath", [0, *rng.uniform(0, rng.uniform(2, 9), 7)]))
        lines.append(_line("breathw", _BREATH_WIDTHS * rng.uniform(0.7, 1.5)))
    if rng.random() < 0.4:
        tone = [value for low, high in _TONE_HZ for value in (rng.uniform(low, high), rng.uniform(20, 255))]
        lines.append(_line("tone", tone[: 2 * int(rng.integers(2, 5))]))
    if rng.random() < 0.35:
        lines.append(_line("echo", [rng.uniform(10, 90), rng.uniform(5, 35)]))
    if rng.random() < 0.5:
        lines.append(_line("intonation", [int(rng.integers(1, 5))]))
    if rng.random() < 0.15:
        lines.append(_line("klatt", [int(rng.integers(1, 7))]))
    if rng.random() < 0.3:
        lines.append(_line("stressAmp", rng.uniform(12, 30, 8)))
    if rng.random() < 0.3:
        lines.append(_line("stressAdd", rng.uniform(-20, 150, 8)))
    return "\n".join([*lines, ""])


class DrawnVoices:
    """espeak-ng's own data, by links in a directory for its --path, with room for one drawn voice at a time.

    The directory goes with the object. installed: where espeak-ng's data are.
    """

    def __init__(self, installed: Path) -> None:
        self.root: Final = Path(tempfile.mkdtemp(prefix="espeak-"))
        weakref.finalize(self, shutil.rmtree, self.root)
        data = self.root / installed.name
        self._voice = data / "voices" / "!v" / DRAWN
        self._voice.parent.mkdir(parents=True)
        for entry in installed.iterdir():
            if entry.name != "voices":
                (data / entry.name).symlink_to(entry)

    def hold(self, voice: str) -> Path:
        """Let the variant DRAWN be this voice, of a file's text; the directory for --path."""
        self._voice.write_text(voice, encoding="ascii")
        return self.root


def _formants(rng: np.random.Generator) -> list[str]:
    """Longer and shorter throats, of which each formant departs by itself; clear voices and muffled ones."""
    throat = np.exp(rng.normal(0, 0.12))
    own = rng.choice([0.05, 0.1, 0.2])
    frequencies = 100 * throat * np.exp(rng.normal(0, own, _FORMANTS))
    strengths = 100 * np.exp(rng.normal(0, 0.3, _FORMANTS))
    widths = 100 * np.exp(rng.normal(0.15, 0.3, _FORMANTS))
    upper = slice(_FIRST_UPPER, None)
    strengths[upper] *= rng.uniform(0.1, 1.0) if rng.random() < 0.6 else 1.0
    strengths[upper] *= rng.uniform(0.4, 1.3, _FORMANTS - _FIRST_UPPER)
    if rng.random() < 0.2:  # a voice of the lowest formants alone
        frequencies[upper] *= rng.uniform(0.1, 1.0, _FORMANTS - _FIRST_UPPER)
    return [f"formant {n} {frequencies[n]:.0f} {strengths[n]:.0f} {widths[n]:.0f}" for n in range(_FORMANTS)]


def _line(attribute: str, values: Iterable[float]) -> str:
    return " ".join([attribute, *(f"{value:.0f}" for value in values)])
