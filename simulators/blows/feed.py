"""A recording as plain arrays, cut into windows for detectors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from agent.core.events import Event
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow

NS: Final = 1_000_000_000

Recording = Mapping[str, Series]


class Watching(Protocol):
    """As much of a detector as is needed here."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths without which a window is passed over."""
        ...

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        ...

    def finish(self, t_ns: int) -> list[Event]:
        """The data has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A SignalWindow over a recording: everything in (start_ns, t_ns]."""

    recording: Recording
    start_ns: int
    t_ns: int

    def paths(self) -> list[str]:
        """Paths that have samples in it."""
        return [path for path in self.recording if len(self.new(path))]

    def new(self, path: str) -> Series:
        """Its samples of a path."""
        return self._between(path, self.start_ns)

    def recent(self, path: str, seconds: float) -> Series:
        """Samples of the seconds before its end."""
        return self._between(path, self.t_ns - round(seconds * NS))

    def latest(self, path: str) -> float | None:
        """Newest value, None where it is older than 2 s."""
        series = self._between(path, self.t_ns - 2 * NS)
        return float(series.value[-1]) if len(series) else None

    def _between(self, path: str, start_ns: int) -> Series:
        series = self.recording.get(path)
        if series is None:
            return EMPTY_SERIES
        first, last = series.t_ns.searchsorted((start_ns, self.t_ns), side="right")
        return Series(series.t_ns[first:last], series.value[first:last])


def windows(recording: Recording, cuts_ns: Iterable[int]) -> Iterator[Window]:
    """Windows that end at the cuts, and one for the rest."""
    end_ns = max(int(s.t_ns[-1]) for s in recording.values() if len(s))
    start_ns = -1
    for cut_ns in [*sorted(c for c in cuts_ns if c < end_ns), end_ns]:
        yield Window(recording, start_ns, cut_ns)
        start_ns = cut_ns


def watch(
    detector: Watching, recording: Recording, *, window_s: float = 0.02, cuts_ns: Iterable[int] | None = None
) -> list[Event]:
    """All events of a recording, `finish` included. Like the app, skips windows without samples of the inputs."""
    end_ns = max(int(s.t_ns[-1]) for s in recording.values() if len(s))
    if cuts_ns is None:
        first_ns = min(int(s.t_ns[0]) for s in recording.values() if len(s))
        cuts_ns = range(first_ns, end_ns, round(window_s * NS))
    events: list[Event] = []
    for window in windows(recording, cuts_ns):
        if any(len(window.new(path)) for path in recording if path in detector.inputs):
            events += detector.update(window)
    return events + detector.finish(end_ns)
