"""A question that the driver may answer on the page: what the page shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """number: names it in a form; name: the question's; said: what was said before it, in the language of the voice.

    text: the question; again: what was said to the words that were typed for it last, "" where there were none.
    intents: the answers that it knows.
    """

    number: int
    name: str
    said: str
    text: str
    again: str
    intents: Sequence[str]
