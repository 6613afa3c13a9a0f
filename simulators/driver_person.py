"""The person behind the wheel, his button, and a speaker that needs no sound card: both live on the simulated clock."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.errors import EndOfSource, SourceLost
from agent.core.ports import Clock, Heard, Language, Speaker, Utterance

# espeak-ng 1.51 at its usual speed, measured: "dian4 chi2 ..." 0.26 s a syllable, English 0.07 s a letter.
_SECONDS_PER_CHARACTER: Final[dict[Language, float]] = {"zh": 0.26, "en": 0.07}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the driver says: text None is silence. at_s: at this time of the clock, not after the reaction time."""

    text: str | None
    reaction_s: float = 1.5
    confidence: float = 0.9
    at_s: float | None = None


class SimulatedDriver:
    """A Microphone that hears a script: answers in order of the questions, timed ones when their time comes.

    Answers with at_s are said whether or not anybody listens; one that fell outside every question is lost. When the
    script is used up the driver keeps silent.
    """

    def __init__(self, clock: Clock, answers: Sequence[Answer] = ()) -> None:
        self._clock = clock
        self._in_turn = deque(answer for answer in answers if answer.at_s is None)
        self._timed = [(answer.at_s, answer) for answer in answers if answer.at_s is not None]
        self._timed.sort(key=lambda timed: timed[0])
        self.questions = 0

    async def listen(
        self,
        *,
        timeout_s: float,
        language: Language,  # noqa: ARG002 - the script decides
        keep_sound: bool = False,  # noqa: ARG002 - it has none
    ) -> Heard | None:
        """Return the scripted answer after its reaction time, None after timeout_s of silence."""
        self.questions += 1
        delay_s, answer = self._next(timeout_s)
        if answer is None or answer.text is None or delay_s > timeout_s:
            await self._clock.sleep(timeout_s)
            return None
        await self._clock.sleep(delay_s)
        return Heard(answer.text, answer.confidence)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _next(self, timeout_s: float) -> tuple[float, Answer | None]:
        now_s = self._clock.monotonic_ns() / 1e9
        for at_s, answer in self._timed:
            if now_s <= at_s <= now_s + timeout_s:
                self._timed.remove((at_s, answer))
                return at_s - now_s, answer
        if self._in_turn:
            answer = self._in_turn.popleft()
            return answer.reaction_s, answer
        return timeout_s, None


class SimulatedButton:
    """A Button that is pressed at these times of the clock."""

    name = "button:simulated"

    def __init__(self, clock: Clock, at_s: Sequence[float]) -> None:
        self._clock = clock
        self._due_s = deque(sorted(at_s))
        self._presses = 0

    async def open(self) -> None:
        """It is always there."""

    async def read_batch(self) -> int:
        """Wait for the next press. Raises EndOfSource after the last."""
        if not self._due_s:
            raise EndOfSource
        due_s = self._due_s.popleft()
        await self._clock.sleep(max(0.0, due_s - self._clock.monotonic_ns() / 1e9))
        self._presses += 1
        return 1

    async def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> Mapping[str, int]:
        """How often it was pressed."""
        return {"presses": self._presses}


class TextSpeaker:
    """A Speaker that shows instead of sounding, and takes as long as speech would.

    `aloud`, where given, speaks the same words for the people in the room. Time on the clock depends on the text alone,
    so a machine with a sound card and one without give the same drive; `aloud_lost` says why nothing is heard.
    """

    def __init__(
        self, clock: Clock, *, write: Callable[[str], None] | None = None, aloud: Speaker | None = None
    ) -> None:
        self.said: list[Utterance] = []
        self.cut_short = 0
        self.aloud_lost = ""
        self._clock = clock
        self._write = write
        self._aloud = aloud
        self._sound: asyncio.Task[None] | None = None

    async def say(self, utterance: Utterance) -> None:
        """Return after the time that espeak-ng would take."""
        await self._silence()
        self.said.append(utterance)
        if self._write is not None:
            self._write(utterance.text)
        if self._aloud is not None and not self.aloud_lost:
            self._sound = asyncio.create_task(self._say_aloud(self._aloud, utterance), name="speech-aloud")
        try:
            await self._clock.sleep(speech_s(utterance))
        except asyncio.CancelledError:
            self.cut_short += 1
            await self._silence()
            raise

    async def close(self) -> None:
        """Stop what is being said aloud."""
        await self._silence()
        if self._aloud is not None:
            await self._aloud.close()

    async def _say_aloud(self, speaker: Speaker, utterance: Utterance) -> None:
        try:
            await speaker.say(utterance)
        except SourceLost as exc:
            self.aloud_lost = str(exc)

    async def _silence(self) -> None:
        """End the real speech of the utterance before; simulated time stands meanwhile."""
        sound, self._sound = self._sound, None
        if sound is None:
            return
        sound.cancel()
        with self._clock.hold():
            await asyncio.wait({sound})
        if not sound.cancelled():
            sound.result()


def speech_s(utterance: Utterance) -> float:
    """How long an utterance takes to say, in seconds."""
    return 0.3 + _SECONDS_PER_CHARACTER[utterance.language] * len(utterance.text)
