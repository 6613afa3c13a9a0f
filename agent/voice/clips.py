"""The sound of an answer as an event of its own, where the driver agreed to `audio`: asked before, and again after."""

from collections.abc import Callable, Collection
from typing import Final

from agent.core.event_base import Purpose
from agent.core.events import Event, Feedback, VoiceClip
from agent.core.pcmu import RATE_HZ, SAMPLES_MAX, to_pcmu
from agent.core.ports import Clock, Heard

_PURPOSE: Final[Purpose] = "audio"
_BYTES_MAX: Final = 2 * SAMPLES_MAX


class Clips:
    """agreed: purposes agreed to, as of now. One at a time: `open` before listening, `keep` where it was an answer."""

    def __init__(self, agreed: Collection[Purpose], *, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._agreed = agreed
        self._clock = clock
        self._emit = emit
        self._opened_ns = 0

    def open(self) -> bool:
        """Whether to ask the microphone for the sound of what comes now."""
        self._opened_ns = self._clock.monotonic_ns()
        return _PURPOSE in self._agreed

    def keep(self, heard: Heard | None, answer: Feedback) -> None:
        """Emit the sound of an answer; nothing where there is none, or the consent was taken back meanwhile.

        Of what is too long the end, where the words were recognised, is kept.
        """
        if heard is None or not heard.sound or _PURPOSE not in self._agreed:
            return
        self._emit(
            VoiceClip(
                t_ns=self._opened_ns,
                answer_ns=answer.t_ns,
                question=answer.question,
                language=answer.language,
                heard=answer.transcript,
                codec="pcmu",
                rate_hz=RATE_HZ,
                sound=to_pcmu(heard.sound[-_BYTES_MAX:]),
            )
        )
