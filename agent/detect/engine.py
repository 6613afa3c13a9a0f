"""A combustion engine that is about to need a garage: mixture, misfires, heat, and sensors that lie.

Every limit here is ours (docs/sources.md 13): far outside of what healthy engines show, and only after minutes of the
right conditions. The control unit's own monitors see more; this is for what they have not told yet.
"""

from collections.abc import Mapping
from typing import Final

from agent.core import vss
from agent.core.config import Detect
from agent.core.diagnosis_events import EngineAdvice
from agent.core.events import Event
from agent.core.signals import SignalWindow
from agent.detect.engine_heat import HeatWatch
from agent.detect.engine_seconds import SIGNALS, EngineSeconds
from agent.detect.engine_sensors import AirWatch, ContradictionWatch, StuckWatch
from agent.detect.engine_watches import MixtureWatch, RoughWatch, Watch

_REST_S: Final = 1800  # an engine that stood so long may be told of again: it is another drive

_RESTS_ON: Final[Mapping[str, frozenset[str]]] = {
    "misfire": frozenset({vss.THROTTLE, vss.SPEED, vss.MASS_AIR_FLOW, vss.MANIFOLD_PRESSURE})
}


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
                events += [advice for advice in watch.feed(second) if self._is_news(advice)]
        return events

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """A second that nothing followed proves nothing."""
        return []

    def _is_news(self, advice: EngineAdvice) -> bool:
        """Whether it was not told on this drive, and rests on no signal that was found to stand still."""
        stuck = {signal for fault, signal, _ in self._told if fault == "sensor_stuck"}
        told = (advice.fault, advice.signal, advice.level)
        if told in self._told or stuck & _RESTS_ON.get(advice.fault, frozenset()):
            return False
        self._told.add(told)
        return True

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
