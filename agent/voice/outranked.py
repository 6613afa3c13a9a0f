"""After "get out of the car", "please have it checked soon" helps nobody: alarms below one just told stay unsaid."""

from typing import Final

from agent.core.events import BatteryAlarm, Event

_REST_NS: Final = 300 * 10**9


class Outranked:
    """Remembers the gravest alarm of each kind that was told, for five minutes."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int]] = {}

    def note(self, event: Event, t_ns: int) -> None:
        """Remember that an event is being told."""
        if not self.silences(event, t_ns):
            self._told[event.kind] = (_level(event), t_ns)

    def silences(self, event: Event, t_ns: int) -> bool:
        """Whether something graver of its kind was told within the last five minutes."""
        level, told_ns = self._told.get(event.kind, (0, 0))
        return _level(event) < level and t_ns - told_ns < _REST_NS


def _level(event: Event) -> int:
    """Levels rank alarms of one kind; an alarm that ends ranks below all of them."""
    return event.level if isinstance(event, BatteryAlarm) and not event.cleared else 0
