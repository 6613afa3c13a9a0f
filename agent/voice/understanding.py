"""Words to intent: keyword spotting with negation, over a lexicon that is data.

Deliberately small and inspectable: after a crash nobody wants a clever guess. Where the words contradict each other,
the answer listed first in the file wins, and the files list the more cautious one first.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as own
from typing import Annotated, Final

from msgspec import Meta, field

from agent.core.config import Section

TEXT_MAX: Final = 500  # characters looked at; more is no answer to a short question

_REACH_TOKENS: Final = 4  # a negation further off does not talk the cautious answer away
_TOKEN: Final = re.compile(r"[㐀-鿿豈-﫿]|[^\W_㐀-鿿豈-﫿]+|[^\w\s]+")
_APOSTROPHES: Final = str.maketrans("", "", "'\u2019\u2018\u02bc`\u00b4")

# How much the words are worth, as an order rather than a probability.
_CLEAR: Final = 1.0
_WEAK: Final = 0.7
_CONTRADICTORY: Final = 0.6
_WEAK_CONTRADICTORY: Final = 0.4

Text = Annotated[str, Meta(min_length=1, max_length=300)]
Phrase = Annotated[str, Meta(min_length=1, max_length=60)]


class Grammar(Section, frozen=True, kw_only=True):
    """Function words of one language. Phrases: Chinese as it is, English in lower case without apostrophes.

    denials: what takes back words that are asked back, besides negations, though some of it answers a question.
    """

    negations: list[Phrase]
    joins: list[Phrase]
    breaks: list[Phrase]
    neutral: list[Phrase]
    denials: list[Phrase] = field(default_factory=list)


class Answer(Section, frozen=True, kw_only=True):
    """One expected answer: phrases that count by themselves, phrases that count where nothing clearer was said.

    opposite: the answer that its phrases stand for when negated; of two answers the other one where it is left out, of
    more none. reply is said next; unsent in its place where nothing is passed on. follow_up: the question put then.
    """

    words: list[Phrase] = field(default_factory=list)
    weak: list[Phrase] = field(default_factory=list)
    opposite: str = ""
    reply: Text
    unsent: str = ""
    follow_up: str = ""


@dataclass(frozen=True, slots=True)
class Understanding:
    """intent is None where nothing was recognised. confidence 0..1 orders; it is not a probability."""

    intent: str | None
    confidence: float


@dataclass(slots=True)
class _Meaning:
    answer: int | None = None
    strong: bool = False
    negates: bool = False
    joins: bool = False
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every phrase of one question, by its tokens. opposites: by answer, the answer that its negation stands for."""

    intents: tuple[str, ...]
    opposites: tuple[int | None, ...]
    meanings: Mapping[tuple[str, ...], _Meaning]
    longest: int


def compile_lexicon(answers: Mapping[str, Answer], grammar: Grammar) -> Lexicon:
    """Build the lexicon of one question. Raises ValueError naming what is wrong with an answer."""
    meanings: dict[tuple[str, ...], _Meaning] = {}
    for phrase in grammar.neutral:
        _entry(meanings, phrase)
    for phrase in grammar.breaks:
        _entry(meanings, phrase).breaks = True
    for phrase in grammar.joins:
        _entry(meanings, phrase).joins = True
    for phrase in grammar.negations:
        _entry(meanings, phrase).negates = True
    for number, answer in enumerate(answers.values()):
        for strong, phrases in ((True, answer.words), (False, answer.weak)):
            for phrase in phrases:
                meaning = _entry(meanings, phrase)
                if meaning.answer not in (None, number):
                    raise ValueError(f"{phrase!r} stands for two answers")
                meaning.answer, meaning.strong = number, meaning.strong or strong
    opposites = tuple(_opposite(intent, list(answers), answer.opposite) for intent, answer in answers.items())
    return Lexicon(tuple(answers), opposites, meanings, max(map(len, meanings), default=0))


