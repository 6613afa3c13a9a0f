"""What a mistyped name was meant to be."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_LISTED_MAX: Final = 20


def guess(name: str, known: Collection[str], *, otherwise: str = "") -> str:
    """The end of an error's line: the known name most like it; else all where they are few; else `otherwise`."""
    near = get_close_matches(name, known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(sorted(known))}" if len(known) <= _LISTED_MAX else otherwise
