"""What a person should know of a model before believing it."""

from typing import Annotated

from msgspec import Meta

from agent.core.section import Section

Text = Annotated[str, Meta(min_length=1, max_length=2000)]


class Metric(Section, frozen=True, kw_only=True):
    """A line of the card's table of measurements."""

    what: Text
    value: Text


class Card(Section, frozen=True, kw_only=True):
    """What a person should know before believing the model; `python -m models.cards` writes it out."""

    does: Text
    how: Text
    trained_on: Text
    threshold_from: Text
    rebuilt_by: Text
    measured_on: Text
    metrics: Annotated[list[Metric], Meta(min_length=1, max_length=64)]
    limits: Annotated[list[Text], Meta(min_length=1, max_length=32)]
