"""Scenes that an answer calls for: an answer must not lead to the question that it answers, or the talk never ends.

Silence is an answer too, and feedback is graver than what the limit of an hour is for: nothing else would stop it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.core.events import Feedback
from agent.voice.conditions import Condition
from agent.voice.dialog import FREE_WORDS

_KIND: Final = str(Feedback.__struct_config__.tag)


@dataclass(frozen=True, slots=True)
class Call:
    """An event that calls for a question, "" for none."""

    event: str
    where: Mapping[str, Condition]
    asked: str


def find_loop(calls: Iterable[Call], follow_ups: Mapping[str, Collection[str]]) -> tuple[int, str] | None:
    """The place of the first call by an answer that is wrong, and why; None if none is. follow_ups: by question.

    Of the calls that make a loop the last is told: it is the one that closes it.
    """
    leads = {name: set(names) for name, names in follow_ups.items()}
    for place, call in enumerate(calls):
        if call.event.partition(".")[0] != _KIND:
            continue
        answered = _answered(call)
        if not answered:
            return place, f'where: name the questions whose answers call for it: {{ question = "{FREE_WORDS}" }}'
        for name in answered:
            if name != FREE_WORDS and name not in follow_ups:
                return place, f"where: question: there is no question {name!r}"
            if call.asked and (name == call.asked or name in _reached(call.asked, leads)):
                return place, f"where: question: the answer to {name!r} leads to {name!r} again, without end"
            leads.setdefault(name, set()).update({call.asked} - {""})
    return None


def _answered(call: Call) -> list[str]:
    """The questions whose answers call; of the variants those are the driver's own words."""
    if call.event != _KIND:
        return [FREE_WORDS]
    wanted = call.where.get("question")
    return [str(name) for name in wanted] if isinstance(wanted, list) else [wanted] if isinstance(wanted, str) else []


def _reached(question: str, leads: Mapping[str, Collection[str]]) -> set[str]:
    """Every question that may come after it."""
    reached: set[str] = set()
    ahead = [question]
    while ahead:
        fresh = set(leads.get(ahead.pop(), ())) - reached
        reached |= fresh
        ahead += fresh
    return reached
