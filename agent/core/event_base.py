"""What every event is: frozen, versioned, with a priority and a purpose. `events` has them all."""

from enum import IntEnum
from typing import ClassVar, Literal

import msgspec

Purpose = Literal["claims", "safety", "service", "ubi_score", "feedback", "diagnostics"]


class Priority(IntEnum):
    """Lower goes first; the highest number is shed first."""

    CRASH = 0
    SAFETY = 1
    SERVICE = 2
    TELEMETRY = 3


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """Base of all events."""

    version: ClassVar[int] = 1
    priority: ClassVar[Priority] = Priority.TELEMETRY
    purpose: ClassVar[Purpose] = "diagnostics"
    bulk: ClassVar[bool] = False  # of a crash: detail behind a notice, which goes behind safety and before service

    t_ns: int

    @property
    def kind(self) -> str:
        """The tag on the wire."""
        return str(self.__struct_config__.tag)
