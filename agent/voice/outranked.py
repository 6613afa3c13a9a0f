"""What stays unsaid beside something graver: "please have it checked soon" after "get out", a bump after a crash."""

from typing import Final

from agent.core.events import BatteryAlarm, Collision, Event, Rollover
from agent.voice.facts import is_slight

_REST_NS: Final = 300 * 10**9
_ONE_CRASH_NS: Final = 5 * 10**9  # impacts that begin within 5 s are one crash (49 CFR 563)
_ROLL_NS: Final = 30 * 10**9  # a car that rolls is hit again, and that it lies on its roof is known late


class Outranked:
    """Remembers the gravest alarm of each kind that was told, for five minutes, and the gravest impact of a crash.

    A crash is asked about once: a further impact no graver than one before is silent, a graver one takes over, also
    from what is being said.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int]] = {}
        self._crash: Event | None = None

    def heed(self, event: Event) -> None:
        """Take notice of an event before it is told; an impact outranks from now on."""
        if _rank(event) and not (self._crash is not None and self._is_lesser(event, self._crash)):
            self._crash = event

    def note(self, event: Event, t_ns: int) -> None:
        """Remember that an event is being told."""
        if not self.silences(event, t_ns):
            self._told[event.kind] = (_level(event), t_ns)

    def silences(self, event: Event, t_ns: int) -> bool:
        """Whether something graver makes it idle to tell."""
        if _rank(event):
            return self._crash is not None and self._is_lesser(event, self._crash)
        level, told_ns = self._told.get(event.kind, (0, 0))
        return _level(event) < level and t_ns - told_ns < _REST_NS

    @staticmethod
    def _is_lesser(event: Event, crash: Event) -> bool:
        """Whether the crash covers the event: of the same crash and no graver, or from before and less grave."""
        if event is crash:
            return False
        span_ns = _ROLL_NS if isinstance(event, Rollover) or isinstance(crash, Rollover) else _ONE_CRASH_NS
        after_ns = event.t_ns - crash.t_ns
        return (_rank(event) < _rank(crash) and after_ns <= span_ns) or (
            _rank(event) == _rank(crash) and abs(after_ns) <= span_ns
        )


def _level(event: Event) -> int:
    """Levels rank alarms of one kind; an alarm that ends ranks below all of them."""
    return event.level if isinstance(event, BatteryAlarm) and not event.cleared else 0


def _rank(event: Event) -> int:
    """How grave an impact is, 1 to 3; 0: it is none."""
    match event:
        case Rollover() | Collision(severity="severe"):
            return 3
        case Collision():
            return 1 if is_slight(event) else 2
        case _:
            return 0
