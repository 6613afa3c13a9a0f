"""The ear of the conversation: a microphone that may go away, and of which that is known until it is back."""

from typing import Final

from agent.core.errors import SourceLost
from agent.core.ports import Clock, Heard, Language, Microphone, Notify
from agent.voice.outage import Outage

_TRIAL_S: Final = 0.1


class Ear:
    """microphone: None where there is none. outage: tells once that it was lost, and that it works again."""

    def __init__(self, microphone: Microphone | None, *, clock: Clock, notify: Notify) -> None:
        self.outage = Outage("microphone", clock=clock, notify=notify)
        self._microphone = microphone
        self._lost = False

    @property
    def exists(self) -> bool:
        """Whether there is a microphone at all, lost or not."""
        return self._microphone is not None

    def is_due(self) -> bool:
        """Whether it works as far as known, or is to be tried again."""
        return self.exists and self.outage.may_try()

    async def works(self, language: Language) -> bool:
        """Whether an answer would be heard. One that was lost is tried first: nobody shall be asked in vain again."""
        if self._lost and self.is_due():
            try:
                await self.listen(timeout_s=_TRIAL_S, language=language)
            except SourceLost:
                return False
        return self.exists and not self._lost

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:
        """As a Microphone does. Raises SourceLost, which is told once per outage."""
        if self._microphone is None:
            raise SourceLost("there is no microphone")
        try:
            heard = await self._microphone.listen(timeout_s=timeout_s, language=language, keep_sound=keep_sound)
        except SourceLost as exc:
            self._lost = True
            self.outage.lost(str(exc))
            raise
        self._lost = False
        self.outage.works()
        return heard
