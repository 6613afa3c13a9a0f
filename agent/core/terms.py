"""How a driver agrees to a purpose: on the page, by command, and as it is kept."""

from typing import Final

import msgspec

from agent.core.privacy_events import Precision

DAYS_DEFAULT: Final = 365


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """notice: the version that was shown. days do not count where it is for one trip only."""

    notice: int
    days: int = DAYS_DEFAULT
    trip_only: bool = False
    score_only: bool = False
    place: Precision = "none"
