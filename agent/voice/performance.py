"""One prompt on its way to the driver, and the talk that follows it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from agent.core.errors import SourceLost
from agent.core.events import Event, Feedback
from agent.core.ports import Clock, Microphone, Notice, Notify, Speaker, Utterance
from agent.voice.dialog import Dialog, Turn
from agent.voice.director import Director
from agent.voice.outage import Outage
from agent.voice.questions import STOP_ASKING, Question
from agent.voice.waiting import Item


@dataclass(slots=True)
class Performance:
    """What is being said or asked.

    sounding: aloud just now; told: what it has to say has been said, and the talk has begun; settled: saying it again
    would serve nobody.
    """

    item: Item
    task: asyncio.Task[None] | None = None
    sounding: bool = False
    told: bool = False
    settled: bool = False

    def stop(self) -> None:
        """Cut it short."""
        if self.task is not None:
            self.task.cancel()


class Performer:
    """Says, asks, listens, and emits what was answered.

    is_calm: whether a further question is bearable now; wait_open: returns once the gate lets an item sound, False
    where that takes too long for a talk.
    """

    def __init__(
        self,
        director: Director,
        *,
        speaker: Speaker | None,
        microphone: Microphone | None,
        clock: Clock,
        notify: Notify,
        emit: Callable[[Event], None],
        is_calm: Callable[[], bool],
        wait_open: Callable[[Item], Awaitable[bool]],
        is_sent: Callable[[], bool],
    ) -> None:
        self.counts = dict.fromkeys(("said", "asked", "answered", "forgone", "silenced"), 0)
        self.speaker_outage = Outage("speaker", clock=clock, notify=notify)
        self.microphone_outage = Outage("microphone", clock=clock, notify=notify)
        self._director = director
        self._speaker = speaker
        self._microphone = microphone
        self._clock = clock
        self._notify = notify
        self._emit = emit
        self._is_calm = is_calm
        self._wait_open = wait_open
        self._is_sent = is_sent

    async def perform(self, current: Performance) -> None:
        """Say the prompt, put its question and what follows from the answers."""
        prompt = current.item.prompt
        self._director.note_put(prompt, self._clock.monotonic_ns())
        if prompt.text:
            await self._say(current, prompt.text)
        self.counts["said"] += 1
        current.told = True
        question = prompt.question
        while question is not None and self._microphone is not None and self._may_ask(question):
            turn = await self._ask(current, question, self._microphone)
            if not await self._wait_open(current.item):
                self.counts["forgone"] += 1
                return
            await self._say(current, turn.text)
            question = turn.follow_up
            if question is not None and not self._is_calm():
                self.counts["forgone"] += 1  # a garage can wait for whoever brakes hard
                return

    def _may_ask(self, question: Question) -> bool:
        return self._director.may_ask(question, self._clock.monotonic_ns())

    async def _ask(self, current: Performance, question: Question, microphone: Microphone) -> Turn:
        """Put the question until there is an answer, silence or nothing more to try; emit it and return the reply."""
        prompt, event = current.item.prompt, current.item.event
        scene = prompt.scene
        dialog = Dialog(
            question,
            about=event,
            language=prompt.language,
            sent=self._is_sent(),
            may_silence=scene is None or scene.guard.may_silence,
        )
        timeout_s = scene.timeout_s if scene and scene.timeout_s else self._director.config.answer_timeout_s
        text = dialog.text
        while True:
            if not await self._wait_open(current.item):
                raise asyncio.CancelledError  # as if cut short: it is put again when that is possible
            self._notify(Notice("asked", self._clock.monotonic_ns(), text, event=event))
            self.counts["asked"] += 1
            await self._sound(current, text)
            asked_ns = self._clock.monotonic_ns()
            try:
                heard = await microphone.listen(timeout_s=timeout_s, language=prompt.language)
            except SourceLost as exc:
                self.microphone_outage.lost(str(exc))
                turn = dialog.deaf(asked_ns=asked_ns, t_ns=self._clock.monotonic_ns())
            else:
                self.microphone_outage.works()
                now_ns = self._clock.monotonic_ns()
                self._notify(Notice("heard", now_ns, "" if heard is None else heard.text, event=event))
                turn = dialog.hear(heard, asked_ns=asked_ns, t_ns=now_ns)
            if turn.feedback is not None:
                self._settle(current, question, turn, turn.feedback)
                return turn
            text = turn.text

    def _settle(self, current: Performance, question: Question, turn: Turn, feedback: Feedback) -> None:
        current.settled = True
        self.counts["answered"] += 1
        scene = current.item.prompt.scene
        self._director.note_answer(scene, question, feedback.intent, feedback.t_ns, stop=turn.stop)
        self._emit(feedback)
        if turn.stop:
            self.counts["silenced"] += 1
            if feedback.intent != STOP_ASKING:
                self._emit(msgspec.structs.replace(feedback, intent=STOP_ASKING))

    async def _say(self, current: Performance, text: str) -> None:
        self._notify(Notice("said", self._clock.monotonic_ns(), text, event=current.item.event))
        await self._sound(current, text)

    async def _sound(self, current: Performance, text: str) -> None:
        """Say it aloud where that is possible now; the text has been shown already."""
        if self._speaker is None:
            self.speaker_outage.lost("there is none, phrases are only shown")
            return
        if not self.speaker_outage.may_try():
            return
        prompt = current.item.prompt
        current.sounding = True
        try:
            await self._speaker.say(Utterance(text, prompt.language, prompt.urgency))
        except SourceLost as exc:
            self.speaker_outage.lost(str(exc))
        else:
            self.speaker_outage.works()
        finally:
            current.sounding = False
