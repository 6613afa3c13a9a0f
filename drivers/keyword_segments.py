"""Voice activity: where in a stream of log mel frames somebody speaks. Pure; time is the count of frames.

Each band's noise is followed for itself, so that an engine below and wind above do not hide speech between them; and
fast enough that a car may accelerate. Energy and spectrum decide together: the excess over the noise, averaged over the
bands of speech, each counted up to a limit, so that neither one loud tone nor a click is taken for a voice.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.keyword_features import BANDS, FRAMES_PER_S, Float32s, band_centres_hz

_SPEECH: Final = slice(*np.searchsorted(band_centres_hz(), [200.0, 5500.0]).tolist())
_MARGIN: Final = 0.7  # nepers of power over the noise that the noise itself reaches
_BAND_MAX: Final = 2.5  # more excess than this in one band proves no more
# The model refuses what is no reply; so a noise more to judge costs less than the end of a word that is not seen, or a
# sentence that falls to pieces.
_START: Final = 0.28  # mean excess at which speech begins
_GO_ON: Final = 0.2  # and above which it goes on, or above this share of the loudest so far
_GO_ON_SHARE: Final = 0.3  # less, behind a word, is its echo
_ONSET: Final = 6  # of so many frames ...
_ONSET_MIN: Final = 4  # ... so many must be loud
_HANGOVER: Final = 28  # frames of quiet that end it; a stop consonant is shorter, and many a pause within a sentence
_BEFORE: Final = 14  # frames kept before the first loud one: soft consonants
_AFTER: Final = 8
_SHORTEST: Final = 9  # loud frames of the shortest word
_LONGEST: Final = 200  # more is a sentence, and no reply
_ALONE: Final = 80  # frames of quiet before a reply; less, and somebody is talking on
_GIVE_UP: Final = 4 * FRAMES_PER_S  # after so much without a pause it is music or noise
_STEP_IDLE: Final = 0.03  # how fast the noise is followed, nepers a frame
_STEP_LOUD: Final = 0.006
_SETTLE: Final = 12  # frames from which the first estimate of the noise is made

ENDING: Final = _HANGOVER + 8  # frames of silence after which whatever was said has ended; its echo fades first


@dataclass(frozen=True, slots=True)
class Stretch:
    """Something that was said. frames: float32[n, 40] with what is around it; loud: frames from first to last sound.

    quiet: frames of quiet before it; end: the stream's frame at which it was known to have ended.
    """

    frames: Float32s
    loud: int
    quiet: int
    end: int

    @property
    def short(self) -> bool:
        """Whether it may be a reply: a sentence is longer, and part of a talk does not stand alone."""
        return self.loud <= _LONGEST and self.quiet >= _ALONE


class Segmenter:
    """Finds stretches of speech."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin a new stream; what the car sounds like is learnt anew, for it may have stopped, or sped up."""
        self._noise: Float32s | None = None
        self._first: list[Float32s] = []
        self._recent: deque[Float32s] = deque(maxlen=_BEFORE + _ONSET)
        self._onset: deque[bool] = deque(maxlen=_ONSET)
        self._smooth: Float32s | None = None
        self._speech: list[Float32s] | None = None
        self._quiet = 0
        self._quiet_before = _ALONE
        self._credit = _ALONE  # nobody is known to have spoken before the stream began
        self._lead = 0
        self._peak = 0.0
        self._count = 0

    @property
    def in_speech(self) -> bool:
        """Whether somebody is speaking just now."""
        return self._speech is not None

    def update(self, frames: Float32s) -> list[Stretch]:
        """Take the next frames, float32[n, 40]; the stretches that have ended."""
        found = (self._frame(frame) for frame in frames)
        return [stretch for stretch in found if stretch is not None]

    def _frame(self, frame: Float32s) -> Stretch | None:
        self._count += 1
        self._smooth = frame if self._smooth is None else 0.5 * self._smooth + 0.5 * frame
        if self._noise is None:
            self._settle(frame)
            return None
        excess = self._smooth - self._noise
        above = np.minimum(np.maximum(excess[_SPEECH] - _MARGIN, 0), _BAND_MAX)
        score = float(above.sum()) / len(above)
        self._peak = score if self._speech is None else max(self._peak, score)
        loud = score > (_START if self._speech is None else max(_GO_ON, _GO_ON_SHARE * self._peak))
        step = _STEP_LOUD if loud else _STEP_IDLE
        self._noise += np.minimum(np.maximum(excess, -_STEP_IDLE), step)
        return self._follow(frame, loud=loud)

    def _settle(self, frame: Float32s) -> None:
        self._first.append(frame)
        if len(self._first) >= _SETTLE:
            self._noise = np.quantile(np.array(self._first), 0.4, axis=0).astype(np.float32)
            self._first.clear()

    def _follow(self, frame: Float32s, *, loud: bool) -> Stretch | None:
        if self._speech is None:
            self._quiet += 1
            self._recent.append(frame)
            self._onset.append(loud)
            if sum(self._onset) >= _ONSET_MIN:
                self._speech = list(self._recent)
                self._lead = len(self._speech) - len(self._onset)
                self._quiet_before = min(self._quiet - len(self._onset) + self._credit, _ALONE)
                self._quiet = self._credit = 0
            return None
        self._speech.append(frame)
        self._quiet = 0 if loud else self._quiet + 1
        if self._quiet < _HANGOVER and len(self._speech) < _GIVE_UP:
            return None
        speech, lead = self._speech, self._lead
        loud_frames = len(speech) - self._quiet - lead
        self._speech = None
        self._onset.clear()
        self._recent.clear()
        if len(speech) >= _GIVE_UP:
            self._noise = None  # whatever this is, it is what the car sounds like
            return None
        if loud_frames < _SHORTEST:
            self._credit = self._quiet_before + loud_frames  # a click in a pause does not end the pause
            return None
        kept = np.array(speech[: len(speech) - self._quiet + _AFTER], np.float32).reshape(-1, BANDS)
        return Stretch(kept, loud_frames, self._quiet_before, self._count)
