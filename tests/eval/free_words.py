"""How many free sentences are read as a person reads them; the sentences stand in free_words_{zh,en}.tsv.

The word lists were mended by the odd sentences; the even ones are kept, and they alone give the accuracy.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.core.ports import Language
from agent.voice.free_words import load_free_words

ASPECTS: Final = ("topic", "sentiment", "urgency", "intent")


def sentences(language: Language) -> Iterator[tuple[str, dict[str, str | None]]]:
    """What is said, and what a person takes it for."""
    path = Path(__file__).with_name(f"free_words_{language}.tsv")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            text, *wanted = line.split("\t")
            yield text, {aspect: None if value == "-" else value for aspect, value in zip(ASPECTS, wanted, strict=True)}


def accuracy(language: Language) -> dict[str, float]:
    """The share of the kept sentences that are right, by aspect."""
    words = load_free_words()
    right: Counter[str] = Counter()
    count = 0
    for text, wanted in list(sentences(language))[1::2]:
        meaning = words.understand_free(text, language)
        count += 1
        right.update(aspect for aspect in ASPECTS if getattr(meaning, aspect) == wanted[aspect])
    return {aspect: right[aspect] / count for aspect in ASPECTS}
