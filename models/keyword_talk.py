"""What people say in a car that is no reply: words, sentences, nonsense; for the keyword model to refuse.

Words are those of dictionaries, which for Chinese comes with pypinyin and for English is Debian's wamerican-small.
Sentences are those of simulators/chatter, and rows of words. What sounds like a reply is not among them.
"""

import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from agent.core.errors import InputError
from agent.core.ports import Language
from drivers.keyword_replies import Keywords
from drivers.pinyin import to_pinyin
from simulators import sounds
from simulators.voices import Part, phonemes

_CHATTER: Final = Path(sounds.__file__).with_name("chatter")
DICTIONARY: Final = Path("/usr/share/dict/american-english-small")
_LONGEST: Final[dict[Language, int]] = {"zh": 4, "en": 11}  # of a word, in characters
# Of sentences, those that mean something: rows of words sound more various, but nobody talks like that.
_MEANT: Final[dict[Part, float]] = {"training": 0.67, "validation": 1.0, "test": 1.0}
_WORDS_OF_SENTENCE: Final[dict[Language, tuple[int, int]]] = {"zh": (2, 6), "en": (2, 9)}


@cache
def chatter(language: Language, part: Part, what: Literal["words", "sentences"]) -> Sequence[str]:
    """What people say that is no reply, as it was written for one part."""
    with (_CHATTER / f"{part}.{language}.toml").open("rb") as file:
        return tuple(tomllib.load(file)[what])


class Talk:
    """What is no reply in one language, for one part. The test hears what was written for it, the others more."""

    def __init__(self, keywords: Keywords, part: Part) -> None:
        self.language: Language = keywords.language
        self.part: Part = part
        self._wordings = sorted({wording for reply in keywords.replies.values() for wording in reply.wordings})
        self._replies = set(_sounds_of(self._wordings, self.language))
        self._words = chatter(self.language, part, "words")
        self._sentences = chatter(self.language, part, "sentences")
        if part != "test":
            self._words = self._unlike_replies([*self._words, *_dictionary(self.language, part)])

    def words(self, rng: np.random.Generator, count: int) -> list[str]:
        """So many words, each by itself."""
        return [self._words[n] for n in rng.integers(0, len(self._words), count)]

    def sentences(self, rng: np.random.Generator, count: int) -> list[str]:
        """So many sentences; every third of training is a row of words without a meaning."""
        return [self._sentence(rng) for _ in range(count)]

    def rows(self, rng: np.random.Generator, count: int) -> list[str]:
        """So many rows of two or three words, as short as the longest replies."""
        return [self._glue.join(self.words(rng, int(rng.integers(2, 4)))) for _ in range(count)]

    def nonsense(self, rng: np.random.Generator, count: int) -> list[str]:
        """At most so many rows of syllables of replies and words: what is near to a reply, and none."""
        chinese = self.language == "zh"
        split: Callable[[str], Iterable[str]] = tuple if chinese else str.split
        of_replies = [part for wording in self._wordings for part in split(wording)]

        def mixed() -> str:
            parts = []
            for _ in range(int(rng.integers(1, 6 if chinese else 4))):
                pool = of_replies if rng.random() < 0.6 else [*split(self.words(rng, 1)[0])]
                parts.append(pool[int(rng.integers(0, len(pool)))])
            return self._glue.join(parts)

        return self._unlike_replies(mixed() for _ in range(count))

    def _sentence(self, rng: np.random.Generator) -> str:
        if rng.random() < _MEANT[self.part]:
            return self._sentences[int(rng.integers(0, len(self._sentences)))]
        low, high = _WORDS_OF_SENTENCE[self.language]
        return self._glue.join(self.words(rng, int(rng.integers(low, high + 1))))

    def _unlike_replies(self, texts: Iterable[str]) -> list[str]:
        """Those that are not said as a reply is, nor hold one of several syllables."""
        texts = [*dict.fromkeys(texts)]
        longer = [wording for wording in self._wordings if len(wording.split() if self._glue else wording) > 1]
        unlike = []
        for text, sound in zip(texts, _sounds_of(texts, self.language), strict=True):
            held = f"{self._glue}{text}{self._glue}"
            if sound not in self._replies and not any(f"{self._glue}{one}{self._glue}" in held for one in longer):
                unlike.append(text)
        return unlike

    @property
    def _glue(self) -> str:
        return "" if self.language == "zh" else " "


def _dictionary(language: Language, part: Part) -> Iterator[str]:
    """Words of a dictionary that chatter has for no other part: of 24, one for validation and eight for training."""
    others: list[Part] = [other for other in get_args(Part) if other != part]
    asked = {word for other in others for word in chatter(language, other, "words")}
    drawn = range(1) if part == "validation" else range(1, 9)
    for word in _all_words(language):
        if len(word) <= _LONGEST[language] and zlib.crc32(word.encode()) % 24 in drawn and word not in asked:
            yield word


@cache
def _all_words(language: Language) -> Sequence[str]:
    if language == "zh":
        # Not above: drivers.pinyin must come first and tell pypinyin to read without its phrases.
        from pypinyin.phrases_dict import phrases_dict  # noqa: PLC0415

        return sorted(phrases_dict)
    try:
        lines = DICTIONARY.read_text(encoding="utf-8").split()
    except OSError as exc:
        raise InputError(f"{DICTIONARY}: {exc.strerror} (Debian: apt install wamerican-small)") from exc
    return [line for line in lines if line.isascii() and line.isalpha() and line.islower() and len(line) > 1]


def _sounds_of(texts: Sequence[str], language: Language) -> list[str]:
    """How each is read aloud: pinyin, or phonemes without the stress."""
    return [to_pinyin(text) for text in texts] if language == "zh" else phonemes(texts)
