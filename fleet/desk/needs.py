"""What a driver's words ask of the desk, where neither a crash, a battery nor a charge is behind them. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from agent.core.events import Feedback

_URGENT: Final = {"now": 3, "soon": 2}
_WISHES: Final = frozenset({"help", "request", "question", "complaint"})
_CHOSEN: Final = {
    ("tyre_help", "yes"): 1,
    ("renewal", "yes"): 1,
    ("shop_again", "same_fault"): 1,
    ("service", "bad"): 1,
    ("service_trouble", "quality"): 1,
    ("service_trouble", "price"): 1,
    ("service_trouble", "waiting"): 1,
    ("service_trouble", "manners"): 1,
    ("lamp_felt", "smoke"): 3,
    ("lamp_felt", "power"): 2,
    ("lamp_felt", "noise"): 1,
}
"""Answers of the shipped scenes (firmware_config/scenes) whose replies say that the insurer hears of it."""


@dataclass(frozen=True, slots=True)
class Need:
    """kind: an idea is thanked for, the rest is answered. severity: as of tickets."""

    kind: Literal["feedback", "idea"]
    severity: int


def need_of(event: Feedback) -> Need | None:
    """By the choice where it is one of those; else by the words: an idea, a wish, or trouble with something known."""
    chosen = _CHOSEN.get((event.question, event.intent), 0)
    by_words = _URGENT.get(event.urgency, 1)
    if chosen:
        return Need("feedback", max(chosen, by_words))
    if event.wish == "suggestion":
        return Need("idea", 1)
    if event.wish in _WISHES or (event.topic and event.sentiment == "negative"):
        return Need("feedback", by_words)
    return None
