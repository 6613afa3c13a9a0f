"""What control units remember of faults, as one source read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReading:
    """Trouble codes as of t_ns; None is "not asked, or no answer", and says nothing.

    sure: the control unit has weighed its stored codes itself (OBD-II: two drive cycles); others may flicker. whole:
    codes that are not here are not there. stop: the unit lights a red lamp. frame: VSS path -> value when the code
    `frozen` came.
    """

    source: str
    t_ns: int
    stored: tuple[str, ...] | None = None
    pending: tuple[str, ...] | None = None
    permanent: tuple[str, ...] | None = None
    sure: bool = True
    whole: bool = True
    stop: bool = False
    frozen: str = ""
    frame: Mapping[str, float] = field(default_factory=dict)


CodeListener = Callable[[CodeReading], None]
