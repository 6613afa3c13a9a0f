"""The replies that the keyword model knows, and what is read from its answer. Data: firmware_config/keywords."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, get_args

from msgspec import Meta

from agent.core.errors import ConfigError
from agent.core.manifest import KeywordManifest
from agent.core.paths import KEYWORDS
from agent.core.ports import Heard, Language
from agent.core.section import Section
from agent.core.toml import load_toml

Phrase = Annotated[str, Meta(min_length=1, max_length=60)]

OTHER: Final = "other"  # the model's last answer: none of the replies


class Reply(Section, frozen=True, kw_only=True):
    """text is what the dialogue takes as said, wordings are what was trained.

    sure: how sure the model must be at least, whatever its own threshold.
    """

    text: Phrase
    wordings: Annotated[list[Phrase], Meta(min_length=1, max_length=16)]
    sure: Annotated[float, Meta(ge=0, le=1)] = 0.5


class _File(Section, frozen=True, kw_only=True):
    language: Language
    replies: Annotated[dict[str, Reply], Meta(min_length=2, max_length=64)]


@dataclass(frozen=True, slots=True)
class Keywords:
    """The replies of one language, by name."""

    language: Language
    replies: Mapping[str, Reply]

    def thresholds(self, manifest: KeywordManifest) -> list[float]:
        """What each label is held to, in the manifest's order."""
        own = manifest.threshold
        return [max(own, self.replies[label].sure) if label in self.replies else own for label in manifest.labels]

    def read(self, answers: Sequence[float], manifest: KeywordManifest) -> Heard | None:
        """What was said, None where the model is not sure enough that it was any reply."""
        best = max(range(len(manifest.labels)), key=lambda place: answers[place])
        label, sure = manifest.labels[best], answers[best]
        if label == OTHER or sure < self.thresholds(manifest)[best]:
            return None
        return Heard(self.replies[label].text, confidence=min(1.0, round(float(sure), 3)))


def load_keywords(directory: Path = KEYWORDS) -> Mapping[Language, Keywords]:
    """Read zh.toml and en.toml. Raises ConfigError naming file and key."""
    books: dict[Language, Keywords] = {}
    for language in get_args(Language):
        path = directory / f"{language}.toml"
        file = load_toml(path, _File)
        if file.language != language:
            raise ConfigError(f"language: is {file.language!r}, the name says {language!r}", path=path)
        if OTHER in file.replies:
            raise ConfigError(f"replies.{OTHER}: is what no reply is called", path=path)
        books[language] = Keywords(language, file.replies)
    if list(books["zh"].replies) != list(books["en"].replies):
        raise ConfigError("replies: other ones, or in another order, than in zh.toml", path=directory / "en.toml")
    return books


def check_model(manifest: KeywordManifest, keywords: Keywords) -> str:
    """Why the model does not go with the replies; empty where it does."""
    wanted = [*keywords.replies, OTHER]
    if manifest.labels != wanted:
        odd = sorted(set(manifest.labels) ^ set(wanted))
        return f"{manifest.name} was trained on other replies than firmware_config/keywords has: {', '.join(odd)}"
    return ""
