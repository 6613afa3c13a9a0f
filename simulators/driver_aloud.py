"""The person behind the wheel who really speaks: sound in the cabin's noise, heard by what hears in the car."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.events import Feedback
from agent.core.paths import PROMPTS
from agent.core.ports import Clock, Heard, Inference, Language, Notice
from agent.core.sound import Hearing
from agent.voice.prompts import load_phrases
from drivers.keyword_replies import load_keywords
from drivers.onnx_worker import OnnxWorker
from drivers.voice import open_hearing
from simulators.cabin import CabinCapture, Word
from simulators.driver_person import Answer, SimulatedDriver
from simulators.sounds import RATE_HZ, Float32s, echo
from simulators.voices import Person, speak

# A clear voice: what is shown is how an answer goes through the box, not how well strangers are understood.
PEOPLE: Final[Mapping[Language, Person]] = {
    "zh": Person(voice="cmn-latn-pinyin+m1", pitch=50, speed=180, stretch=1.0),
    "en": Person(voice="en-us+m1", pitch=50, speed=160, stretch=1.0),
}
_AGAIN_S: Final = 2.5  # so long a person waits for a sign of having been heard
_ECHO_S: Final = 0.1
_DEADLINE_S: Final = 10.0  # the car's time stands meanwhile: a busy machine changes nothing


class SpeakingDriver:
    """A Microphone: the car's own, in a simulated cabin where a person answers the questions one after the other.

    Who is not heard says it once more; who is heard and not understood says it again when the car asks again. An answer
    is spent when the car has taken something for it, or asks it back, which the notices tell.
    """

    def __init__(
        self,
        clock: Clock,
        answers: Sequence[Answer],
        *,
        language: Language,
        seed: int,
        speed_kmh: Callable[[], float],
        on_word: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Speaks all answers beforehand. Raises InputError without espeak-ng."""
        rng = np.random.default_rng([seed, 0x5EA7])
        self._clock = clock
        known = {wording for reply in load_keywords()[language].replies.values() for wording in reply.wordings}
        questions = load_phrases(PROMPTS).languages[language].questions.values()
        self._asked_back = {text for question in questions for text in question.confirms.values()}
        self._answers = answers
        self._sounds = {
            answer.text: _in_cabin(rng, speak(answer.text, language, PEOPLE[language]))
            for answer in answers
            if answer.text in known
        }
        self._next = 0
        self._taken = False
        self._on_word = on_word
        self._cabin = CabinCapture(clock, rng, speed_kmh=speed_kmh, on_word=self._begin)
        inference = HeldInference(OnnxWorker(_DEADLINE_S), clock)
        self._ears = open_hearing(self._cabin, Hearing().model, inference=inference)
        self.words = self.heard = 0

    @property
    def typed(self) -> list[str]:
        """Answers that go as text, since the keyword model does not know their words."""
        return [answer.text for answer in self._answers if answer.text and answer.text not in self._sounds]

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:
        """What the box makes of the next answer, None where it hears none. Raises SourceLost without a model."""
        self._next += self._taken
        self._taken = False
        answer = self._answers[self._next] if self._next < len(self._answers) else Answer(None)
        if answer.text is not None and answer.text not in self._sounds:
            return await SimulatedDriver(self._clock, [answer]).listen(timeout_s=timeout_s, language=language)
        self._cabin.expect(self._twice(answer))
        heard = await self._ears.listen(timeout_s=timeout_s, language=language, keep_sound=keep_sound)
        self.heard += heard is not None
        return heard

    def notice(self, notice: Notice) -> None:
        """See what the car makes of the answer."""
        done = notice.topic == "event" and isinstance(notice.event, Feedback)
        asked_back = notice.topic == "asked" and notice.text in self._asked_back
        self._taken = self._taken or done or asked_back

    async def close(self) -> None:
        """End the model's process."""
        await self._ears.close()

    def _twice(self, answer: Answer) -> list[Word]:
        if answer.text is None:
            return []
        samples = self._sounds[answer.text]
        again_s = answer.reaction_s + len(samples) / RATE_HZ + _AGAIN_S
        return [Word(answer.text, samples, at_s) for at_s in (answer.reaction_s, again_s)]

    def _begin(self, text: str) -> None:
        self.words += 1
        self._on_word(text)


class HeldInference:
    """An Inference on simulated time: the car's time stands while the model thinks, however long that takes."""

    def __init__(self, inner: Inference, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        """Start anew with these."""
        with self._clock.hold():
            return await self._inner.load(models)

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Ask one of them."""
        with self._clock.hold():
            return await self._inner.infer(model, inputs)

    async def ended(self) -> str:
        """Return when what was loaded has died."""
        return await self._inner.ended()

    async def close(self) -> None:
        """End the child."""
        await self._inner.close()


def _in_cabin(rng: np.random.Generator, samples: Float32s) -> Float32s:
    """The same with its echo from the glass."""
    return echo(rng, np.pad(samples, (0, round(_ECHO_S * RATE_HZ))))
