"""What the agent tells of its owner's own will: consents given and withdrawn, data erased. On no other ground."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Leaves, Priority, Purpose

Precision = Literal["none", "area", "exact"]
By = Literal["page", "voice", "command", "box"]
WhyChanged = Literal["chosen", "expired", "trip_ended", "notice_changed", "unreadable"]


class ConsentChanged(Event, frozen=True, kw_only=True, tag="consent_changed"):
    """A purpose was agreed to, or no longer is: the proof of it, for both sides.

    notice is the version of the text that was agreed to. until_ns, UTC: when it ends by itself, None where it does not.
    trip_only: it ends with the trip. score_only: of ubi_score only the sums of a trip leave. precision: how
    precisely a place may be told. by: who did it; the box itself where something ran out, and why says what.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose | Literal["rights"]] = "rights"
    leaves: ClassVar[Leaves] = {"rights": "of_purpose granted by why notice until_ns trip_only score_only precision"}

    of_purpose: Purpose
    granted: bool
    by: By
    why: WhyChanged
    notice: int
    until_ns: int | None = None
    trip_only: bool = False
    score_only: bool = False
    precision: Precision = "none"
