"""The driver's side of his insurer's desk, wired: tickets, and what an answer of his carries. The app starts it."""

from collections.abc import Callable, Mapping

from agent.core.best_time import BestTime
from agent.core.config import Telemetry
from agent.core.event_base import Event
from agent.core.events import DeskMessage, Feedback
from agent.core.ports import Clock, Hardware, Language
from agent.core.signals import SignalWindow
from agent.fusion import Fusion
from agent.privacy.agreed import Agreed
from agent.tickets import Tickets
from agent.voice.free_words import load_free_words


class DeskRoom:
    """tickets: what came down from the desk. Raises ConfigError where a list of words is damaged."""

    def __init__(
        self,
        hardware: Hardware,
        clock: Clock,
        *,
        time: BestTime,
        receipt_key: bytes,
        language: Callable[[], Language],
        trends: Callable[[], Mapping[str, float]],
        agreed: Callable[[], Agreed],
        emit: Callable[[Event], None],
        speak: Callable[[Event], None],
    ) -> None:
        """trends: of the engine, by now; agreed: to what, now; emit: the one way of events; speak: to the driver."""
        self._emit = emit
        self._speak = speak
        self.tickets = Tickets(
            hardware.keystore,
            receipt_key,
            clock,
            now=time.now,
            language=language,
            emit=emit,
            speak=speak,
            store=hardware.desk_store,
        )
        # Of the everyday signals: what telemetry samples is another purpose's, and another's choice.
        self._fusion = Fusion(
            Telemetry().signals,
            load_free_words(),
            trends=trends,
            agreed=agreed,
            ticket_of=self.tickets.ticket_of,
            open_tickets=self.tickets.open_tickets,
        )

    def on_answer(self, event: Event) -> None:
        """What the conversation has to tell: an answer is completed before it goes the way of all events."""
        self._emit(self._fusion.complete(event) if isinstance(event, Feedback) else event)

    def on_event(self, event: Event) -> None:
        """Every event, when it is safe; the driver hears of it, of the desk's messages when their turn has come."""
        if not isinstance(event, DeskMessage):
            self._speak(event)
        self._fusion.on_event(event)
        self.tickets.on_event(event)

    def on_window(self, window: SignalWindow) -> None:
        """New samples."""
        self._fusion.on_window(window)
        self.tickets.look()
