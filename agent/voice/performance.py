"""One prompt on its way to the driver, and the talk that follows it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from agent.core.errors import SourceLost
from agent.core.events import Event, Feedback
from agent.core.occasions import ConsentSpoken, NothingHeard, TalkWanted
from agent.core.ports import Clock, Heard, Language, Microphone, Notice, Notify, Speaker, Utterance
from agent.voice.clips import Clips
from agent.voice.dialog import Dialog, Turn
from agent.voice.director import Director
from agent.voice.outage import Outage
from agent.voice.questions import STOP_ASKING, Question
from agent.voice.waiting import Item


@dataclass(slots=True)
class Performance:
    """What is being said or asked.

    sounding: aloud just now; told: what it has to say has been said, and the talk has begun; settled: saying it again
    would serve nobody; question: what is being asked, or will be next.
    """

    item: Item
    task: asyncio.Task[None] | None = None
    sounding: bool = False
    told: bool = False
    settled: bool = False
    question: Question | None = None

    def stop(self) -> None:
        """Cut it short."""
        if self.task is not None:
            self.task.cancel()


class Performer:
    """Says, asks, listens, and emits what was answered.

    is_calm: whether a further question is bearable now; wait_open: returns once the gate lets an item sound, False
    where that takes too long for a talk. on_talk: gets what was said after the button was pressed. on_told: gets an
    event whose word has sounded to its end. heed: does what an answer says about consents, None where the answer is
    about the question; tell_done: what to say to that; later: has it said another time. clips: take the sound of
    answers.
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
        on_talk: Callable[[Heard | NothingHeard], None],
        on_told: Callable[[Event], None],
        heed: Callable[[Heard], ConsentSpoken | None],
        tell_done: Callable[[ConsentSpoken], str],
        later: Callable[[Event], None],
        clips: Clips,
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
        self._on_talk = on_talk
        self._on_told = on_told
        self._heed = heed
        self._tell_done = tell_done
        self._later = later
        self._clips = clips

    async def perform(self, current: Performance) -> None:
        """Say the prompt, put its question and what follows from the answers."""
        prompt = current.item.prompt
        self._director.note_put(prompt, self._clock.monotonic_ns())
        current.question = self._allowed(prompt.question)
        if prompt.text and await self._say(current, prompt.text):
            self._on_told(current.item.event)
        self.counts["said"] += 1
        current.told = True
        while current.question is not None and self._microphone is not None:
            turn = await self._ask(current, current.question, self._microphone)
            current.question = self._allowed(turn.follow_up)
            if not await self._wait_open(current.item):
                self.counts["forgone"] += 1
                return
            await self._say(current, turn.text)
            if current.question is not None and not self._is_calm():
                self.counts["forgone"] += 1  # a garage can wait for whoever brakes hard
                return
        if isinstance(current.item.event, TalkWanted):
            await self._hear_out(current)

    def _allowed(self, question: Question | None) -> Question | None:
        """The question, unless it rests or there is nobody to hear an answer."""
        if question is None or self._microphone is None:
            return None
        return question if self._director.may_ask(question, self._clock.monotonic_ns()) else None

    async def _hear_out(self, current: Performance) -> None:
        """Listen to what the driver wants to say; who is cut short may press again."""
        current.settled = True
        heard, deaf = None, self._microphone is None
        if self._microphone is not None:
            timeout_s = self._director.config.answer_timeout_s
            try:
                language = current.item.prompt.language
                heard = await self._listen(self._microphone, timeout_s=timeout_s, language=language)
            except SourceLost:
                deaf = True
        if heard is not None and heard.text.strip():
            self._on_talk(heard)
        else:
            self._on_talk(NothingHeard(t_ns=self._clock.monotonic_ns(), deaf=deaf))

    async def _listen(self, microphone: Microphone, *, timeout_s: float, language: Language) -> Heard | None:
        """Raises SourceLost, which is told once per outage."""
        try:
            heard = await microphone.listen(timeout_s=timeout_s, language=language, keep_sound=self._clips.open())
        except SourceLost as exc:
            self.microphone_outage.lost(str(exc))
            raise
        self.microphone_outage.works()
        return heard

    async def _ask(self, current: Performance, question: Question, microphone: Microphone) -> Turn:
        """Put the question until there is an answer, silence or nothing more to try; emit it and return the reply.

        Words about consents are done, told each time, and no answer: the question is put again, once. Silence after a
        question that did not sound tells nothing.
        """
        prompt, event = current.item.prompt, current.item.event
        scene = prompt.scene
        dialog = self._dialog(current, question)
        timeout_s = scene.timeout_s if scene and scene.timeout_s else self._director.config.answer_timeout_s
        text = dialog.text
        heeded = False
        while True:
            if not await self._wait_open(current.item):
                raise asyncio.CancelledError  # as if cut short: it is put again when that is possible
            self._notify(Notice("asked", self._clock.monotonic_ns(), text, event=event))
            self.counts["asked"] += 1
            sounded = await self._sound(current, text)
            asked_ns = self._clock.monotonic_ns()
            heard = None
            try:
                heard = await self._listen(microphone, timeout_s=timeout_s, language=prompt.language)
            except SourceLost:
                turn = dialog.deaf(asked_ns=asked_ns, t_ns=self._clock.monotonic_ns())
            else:
                now_ns = self._clock.monotonic_ns()
                self._notify(Notice("heard", now_ns, "" if heard is None else heard.text, event=event))
                done = None if heard is None else self._heed(heard)
                if done:
                    await self._say_done(current, done)
                if done and not heeded:
                    heeded = True
                    dialog = self._dialog(current, question)  # other answers may leave now than before
                    continue
                deaf = heard is None and not sounded
                heard = None if done else heard
                hear = dialog.deaf if deaf else partial(dialog.hear, heard)
                turn = hear(asked_ns=asked_ns, t_ns=now_ns)
            if turn.feedback is not None:
                self._settle(current, question, turn, turn.feedback)
                self._clips.keep(heard, turn.feedback)
                return turn
            text = turn.text

    def _dialog(self, current: Performance, question: Question) -> Dialog:
        scene = current.item.prompt.scene
        return Dialog(
            question,
            about=current.item.event,
            language=current.item.prompt.language,
            sent=self._is_sent(),
            may_silence=scene is None or scene.guard.may_silence,
        )

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

    async def _say_done(self, current: Performance, done: ConsentSpoken) -> None:
        """Tell what was done about a consent, once the gate lets it sound; what is cut short is told another time."""
        said = False
        try:
            if await self._wait_open(current.item):
                await self._say(current, self._tell_done(done))
                said = True
        finally:
            if not said:
                self._later(done)

    async def _say(self, current: Performance, text: str) -> bool:
        """Show it and say it aloud; whether it sounded."""
        self._notify(Notice("said", self._clock.monotonic_ns(), text, event=current.item.event))
        return await self._sound(current, text)

    async def _sound(self, current: Performance, text: str) -> bool:
        """Say it aloud where that is possible now; the text has been shown already. Whether it sounded to its end."""
        if self._speaker is None:
            self.speaker_outage.lost("there is none, phrases are only shown")
            return False
        if not self.speaker_outage.may_try():
            return False
        prompt = current.item.prompt
        current.sounding = True
        try:
            await self._speaker.say(Utterance(text, prompt.language, prompt.urgency))
        except SourceLost as exc:
            self.speaker_outage.lost(str(exc))
            return False
        else:
            self.speaker_outage.works()
            return True
        finally:
            current.sounding = False
