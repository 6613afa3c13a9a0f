"""What a driver says about his consents: which he takes back, or that he wants to know. Words to a wish; pure.

Taking back must be as easy as agreeing, so a clear sentence is enough; and since it ends what may help him, less than
that changes nothing. Nobody agrees by voice: that needs a notice before his eyes. Data: firmware_config/consent.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta

from agent.core.event_base import Purpose
from agent.core.paths import CONSENT
from agent.core.ports import Language
from agent.core.section import Section
from agent.core.toml import load_toml
from agent.voice.free_words import distance, joined, pattern_of
from agent.voice.understanding import Phrase, clauses_of

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

_GAP: Final = "…"
_GAP_MAX: Final = 24  # characters between the parts of a phrase
_REACH: Final = 4  # words, or Chinese characters, between "not" and what it turns round

Phrases = Annotated[list[Phrase], Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class ConsentWish:
    """purposes: those that are taken back; empty where he did not say which, and where he only wants to know."""

    what: Literal["take_back", "tell"]
    purposes: tuple[Purpose, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsentWords:
    """The phrases of all languages."""

    languages: Mapping[Language, "_Book"]

    def read(self, text: str, language: Language) -> ConsentWish | None:
        """Read any text; None where it is not about that. Never raises."""
        book = self.languages[language]
        clauses = [part for tokens in clauses_of(text) for part in _parts(joined(tokens), book)]
        taking = [clause for clause in clauses if _takes_back(clause, book)]
        if taking:
            return ConsentWish("take_back", _wanted(taking, clauses, book))
        return ConsentWish("tell") if any(book.tell.search(clause) for clause in clauses) else None


def load_consent_words(path: Path = CONSENT / "spoken.toml") -> ConsentWords:
    """Raises ConfigError naming file and key."""
    file = load_toml(path, _File)
    return ConsentWords({language: _make_book(file, language) for language in get_args(Language)})


class _Spoken(Section, frozen=True, kw_only=True):
    zh: Phrases
    en: Phrases


class _Purposes(Section, frozen=True, kw_only=True):
    claims: _Spoken
    safety: _Spoken
    service: _Spoken
    ubi_score: _Spoken
    feedback: _Spoken
    diagnostics: _Spoken
    audio: _Spoken


class _File(Section, frozen=True, kw_only=True):
    take_back: _Spoken
    tell: _Spoken
    turned: _Spoken
    neutral: _Spoken
    asking: _Spoken
    excepting: _Spoken
    keeping: _Spoken
    but: _Spoken
    everything: _Spoken
    purposes: _Purposes


@dataclass(frozen=True, slots=True)
class _Book:
    take_back: re.Pattern[str]
    tell: re.Pattern[str]
    turned: re.Pattern[str]
    neutral: re.Pattern[str]
    asking: re.Pattern[str]
    excepting: re.Pattern[str]
    keeping: re.Pattern[str]
    but: re.Pattern[str]
    everything: re.Pattern[str]
    names: re.Pattern[str]
    named: Mapping[str, frozenset[Purpose]]  # by group of names


def _make_book(file: _File, language: Language) -> _Book:
    def any_of(spoken: _Spoken) -> re.Pattern[str]:
        return _any_of(phrases_of(spoken))

    def phrases_of(spoken: _Spoken) -> Sequence[str]:
        return spoken.zh if language == "zh" else spoken.en

    owners: dict[str, set[Purpose]] = {}
    for purpose in PURPOSES:
        for phrase in phrases_of(getattr(file.purposes, purpose)):
            owners.setdefault(phrase, set()).add(purpose)
    groups = {f"n{number}": phrase for number, phrase in enumerate(_longest_first(owners))}
    return _Book(
        take_back=any_of(file.take_back),
        tell=any_of(file.tell),
        turned=any_of(file.turned),
        neutral=any_of(file.neutral),
        asking=any_of(file.asking),
        excepting=any_of(file.excepting),
        keeping=any_of(file.keeping),
        but=any_of(file.but),
        everything=any_of(file.everything),
        names=re.compile("|".join(f"(?P<{group}>{_pattern(phrase)})" for group, phrase in groups.items())),
        named={group: frozenset(owners[phrase]) for group, phrase in groups.items()},
    )


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_pattern, _longest_first(phrases))))


def _longest_first(phrases: Iterable[str]) -> list[str]:
    return sorted(phrases, key=len, reverse=True)


def _pattern(phrase: str) -> str:
    return f".{{0,{_GAP_MAX}}}?".join(map(pattern_of, phrase.split(_GAP)))


def _parts(clause: str, book: _Book) -> list[str]:
    """A clause, cut where "but" begins another one; "all but" does not."""
    excepted = [match.span() for match in book.excepting.finditer(clause)]
    found = [match.start() for match in book.but.finditer(clause)]
    cuts = [at for at in found if not any(first <= at < end for first, end in excepted)]
    return [clause[first:end].strip() for first, end in pairwise([0, *cuts, len(clause)])]


def _takes_back(clause: str, book: _Book) -> bool:
    plain = book.neutral.sub(" ", clause)
    found = book.take_back.search(plain)
    if found is None or book.asking.search(plain):
        return False
    before = plain[: found.start()]
    return not any(distance(before[turn.end() :]) <= _REACH for turn in book.turned.finditer(before))


def _wanted(taking: Sequence[str], clauses: Sequence[str], book: _Book) -> tuple[Purpose, ...]:
    """Which purposes: of their own names and "everything" in the clauses that take back the names count."""
    others = [clause for clause in clauses if clause not in taking]
    kept = [clause for clause in others if book.keeping.search(clause) or book.but.match(clause)]
    spared = kept + [clause for clause in clauses if book.excepting.search(clause)]
    plain = [clause for clause in clauses if clause not in spared]
    everything = any(book.everything.search(clause) for clause in taking)
    clear = [clause for clause in taking if clause in plain]
    named = _named(clear, book)
    mixed = any(book.keeping.search(book.take_back.sub("", clause)) for clause in clear)
    if mixed and (everything or len(named) > 1):
        return ()  # "stop sending my score and keep my answers": who goes by the order is wrong half the time
    if not named and not everything:
        named = _named(plain, book)
    if not named and (everything or any(book.everything.search(clause) for clause in plain)):
        named = set(PURPOSES)
    named -= _named(spared, book)
    return tuple(purpose for purpose in PURPOSES if purpose in named)


def _named(clauses: Sequence[str], book: _Book) -> set[Purpose]:
    found = (match.lastgroup for clause in clauses for match in book.names.finditer(clause))
    return {purpose for group in found if group for purpose in book.named[group]}
