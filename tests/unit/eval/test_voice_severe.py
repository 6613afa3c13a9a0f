from collections.abc import Iterator

import numpy as np
import pytest

from agent.core.ports import Heard
from tests.eval import voice_severe
from tests.eval.voice_severe import severe_trials


class Sounds:
    """What is heard of each stretch, and of which kind and length it was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *heard: str | None) -> None:
        self.kinds: list[int] = []
        self.seconds: set[float] = set()
        self.draws: list[float] = []
        self._heard: Iterator[str | None] = iter(heard)
        monkeypatch.setattr(voice_severe, "make_cabins", lambda _rng, _count: None)
        monkeypatch.setattr(voice_severe, "_sound", self._sound)
        monkeypatch.setattr(voice_severe, "_listen", self._listen)

    def _sound(self, rng: np.random.Generator, cabins: object, number: int, size: int) -> None:
        assert cabins is None
        self.kinds.append(number)
        self.seconds.add(size / 16_000)
        self.draws.append(rng.random())

    def _listen(self, _model: object, _sound: object) -> Heard | None:
        text = next(self._heard)
        return None if text is None else Heard(text, 0.9)


def test_a_trial_is_the_talk_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = Sounds(monkeypatch, None, "没事", None, "没事", "是的", "太慢", "太慢", "没有撞", "救命", "救命")
    assert severe_trials({"zh": None}, 6, seed=5) == {
        "severe_cancelled": 1,
        "severe_confirmations": 3,
        "severe_words": 5,
        "severe_trials": 6,
    }
    assert sounds.kinds == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5], "who listens again listens to the same wreck"
    assert sounds.seconds == {15.0}
    assert len(set(sounds.draws)) == 10, "but to another stretch of it"


def test_another_seed_draws_other_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = []
    for seed in (1, 1, 2):
        sounds = Sounds(monkeypatch, None, None)
        severe_trials({"zh": None, "en": None}, 2, seed=seed)
        draws.append(sounds.draws)
    assert draws[0] == draws[1] != draws[2]


def test_both_languages_hear_every_kind_of_wreck_and_take_words_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = Sounds(monkeypatch, *[None] * 5, "I'm fine", "yes", *[None] * 4)
    figures = severe_trials({"zh": None, "en": None}, 10, seed=5)
    assert figures["severe_cancelled"] == 1
    assert sounds.kinds == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
