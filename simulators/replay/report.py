"""What went wrong while reading, for people."""

from dataclasses import dataclass, field
from typing import Final

_PLACES_MAX: Final = 5


@dataclass(slots=True)
class Report:
    """Broken lines or records, counted; the first few by place ("line 12", "record 7", "byte 4096")."""

    bad: int = 0
    places: list[str] = field(default_factory=list)

    def count_bad(self, place: str) -> None:
        """One more that could not be read."""
        self.bad += 1
        if len(self.places) < _PLACES_MAX:
            self.places.append(place)
