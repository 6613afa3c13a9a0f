"""What a driver says of his own accord: topic, sentiment, urgency and intent, by lists of words that are data.

Deliberately plain, like `understanding`: phrases are looked for in clauses, a topic counts its phrases, and no word is
worth more than a person reading the file would expect. firmware_config/understanding/en.toml tells what the lists mean.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import and_
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta

from agent.core.errors import ConfigError
from agent.core.paths import UNDERSTANDING
from agent.core.ports import Language
from agent.core.section import Section
from agent.core.toml import load_toml
from agent.voice.understanding import Phrase, clauses_of

Sentiment = Literal["negative", "neutral", "positive"]
Urgency = Literal["now", "soon", "can_wait"]

PRAISE: Final = "praise"
COMPLAINT: Final = "complaint"
REPORT: Final = "report"
STATEMENT: Final = "statement"

_REACH: Final = 3  # words, or Chinese characters, between a negation and what it negates
_WORDS: Final = 3.0  # points of a phrase that says a topic alone
_TOGETHER: Final = 3.0  # of subject and trouble in one clause
_APART: Final = 2.0  # of both in one text
_SURE: Final = 3.0
_HAN: Final = re.compile(r"[㐀-鿿豈-﫿]")

Phrases = list[Annotated[Phrase, Meta(pattern=r"^[^*]+\*?$")]]


@dataclass(frozen=True, slots=True)
class FreeMeaning:
    """topic: a key of the file, None where it is about none of them. confidence 0..1 orders the topic's evidence.

    intent: a key of the file, or praise, complaint (about people and prices), report (on the car), statement.
    """

    topic: str | None
    sentiment: Sentiment
    urgency: Urgency
    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class FreeWords:
    """Both languages, checked against each other."""

    languages: Mapping[Language, "_Book"]

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that understand_free may name."""
        return tuple(self.languages["zh"].topics)

    @property
    def intents(self) -> tuple[str, ...]:
        """Every intent that understand_free may name."""
        return (*self.languages["zh"].intents, PRAISE, COMPLAINT, REPORT, STATEMENT)

    def understand_free(self, text: str, language: Language) -> FreeMeaning:
        """Read any text. Pure; never raises."""
        return _understand(text, self.languages[language])


def load_free_words(directory: Path = UNDERSTANDING) -> FreeWords:
    """Read zh.toml and en.toml. Raises ConfigError naming file and key."""
    books = {language: _load_book(directory / f"{language}.toml", language) for language in get_args(Language)}
    zh, en = books["zh"], books["en"]
    for what, ours, theirs in (("topics", zh.topics, en.topics), ("intents", zh.intents, en.intents)):
        if list(ours) != list(theirs):
            raise ConfigError(f"{what}: other ones, or in another order, than in zh.toml", path=directory / "en.toml")
    for name, topic in zh.topics.items():
        twin = en.topics[name]
        if (topic.urgent, topic.bad, topic.service) != (twin.urgent, twin.bad, twin.service):
            reason = f"topics.{name}: urgency, bad or service is other than in zh.toml"
            raise ConfigError(reason, path=directory / "en.toml")
    return FreeWords(books)


def pattern_of(phrase: str) -> str:
    """What finds a phrase in a text as `joined` makes it: its plural too, and any ending where it has a "*"."""
    stem = phrase.removesuffix("*")
    spelt = re.escape(_plain(stem))
    if _HAN.search(spelt):
        return spelt
    return rf"(?<!\w){spelt}" + (r"\w*" if stem != phrase else r"s?(?!\w)")


def joined(tokens: Sequence[str]) -> str:
    """Words apart, Chinese characters not: "abs灯"."""
    text = " ".join(tokens)
    return re.sub(rf"(?<={_HAN.pattern}) | (?={_HAN.pattern})", "", text)


def distance(between: str) -> int:
    """Words, or Chinese characters, in what stands between."""
    return len(_HAN.findall(between)) or len(between.split())


class _UrgencySpec(Section, frozen=True, kw_only=True):
    now: Phrases
    soon: Phrases


class _TopicSpec(Section, frozen=True, kw_only=True):
    words: Phrases
    about: Phrases
    trouble: Phrases
    urgency: Literal["", "soon"] = ""
    bad: bool = False
    service: bool = False


class _File(Section, frozen=True, kw_only=True):
    language: Language
    negations: Phrases
    neutral: Phrases
    over: Phrases
    positive: Phrases
    negative: Phrases
    urgency: _UrgencySpec
    intents: dict[str, Phrases]
    topics: dict[str, _TopicSpec]


@dataclass(frozen=True, slots=True)
class _Topic:
    words: re.Pattern[str]
    about: re.Pattern[str]
    trouble: re.Pattern[str]
    urgent: bool
    bad: bool
    service: bool


