"""How well a keyword model hears: replies that it got right, and what it took for a reply that was none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from drivers.keyword_features import log_mel, model_input
from drivers.keyword_replies import Keywords
from drivers.keyword_segments import Segmenter
from models.keyword_speech import Cabins, Clip, in_cabin, other_clips, stretches, wordings_of
from models.keyword_talk import Talk
from models.speech_net import STEPS
from simulators import sounds

Float32s = npt.NDArray[np.float32]
Score = Callable[[Float32s], Float32s]  # float32[n, 192, 40] to float32[n, labels], the last one "other"
Kind = Literal["noise", "music", "speech", "words"]

_GAP_S = 0.6  # between two things said, at least
_CHUNK_S = 20.0
_TEXTS = 90  # drawn at a time


@dataclass(frozen=True, slots=True)
class Hearing:
    """Of clips of replies: which reply was meant, and the surest reply that came out and how sure it was, by clip.

    best is -1 where nothing was detected, or "other" was surer than every reply.
    """

    meant: npt.NDArray[np.int64]
    best: npt.NDArray[np.int64]
    sure: Float32s

    def heard(self, thresholds: Float32s) -> npt.NDArray[np.bool_]:
        """Which clips were taken for a reply, whichever."""
        return np.asarray((self.best >= 0) & (self.sure >= thresholds[self.best]))

    def accuracy(self, thresholds: Float32s) -> float:
        """The share that was heard, and heard right."""
        return float(np.mean(self.heard(thresholds) & (self.best == self.meant)))

    def wrong(self, thresholds: Float32s) -> float:
        """The share that was taken for another reply."""
        return float(np.mean(self.heard(thresholds) & (self.best != self.meant)))


def hear(
    rng: np.random.Generator, score: Score, clips: Iterable[Clip], keywords: Keywords, cabins: Cabins, *, snr_db: float
) -> Hearing:
    """Each clip in a cabin, through voice activity detection and model; of several stretches the surest counts."""
    names = list(keywords.replies)
    replies = [names.index(name) for _, name in wordings_of(keywords)]
    inputs: list[Float32s] = []
    owners: list[int] = []
    meant: list[int] = []
    for clip in clips:
        noisy = in_cabin(rng, clip.samples, cabins, snr_db=snr_db, music=0.0)
        for stretch in stretches(noisy):
            if stretch.short:
                inputs.append(model_input(stretch.frames, STEPS))
                owners.append(len(meant))
        meant.append(replies[clip.wording])
    best = np.full(len(meant), -1)
    surest = np.zeros(len(meant), np.float32)
    for owner, answer in zip(owners, score(np.concatenate(inputs)), strict=True):
        place = int(answer.argmax())
        if place < len(names) and answer[place] > surest[owner]:
            best[owner], surest[owner] = place, answer[place]
    return Hearing(np.array(meant), best, surest)


@dataclass(frozen=True, slots=True)
class Mistaken:
    """Hours heard without a reply in them; of each stretch that looks like one which it is, and how surely."""

    hours: float
    best: npt.NDArray[np.int64]
    sure: Float32s

    def count(self, thresholds: Float32s) -> int:
        """How many are believed."""
        return int(np.sum(self.sure >= thresholds[self.best]))


def lowest_threshold(mistaken: Sequence[Mistaken], tried: Iterable[float], *, false_per_hour: float) -> float:
    """The first that lets at most so many through an hour, each of the sounds heard for as long; else the last."""
    threshold = np.nan
    for threshold in tried:
        if np.mean([np.sum(each.sure >= threshold) / each.hours for each in mistaken]) <= false_per_hour:
            break
    return float(threshold)


def short_stretches(sound: Iterable[Float32s]) -> tuple[float, list[Float32s]]:
    """Hours of a sound, and what stands alone in it as a reply does, float32[n, 40] each."""
    segmenter = Segmenter()
    count, found = 0, []
    for chunk in sound:
        count += len(chunk)
        found += [stretch.frames for stretch in segmenter.update(log_mel(chunk)) if stretch.short]
    return count / sounds.RATE_HZ / 3600, found


def false_accepts(score: Score, sound: Iterable[Float32s]) -> Mistaken:
    """Listen to what holds no reply."""
    hours, found = short_stretches(sound)
    if not found:
        return Mistaken(hours, np.empty(0, np.int64), np.empty(0, np.float32))
    answers = score(np.concatenate([model_input(frames, STEPS) for frames in found]))
    best = answers.argmax(axis=1)
    taken = best < answers.shape[1] - 1
    return Mistaken(hours, best[taken], answers[taken, best[taken]])


def out_of_grammar(
    rng: np.random.Generator, kind: Kind, talk: Talk, cabins: Cabins, *, hours: float
) -> Iterator[Float32s]:
    """A drive without a reply, in pieces of 20 s: noise, a radio, people who talk of other things, or single words.

    The last is the hardest: each word stands alone as a reply does, one every two seconds.
    """
    chunks = round(hours * 3600 / _CHUNK_S)
    size = round(_CHUNK_S * sounds.RATE_HZ)
    said = _said(rng, talk, kind)
    for number in range(chunks):
        noise = cabins.cut(rng, size) if number % 4 else sounds.cabin(rng, _CHUNK_S)
        if kind == "noise":
            for _ in range(int(rng.integers(0, 6))):
                at = int(rng.integers(0, size - sounds.RATE_HZ))
                knock = sounds.burst(rng, rng.uniform(0.1, 0.9))
                noise[at : at + len(knock)] += np.float32(rng.uniform(1, 6)) * knock
        elif kind == "music":
            noise = noise * np.float32(rng.uniform(0.1, 0.6)) + sounds.music(rng, _CHUNK_S)[:size]
        else:
            noise = sounds.mix(_filled(rng, said, size), noise, snr_db=rng.uniform(5, 20))
        yield noise * np.float32(rng.uniform(0.02, 0.1))


def _said(rng: np.random.Generator, talk: Talk, kind: Kind) -> Iterator[Float32s]:
    """Sentences, or words, without end."""
    texts = talk.words if kind == "words" else talk.sentences
    while True:
        for clip in other_clips(rng, talk.language, talk.part, texts(rng, _TEXTS)):
            yield clip.samples


def _filled(rng: np.random.Generator, said: Iterator[Float32s], size: int) -> Float32s:
    sound = np.zeros(size, np.float32)
    at = round(rng.uniform(0.3, 1.0) * sounds.RATE_HZ)
    for samples in said:
        wet = sounds.echo(rng, samples)
        if at + len(wet) >= size:
            break
        sound[at : at + len(wet)] = wet
        at += len(wet) + round(rng.uniform(_GAP_S, 3 * _GAP_S) * sounds.RATE_HZ)
    return sound