def understand(text: str, lexicon: Lexicon) -> Understanding:
    """Find the intent behind any text. Pure; never raises."""
    votes = _Votes(lexicon.opposites)
    for clause in clauses_of(text):
        _judge_clause(clause, lexicon, votes)
    for found, clear, contradictory in (
        (votes.strong, _CLEAR, _CONTRADICTORY),
        (votes.weak, _WEAK, _WEAK_CONTRADICTORY),
    ):
        if found:
            return Understanding(lexicon.intents[min(found)], clear if len(found) == 1 else contradictory)
    return Understanding(None, 0.0)


@dataclass(slots=True)
class _Votes:
    opposites: Sequence[int | None]
    strong: set[int] = own(default_factory=set)
    weak: set[int] = own(default_factory=set)

    def add(self, answer: int, *, strong: bool, negated: bool = False) -> None:
        """Count a phrase. Negated it speaks for its answer's opposite, or for none."""
        counted = self.opposites[answer] if negated else answer
        if counted is not None:
            (self.strong if strong else self.weak).add(counted)


def _opposite(intent: str, intents: Sequence[str], named: str) -> int | None:
    if named:
        if named not in intents or named == intent:
            raise ValueError(f"{named!r} is no opposite of {intent!r}")
        return intents.index(named)
    return 1 - intents.index(intent) if len(intents) == 2 else None


def _judge_clause(tokens: Sequence[str], lexicon: Lexicon, votes: _Votes) -> None:
    """Read one clause from left to right, always taking the longest phrase that fits."""
    negations = 0
    negated_at = 0
    bare: int | None = None
    carried = False
    aside = False  # "no I am not": the first negation is an answer by itself
    denied: int | None = None  # the answer whose phrase was negated last
    place = 0
    while place < len(tokens):
        size, meaning = _longest(tokens, place, lexicon)
        place += size
        if meaning is None:
            continue
        if meaning.breaks:
            _settle_bare(bare, votes)
            negations, bare, carried, denied, aside = 0, None, False, None, False
        elif meaning.negates:
            aside |= bare is not None and place - size > negated_at
            negations, negated_at, bare = negations + 1, place, meaning.answer
        elif meaning.joins:
            negations, negated_at = (1, place) if carried else (negations, negated_at)
        elif meaning.answer is not None:
            far = place - size - negated_at > _REACH_TOKENS
            odd = (negations - (aside and meaning.answer != 0)) % 2 == 1
            carried = odd and not (far and meaning.answer == 0)
            if negations == 0 and not far and meaning.answer == denied != 0:
                carried = True  # "need a garage" is one thing; only the cautious answer is believed at its second word
            votes.add(meaning.answer, strong=meaning.strong, negated=carried)
            denied = meaning.answer if carried else None
            negations, bare, aside = 0, None, False
    _settle_bare(bare, votes)


def _settle_bare(answer: int | None, votes: _Votes) -> None:
    """A negation that belonged to nothing is an answer of its own: "no", "不"."""
    if answer is not None:
        votes.add(answer, strong=False)


def _longest(tokens: Sequence[str], place: int, lexicon: Lexicon) -> tuple[int, _Meaning | None]:
    for size in range(min(lexicon.longest, len(tokens) - place), 0, -1):
        meaning = lexicon.meanings.get(tuple(tokens[place : place + size]))
        if meaning is not None:
            return size, meaning
    return 1, None


def _entry(meanings: dict[tuple[str, ...], _Meaning], phrase: str) -> _Meaning:
    tokens = tuple(token for clause in clauses_of(phrase) for token in clause)
    if not tokens:
        raise ValueError(f"{phrase!r} has no word in it")
    return meanings.setdefault(tokens, _Meaning())


def clauses_of(text: str) -> Iterable[list[str]]:
    """Split text at its punctuation; a token is a Chinese character or a word in lower case without apostrophes."""
    plain = unicodedata.normalize("NFKC", text[:TEXT_MAX]).casefold().translate(_APOSTROPHES)
    clause: list[str] = []
    for token in _TOKEN.findall(plain):
        if token[0].isalnum():
            clause.append(token)
        elif clause:
            yield clause
            clause = []
    if clause:
        yield clause
