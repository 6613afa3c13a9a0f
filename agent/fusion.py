"""Joins an answer of the driver's with the car's state around it: signals, codes, trends, events, tickets, diagnosis.

Of what was heard there is the text alone: its sound is an event of its own, if at all.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from agent.core.config import TelemetrySignal
from agent.core.event_base import Event, Priority
from agent.core.events import Diagnosis, Feedback, TroubleCodes
from agent.core.signals import Series, SignalWindow
from agent.privacy.agreed import Agreed
from agent.voice.free_words import FreeWords

SPAN_S: Final = 60
SIGNALS_MAX: Final = 12
CODES_MAX: Final = 16
TRENDS_MAX: Final = 12
CAUSES_MAX: Final = 3
EARLIER_MAX: Final = 8
TICKETS_MAX: Final = 8

_EARLIER_NS: Final = 3_600 * 10**9
_SOURCES_MAX: Final = 8
_LOOK_BACK_S: Final = 28  # nearly as far back as samples are kept
_LATE_S: Final = 1  # sources deliver apart
_NS: Final = 10**9
_DIGITS: Final = 3


class Fusion:
    """Watches the drive, and completes each Feedback before it is kept. Time comes with the data."""

    def __init__(
        self,
        signals: Sequence[TelemetrySignal],
        words: FreeWords,
        *,
        trends: Callable[[], Mapping[str, float]],
        agreed: Callable[[], Agreed],
        ticket_of: Callable[[Feedback], int],
        open_tickets: Callable[[], Sequence[int]],
    ) -> None:
        """signals: what is summed up, at most SIGNALS_MAX of them. trends: what is known by now. agreed: to what, now.

        ticket_of: the insurer's ticket that an answer belongs to, 0 for none.
        """
        self._minutes = {signal.path: _Minute(signal.step) for signal in signals[:SIGNALS_MAX]}
        self._words = words
        self._trends = trends
        self._agreed = agreed
        self._ticket_of = ticket_of
        self._open_tickets = open_tickets
        self._codes: dict[str, TroubleCodes] = {}
        self._diagnosis: Diagnosis | None = None
        self._second = 0  # the first that is not summed up yet
        self._earlier: deque[Event] = deque(maxlen=EARLIER_MAX)

    def on_window(self, window: SignalWindow) -> None:
        """Sum up, once a second, the seconds that are over: looking at each window would cost more than it tells."""
        now = window.t_ns // _NS - _LATE_S
        if now <= self._second:
            return
        span_s = min(now - self._second, _LOOK_BACK_S) + 1.0 + _LATE_S
        for path, minute in self._minutes.items():
            minute.add(window.recent(path, span_s), first=self._second, end=now)
        self._second = now

    def on_event(self, event: Event) -> None:
        """Keep in mind what an answer may be about."""
        if isinstance(event, TroubleCodes):
            self._codes[event.source] = event
            if len(self._codes) > _SOURCES_MAX:
                del self._codes[next(iter(self._codes))]
        elif isinstance(event, Diagnosis):
            self._diagnosis = event
        if event.priority <= Priority.SERVICE and not event.bulk:
            self._earlier.append(event)

    def complete(self, event: Event) -> Event:
        """An answer with all that is known around it; any other event as it is."""
        if not isinstance(event, Feedback):
            return event
        signals = {path: minute.summary(event.t_ns) for path, minute in self._minutes.items()}
        known = {path: summary for path, summary in signals.items() if summary}
        trends = dict(list(self._trends().items())[:TRENDS_MAX])
        earlier = self._before(event)
        diagnosis = self._diagnosis
        ticket = self._ticket_of(event)
        said = self._words.understand_free(event.transcript, event.language) if event.transcript else None
        return msgspec.structs.replace(
            event,
            ticket=ticket,
            topic=(said.topic or "") if said else "",
            sentiment=said.sentiment if said else "",
            urgency=said.urgency if said else "",
            wish=said.intent if said else "",
            signals=list(known),
            signal_values=[value for summary in known.values() for value in summary],
            codes=_codes(self._codes.values()),
            trends=list(trends),
            trend_values=[round(value, _DIGITS) for value in trends.values()],
            causes=diagnosis.causes[:CAUSES_MAX] if diagnosis else [],
            diagnosis_ns=diagnosis.t_ns if diagnosis else None,
            earlier=[one.kind for one in earlier],
            earlier_ns=[one.t_ns for one in earlier],
            tickets=[number for number in self._open_tickets() if number != ticket][:TICKETS_MAX],
        )

    def _before(self, event: Feedback) -> list[Event]:
        """Events of the hour before, of purposes that are agreed to: an answer shall not tell of the others."""
        agreed = self._agreed()
        return [
            one
            for one in self._earlier
            if (one.t_ns, one.kind) != (event.about_ns, event.about)
            and event.t_ns - one.t_ns <= _EARLIER_NS
            and one.purpose in agreed.grounds
        ]


@dataclass(frozen=True, slots=True)
class _Second:
    """Samples of one whole second of the monotonic clock."""

    number: int
    least: float
    most: float
    total: float
    count: int
    last: float


class _Minute:
    """One signal's last minute, second by second: of a fixed size, and the same however samples come in windows."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._seconds: deque[_Second] = deque(maxlen=2 * SPAN_S)

    def add(self, series: Series, *, first: int, end: int) -> None:
        """Take the samples of the seconds from first, until before end."""
        numbers = series.t_ns // _NS
        at, stop = numbers.searchsorted((first, end))
        while at < stop:
            number = int(numbers[at])
            behind = int(numbers.searchsorted(number, side="right"))
            part = series.value[at:behind]
            self._seconds.append(
                _Second(number, float(part.min()), float(part.max()), float(part.sum()), len(part), float(part[-1]))
            )
            at = behind

    def summary(self, t_ns: int) -> list[float]:
        """Least, mean, most and last value of sixty whole seconds before, in whole steps; empty where none came."""
        end = t_ns // _NS - _LATE_S
        inside = [one for one in self._seconds if end - SPAN_S <= one.number < end]
        if not inside:
            return []
        mean = sum(one.total for one in inside) / sum(one.count for one in inside)
        figures = (min(one.least for one in inside), mean, max(one.most for one in inside), inside[-1].last)
        return [round(round(float(figure) / self._step) * self._step, 6) for figure in figures]


def _codes(readings: Iterable[TroubleCodes]) -> list[str]:
    """What is stored or pending now, what is sure first."""
    told = list(readings)
    stored = [code for reading in told for code in reading.stored]
    pending = [code for reading in told for code in reading.pending]
    return list(dict.fromkeys([*stored, *pending]))[:CODES_MAX]
