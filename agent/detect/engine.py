"""A combustion engine that is about to need a garage: mixture, misfires, heat, and sensors that lie.

Every limit here is ours (docs/sources.md 13): far outside of what healthy engines show, and only after minutes of the
right conditions. The control unit's own monitors see more; this is for what they have not told yet.
"""

from typing import Final

from agent.core.config import Detect
from agent.core.events import Event
from agent.core.signals import SignalWindow
from agent.detect.engine_heat import HeatWatch
from agent.detect.engine_seconds import SIGNALS, EngineSeconds
from agent.detect.engine_sensors import AirWatch, ContradictionWatch, StuckWatch
from agent.detect.engine_watches import MixtureWatch, RoughWatch, Watch

_REST_S: Final = 1800  # an engine that stood so long may be told of again: it is another drive


class EngineDetector:
    """Asks every watch once a second, and tells each of its findings once a drive."""

    inputs: tuple[str, ...] = SIGNALS

    def __init__(self, limits: Detect) -> None:
        self._seconds = EngineSeconds()
        self._ran = 0
        self.configure(limits)
        self._renew()

    def configure(self, limits: Detect) -> None:
        """No limit of these can be set."""

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the seconds that the window's samples finish."""
        events: list[Event] = []
        for second in self._seconds.feed(window):
            if second.number - self._ran > _REST_S:
                self._renew()
            if not second.running:
                continue
            self._ran = second.number
            for watch in self._watches:
                for advice in watch.feed(second):
                    if (advice.fault, advice.signal, advice.level) not in self._told:
                        self._told.add((advice.fault, advice.signal, advice.level))
                        events.append(advice)
        return events

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """A second that nothing followed proves nothing."""
        return []

    def _renew(self) -> None:
        """A drive begins: nothing of the last one counts."""
        self._told: set[tuple[str, str, str]] = set()
        self._watches: list[Watch] = [
            MixtureWatch(),
            RoughWatch(),
            HeatWatch(),
            StuckWatch(),
            ContradictionWatch(),
            AirWatch(),
        ]