@dataclass(frozen=True, slots=True)
class _Book:
    tone: re.Pattern[str]
    danger: re.Pattern[str]
    wish: re.Pattern[str]
    intents: tuple[str, ...]
    topics: Mapping[str, _Topic]


def _load_book(path: Path, language: Language) -> _Book:
    file = load_toml(path, _File)
    if file.language != language:
        raise ConfigError(f"language: is {file.language!r}, the name says {language!r}", path=path)
    plain = {"neutral": file.neutral, "negation": file.negations, "over": file.over}
    for name in file.intents:
        if not name.isidentifier():
            raise ConfigError(f"intents.{name}: a name is made of letters, digits and _", path=path)
    return _Book(
        tone=_any_of(plain | {"positive": file.positive, "negative": file.negative}),
        danger=_any_of(plain | {"now": file.urgency.now, "soon": file.urgency.soon}),
        wish=_any_of({"neutral": file.neutral} | file.intents),
        intents=tuple(file.intents),
        topics={
            name: _Topic(
                words=_any_of({"words": spec.words}),
                about=_any_of({"about": spec.about}),
                trouble=_any_of({"trouble": spec.trouble}),
                urgent=spec.urgency == "soon",
                bad=spec.bad,
                service=spec.service,
            )
            for name, spec in file.topics.items()
        },
    )


def _any_of(lists: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """One pattern that finds the longest phrase at each place; the group's name is the list it stands in."""
    longest_first = sorted(
        ((len(phrase), name, pattern_of(phrase)) for name, phrases in lists.items() for phrase in phrases), reverse=True
    )
    return re.compile("|".join(f"(?P<{name}_{n}>{pattern})" for n, (_, name, pattern) in enumerate(longest_first)))


def _plain(text: str) -> str:
    return " ".join(map(joined, clauses_of(text)))


def _understand(text: str, book: _Book) -> FreeMeaning:
    clauses = [joined(tokens) for tokens in clauses_of(text)]
    name, points = _topic(clauses, book.topics)
    topic = None if name is None else book.topics[name]
    sentiment = _sentiment(clauses, book.tone)
    if sentiment is None:
        sentiment = "negative" if topic is not None and topic.bad else "neutral"
    urgency: Urgency = "can_wait"
    dangers = {kind for clause in clauses for kind, negated in _judged(clause, book.danger) if not negated}
    if "now" in dangers:
        urgency = "now"
    elif "soon" in dangers or (topic is not None and topic.urgent and sentiment == "negative"):
        urgency = "soon"
    wishes = {kind for clause in clauses for kind, _ in _found(clause, book.wish)}
    intent = next((intent for intent in book.intents if intent in wishes), None)
    if intent is None:
        trouble = COMPLAINT if topic is not None and topic.service else REPORT
        intent = {"positive": PRAISE, "negative": trouble, "neutral": STATEMENT}[sentiment]
    return FreeMeaning(name, sentiment, urgency, intent, round(min(1.0, points / _SURE), 2))


def _topic(clauses: Sequence[str], topics: Mapping[str, _Topic]) -> tuple[str | None, float]:
    """The topic with the most evidence; of equal ones the first."""
    best, most = None, 0.0
    for name, topic in topics.items():
        about = [bool(topic.about.search(clause)) for clause in clauses]
        trouble = [bool(topic.trouble.search(clause)) for clause in clauses]
        phrases = {match[0] for clause in clauses for match in topic.words.finditer(clause)}
        points = _WORDS * len(phrases)
        if any(map(and_, about, trouble)):
            points += _TOGETHER
        elif any(about) and any(trouble):
            points += _APART
        if points > most:
            best, most = name, points
    return best, most


def _sentiment(clauses: Iterable[str], tone: re.Pattern[str]) -> Sentiment | None:
    """None where nothing was said either way; trouble weighs more than as much praise."""
    votes = {"positive": 0, "negative": 0}
    for clause in clauses:
        for kind, turned in _judged(clause, tone):
            if turned:
                kind = "negative" if kind == "positive" else "positive"  # noqa: PLW2901  # what it means here
            votes[kind] += 1
    if not any(votes.values()):
        return None
    return "positive" if votes["positive"] > votes["negative"] else "negative"


def _judged(clause: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, bool]]:
    """Lists found in a clause, and whether a negation shortly before, or that it is over, turns them round."""
    found = list(_found(clause, pattern))
    over = any(kind == "over" for kind, _ in found)
    negated_at: int | None = None
    for kind, match in found:
        if kind == "negation":
            negated_at = match.end()
        elif kind not in ("neutral", "over"):
            negated = negated_at is not None and distance(clause[negated_at : match.start()]) <= _REACH
            yield kind, negated or (over and kind != "positive")
            negated_at = None
    if over and not any(kind in ("positive", "negative", "now", "soon") for kind, _ in found):
        yield "negative", True


def _found(clause: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    for match in pattern.finditer(clause):
        yield (match.lastgroup or "").rpartition("_")[0], match
