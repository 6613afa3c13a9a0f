"""What the agent tells of itself: its starts, sources, models, store and config."""

from typing import ClassVar, Literal

import msgspec

from agent.core.event_base import Event, Leaves, Priority, Purpose


class AgentStarted(Event, frozen=True, kw_only=True, tag="agent_started"):
    """The daemon came up."""

    leaves: ClassVar[Leaves] = {"diagnostics": "agent_version config_version profile"}

    agent_version: str
    config_version: int
    profile: str


class AgentStopped(Event, frozen=True, kw_only=True, tag="agent_stopped"):
    """The daemon went down in order."""

    leaves: ClassVar[Leaves] = {"diagnostics": "reason"}

    reason: str


class SourceChanged(Event, frozen=True, kw_only=True, tag="source_changed"):
    """A bus, dongle or sensor was lost, was silenced for the car's sake (a wake loop), or came back."""

    leaves: ClassVar[Leaves] = {"diagnostics": "source state detail"}

    source: str
    state: Literal["lost", "silenced", "restored"]
    detail: str = ""


class ModelChanged(Event, frozen=True, kw_only=True, tag="model_changed"):
    """A model was refused, went down or was given up after dying too often (rules carry on alone), or came back."""

    leaves: ClassVar[Leaves] = {"diagnostics": "model state reason"}

    model: str
    state: Literal["refused", "down", "restored", "given_up"]
    reason: str = ""


class ModelReport(Event, frozen=True, kw_only=True, tag="model_report"):
    """How a model did over so many windows: told at most once a day, where there is a shadow or something drifted.

    over counts windows at or above the model's threshold. shadow is a second model that scored in silence over
    compared of them: shadow_over at or above its own threshold, disagreed where only one of the two was. drifted
    names inputs whose population stability index against the training reached the manifest's limit; psi_max is the
    largest of any input, None while there were too few windows to say.
    """

    leaves: ClassVar[Leaves] = {
        "diagnostics": "model windows over shadow compared shadow_over disagreed drifted psi_max",
    }

    model: str
    windows: int
    over: int
    shadow: str = ""
    compared: int = 0
    shadow_over: int = 0
    disagreed: int = 0
    drifted: list[str] = msgspec.field(default_factory=list)
    psi_max: float | None = None


class RecordsShed(Event, frozen=True, kw_only=True, tag="records_shed"):
    """The store was full and let records go, all of one priority, unsent: the oldest, from first to last.

    first_ns and last_ns are when they were stored, in monotonic ns of their boots. Others of the same boots may remain.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose | Literal["rights"]] = "rights"
    leaves: ClassVar[Leaves] = {
        "rights": """
        of_priority records size_bytes first_boot first_sequence first_ns last_boot last_sequence last_ns
        """,
    }

    of_priority: int
    records: int
    size_bytes: int
    first_boot: int
    first_sequence: int
    first_ns: int
    last_boot: int
    last_sequence: int
    last_ns: int


class RecordsDamaged(Event, frozen=True, kw_only=True, tag="records_damaged"):
    """The disk spoilt records: quarantined ones are kept but not sent; unreadable ones are counted where that is known.

    recovered counts the records of a file that had to be rebuilt; file is the damaged one's name, kept, "" if none.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose | Literal["rights"]] = "rights"
    leaves: ClassVar[Leaves] = {"rights": "quarantined unreadable recovered file"}

    quarantined: int
    unreadable: int | None
    recovered: int
    file: str


class ConfigApplied(Event, frozen=True, kw_only=True, tag="config_applied"):
    """A pushed bundle became the running config."""

    priority: ClassVar[Priority] = Priority.SERVICE
    leaves: ClassVar[Leaves] = {"diagnostics": "bundle config_version sha256"}

    bundle: str
    config_version: int
    sha256: str


class ConfigRejected(Event, frozen=True, kw_only=True, tag="config_rejected"):
    """A pushed bundle was refused; the running config stays."""

    priority: ClassVar[Priority] = Priority.SERVICE
    leaves: ClassVar[Leaves] = {"diagnostics": "bundle reason"}

    bundle: str
    reason: str
