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


class ErasureRequested(Event, frozen=True, kw_only=True, tag="erasure_requested"):
    """The owner wants his data to be gone, here and wherever it was sent: delete it and sign for that.

    request names it for the receipt. of_purposes: empty for all. from_ns and until_ns, UTC, the latter excluded: of
    which time, None without a bound; what has no date goes as well. deadline_ns, UTC: ten working days after asked_ns;
    None where the clock was not set. It is about records before it only, of boots up to `boot`, in which he asked: the
    agent asks again at each start until it has the receipt. Never about purpose `rights`.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose | Literal["rights"]] = "rights"
    leaves: ClassVar[Leaves] = {"rights": "request boot of_purposes from_ns until_ns asked_ns deadline_ns by"}

    request: str
    boot: int
    of_purposes: list[Purpose]
    from_ns: int | None
    until_ns: int | None
    asked_ns: int | None
    deadline_ns: int | None
    by: By


class RecordsErased(Event, frozen=True, kw_only=True, tag="records_erased"):
    """Records that nobody has signed for were deleted for their owner: consent was taken back, or he erased them.

    request: the ErasureRequested it belongs to, "" for a consent taken back. Row by row: records[i] of boots[i] went,
    none before firsts[i] and none after lasts[i]; digests[i] is the hash of the last one's envelope, which the next
    record names as its previous.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose | Literal["rights"]] = "rights"
    leaves: ClassVar[Leaves] = {"rights": "request of_purposes records boots firsts lasts digests"}

    request: str
    of_purposes: list[Purpose]
    records: list[int]
    boots: list[int]
    firsts: list[int]
    lasts: list[int]
    digests: list[bytes]
