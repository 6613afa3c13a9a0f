"""Severe collisions that nobody answers: silence, noise and music through microphone logic and dialogue.

A trial is the whole talk: as often as the dialogue asks again or asks back, the same wreck is listened to anew for the
whole time for an answer. It is cancelled where the dialogue ends with a word that all is well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.core.config import Voice
from agent.core.events import Collision
from agent.core.paths import PROMPTS
from agent.core.ports import Heard, Language
from agent.voice.dialog import Dialog
from agent.voice.prompts import load_phrases
from agent.voice.questions import Question
from drivers.keyword_features import Float32s, log_mel, model_input
from drivers.keyword_segments import Segmenter
from models.keyword_speech import make_cabins
from simulators import sounds

QUESTION: Final = "all_right_severe"
_KINDS: Final = 5  # of wrecks
_CRASH: Final = Collision(t_ns=0, delta_v_kmh=42.0, duration_ms=120.0, peak_mps2=240.0, stationary=False)


def severe_trials(models: Mapping[Language, Any], count: int, *, seed: int) -> dict[str, int]:
    """models: as tests.eval.voice.Model, which take turns after every five trials.

    How many trials were cancelled, how many were asked back to confirm a word, and how many heard any word at all.
    """
    rng = np.random.default_rng(seed)
    cabins = make_cabins(rng, 40)
    phrases = load_phrases(PROMPTS)
    languages = sorted(models, reverse=True)
    size = round(Voice().answer_timeout_s * sounds.RATE_HZ)
    cancelled = confirmations = words = 0
    for number in range(count):
        language = languages[number // _KINDS % len(languages)]
        question = phrases.languages[language].questions[QUESTION]

        def listen(language: Language = language, number: int = number) -> Heard | None:
            return _listen(models[language], _sound(rng, cabins, number, size))

        talk = _talk(question, language, listen)
        words += talk.heard
        confirmations += talk.asked_back
        cancelled += talk.intent in question.confirms
    return {
        "severe_cancelled": cancelled,
        "severe_confirmations": confirmations,
        "severe_words": words,
        "severe_trials": count,
    }


@dataclass(frozen=True, slots=True)
class _Talk:
    intent: str
    heard: bool
    asked_back: bool


def _talk(question: Question, language: Language, listen: Callable[[], Heard | None]) -> _Talk:
    """Put the question until there is an outcome."""
    dialog = Dialog(question, about=_CRASH, language=language)
    any_word = asked_back = False
    while True:
        heard = listen()
        any_word |= heard is not None
        turn = dialog.hear(heard, asked_ns=0, t_ns=1)
        if turn.feedback is not None:
            return _Talk(turn.feedback.intent, any_word, asked_back)
        asked_back |= turn.text in question.confirms.values()


def _sound(rng: np.random.Generator, cabins: Any, number: int, size: int) -> Float32s:
    """A wreck: nothing at all, hiss, a running engine with things that fall, a horn that sticks, the radio."""
    kind = number % _KINDS
    if kind == 0:
        return np.zeros(size, np.float32)
    if kind == 1:
        return rng.normal(0, 10 ** rng.uniform(-4, -1.5), size).astype(np.float32)
    noise: Float32s = cabins.cut(rng, size, music=1.0 if kind == 4 else 0.0)
    for _ in range(int(rng.integers(0, 8))):
        burst = sounds.burst(rng, rng.uniform(0.1, 1.2))
        at = int(rng.integers(0, size - len(burst)))
        noise[at : at + len(burst)] += np.float32(rng.uniform(0.5, 8)) * burst
    return np.asarray(noise * 10 ** rng.uniform(-2.5, -1), np.float32)


def _listen(model: Any, sound: Float32s) -> Heard | None:
    for stretch in Segmenter().update(log_mel(sound)):
        if stretch.short:
            answer = model.score(model_input(stretch.frames, model.manifest.steps))[0]
            heard: Heard | None = model.keywords.read(answer.tolist(), model.manifest)
            if heard is not None:
                return heard
    return None
