"""What every event is: frozen, versioned, with a priority and a purpose. `events` has them all."""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, Final, Literal, get_args

import msgspec

Purpose = Literal["claims", "safety", "service", "ubi_score", "feedback", "diagnostics", "audio"]
"""What the driver may agree to, each by itself."""

WITHOUT_SOUND: Final[tuple[Purpose, ...]] = tuple(purpose for purpose in get_args(Purpose) if purpose != "audio")
"""All that is agreed to where somebody means all: the sound of a voice needs its own name."""

Ground = Literal[Purpose, "ubi_detail", "rights"]
"""What a field may leave on: a purpose that the driver agreed to; ubi_detail, which is ubi_score unless he gives the
score alone; rights, which nobody agrees to: what must leave so that his own will is done elsewhere too, and which of
the records that he agreed to are missing."""

Leaves = Mapping[Ground, str]
"""Ground -> names of the fields that may leave on it, with spaces between; under several, any one will do.

A field of no ground never leaves. `agent.core.declared` reads it, once a class.
"""


class Priority(IntEnum):
    """Lower goes first; the highest number is shed first."""

    CRASH = 0
    SAFETY = 1
    SERVICE = 2
    TELEMETRY = 3


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """Base of all events. `purpose` is what its time belongs to; every other field must be named in `leaves`."""

    version: ClassVar[int] = 1
    priority: ClassVar[Priority] = Priority.TELEMETRY
    purpose: ClassVar[Purpose | Literal["rights"]] = "diagnostics"
    leaves: ClassVar[Leaves] = {}
    bulk: ClassVar[bool] = False  # of a crash: detail behind a notice, which goes behind safety and before service

    t_ns: int

    @property
    def kind(self) -> str:
        """The tag on the wire."""
        return str(self.__struct_config__.tag)
