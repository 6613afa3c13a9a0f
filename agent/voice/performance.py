"""One prompt on its way to the driver, and the talk that follows it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from agent.core.errors import SourceLost
from agent.core.events import Event, Feedback, Priority
from agent.core.occasions import ConsentSpoken, NothingHeard, TalkWanted
from agent.core.ports import Clock, Heard, Microphone, Notice, Notify, Speaker, Utterance
from agent.voice.answers import Answers
from agent.voice.clips import Clips
from agent.voice.dialog import Dialog, Turn
from agent.voice.director import Director
from agent.voice.ear import Ear
from agent.voice.outage import Outage
from agent.voice.page_answers import PageAnswers
from agent.voice.prompts import Phrases
from agent.voice.questions import Question
from agent.voice.waiting import Item


@dataclass(slots=True)
class Performance:
    """What is being said or asked.

    sounding: aloud just now; told: what it has to say has been said, and the talk has begun; settled: saying it again
    would serve nobody; question: what is being asked, or will be next; unheard: the ear failed, so it was not put.
    """

    item: Item
    task: asyncio.Task[None] | None = None
    sounding: bool = False
    told: bool = False
    settled: bool = False
    question: Question | None = None
    unheard: bool = False
    begun_ns: int = 0

    @property
    def rest(self) -> Item:
        """What is to be put another time: all of it, or the question alone."""
        return replace(self.item, unheard=self.unheard or self.item.unheard)

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
    answers. page: takes answers in writing.
    """

    def __init__(
        self,
        director: Director,
        phrases: Phrases,
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
        self.ear = Ear(microphone, clock=clock, notify=notify)
        self._counts = dict.fromkeys(("said", "asked", "forgone"), 0)
        self._speaker_outage = Outage("speaker", clock=clock, notify=notify)
        self._answers = Answers(director, emit=emit, is_sent=is_sent)
        self.page = PageAnswers(
            director,
            self._answers,
            {language: book.questions for language, book in phrases.languages.items()},
            clock=clock,
            notify=notify,
            heed=heed,
            tell_done=tell_done,
            done=self._answered_on_page,
        )
        self._current: Performance | None = None
        self._director = director
        self._speaker = speaker
        self._clock = clock
        self._notify = notify
        self._is_calm = is_calm
        self._wait_open = wait_open
        self._on_talk = on_talk
        self._on_told = on_told
        self._heed = heed
        self._tell_done = tell_done
        self._later = later
        self._clips = clips

    def counters(self) -> Mapping[str, int]:
        """What was said, asked and answered, and how often the sound or the ear was lost."""
        outages = {"speaker_outages": self._speaker_outage.count, "microphone_outages": self.ear.outage.count}
        return self._counts | self._answers.counts | outages

    def troubles(self) -> Mapping[str, str]:
        """Why speaker and microphone do not work, "" where they do as far as known."""
        return {"speaker_trouble": self._speaker_outage.trouble, "microphone_trouble": self.ear.outage.trouble}

    async def perform(self, current: Performance) -> None:
        """Say the prompt, put its question and what follows from the answers."""
        self._current = current
        current.begun_ns = self._clock.monotonic_ns()
        item, prompt = current.item, current.item.prompt
        current.question = self._allowed(current, prompt.question)
        if not item.unheard:
            if prompt.text and await self._say(current, prompt.text):
                self._on_told(item.event)
            self._counts["said"] += 1
            if current.question is None:
                self._director.note_put(prompt, current.begun_ns)
        current.told = True
        while current.question is not None:
            turn = await self._ask(current, current.question)
            if turn is None:
                return
            current.question = self._allowed(current, turn.follow_up)
            if not await self._wait_open(current.item):
                self._counts["forgone"] += 1
                return
            await self._say(current, turn.text)
            if current.question is not None and not self._is_calm():
                self._counts["forgone"] += 1  # a garage can wait for whoever brakes hard
                return
        if isinstance(current.item.event, TalkWanted):
            await self._hear_out(current)

    def _allowed(self, current: Performance, question: Question | None) -> Question | None:
        """The question, unless it rests, or was answered on the page meanwhile."""
        if question is None or self.page.has_answer(current.item.event, question.name):
            return None
        return question if self._director.may_ask(question, self._clock.monotonic_ns()) else None

    async def _hear_out(self, current: Performance) -> None:
        """Listen to what the driver wants to say; who is cut short may press again."""
        current.settled = True
        heard, deaf = None, False
        timeout_s = self._director.config.answer_timeout_s
        try:
            language = current.item.prompt.language
            heard = await self.ear.listen(timeout_s=timeout_s, language=language, keep_sound=self._clips.open())
        except SourceLost:
            deaf = True
        if heard is not None and heard.text.strip():
            self._on_talk(heard)
        else:
            self._on_talk(NothingHeard(t_ns=self._clock.monotonic_ns(), deaf=deaf))

    async def _ask(self, current: Performance, question: Question) -> Turn | None:
        """Put the question until there is an answer, silence or nothing more to try; emit it and return the reply.

        Words about consents are done, told each time, and no answer: the question is put again, once. Silence after a
        question that did not sound tells nothing. None where nobody could hear an answer, and the question waits.
        """
        prompt, event = current.item.prompt, current.item.event
        scene = prompt.scene
        dialog = self._answers.dialog(current.item, question, prompt.language)
        self.page.put(current.item, question, noted=current.settled)
        if not await self.ear.works(prompt.language):
            return self._deaf(current, question, dialog, asked_ns=self._clock.monotonic_ns())
        timeout_s = scene.timeout_s if scene and scene.timeout_s else self._director.config.answer_timeout_s
        text = dialog.text
        heeded = False
        while True:
            if not await self._wait_open(current.item):
                raise asyncio.CancelledError  # as if cut short: it is put again when that is possible
            self._notify(Notice("asked", self._clock.monotonic_ns(), text, event=event))
            self._counts["asked"] += 1
            sounded = await self._sound(current, text)
            asked_ns = self._clock.monotonic_ns()
            try:
                heard = await self.ear.listen(
                    timeout_s=timeout_s, language=prompt.language, keep_sound=self._clips.open()
                )
            except SourceLost:
                return self._deaf(current, question, dialog, asked_ns=asked_ns)
            now_ns = self._clock.monotonic_ns()
            self._notify(Notice("heard", now_ns, "" if heard is None else heard.text, event=event))
            done = None if heard is None else self._heed(heard)
            if done:
                await self._say_done(current, done)
            if done and not heeded:
                heeded = True
                dialog.sent = self._answers.is_sent()  # other answers may leave now
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

    def _deaf(self, current: Performance, question: Question, dialog: Dialog, *, asked_ns: int) -> Turn | None:
        """Nobody can hear an answer. After a crash that is told; any other question waits for the ear, or the page."""
        if not _is_crash(current.item):
            current.unheard = self.ear.exists and not current.settled
            return None
        turn = dialog.deaf(asked_ns=asked_ns, t_ns=self._clock.monotonic_ns())
        if turn.feedback is not None:
            self._settle(current, question, turn, turn.feedback)
        return turn

    def _settle(self, current: Performance, question: Question, turn: Turn, feedback: Feedback) -> None:
        """The first question of a talk settles that its scene was put: what nobody could hear was not."""
        if not current.settled:
            self._director.note_put(current.item.prompt, current.begun_ns)
        current.settled = True
        self.page.settle(current.item, question, feedback.intent)
        self._answers.settle(current.item, question, turn, feedback)

    def _answered_on_page(self, event: Event, question: str) -> None:
        """Listen to it no longer."""
        current = self._current
        asked = None if current is None or current.item.event is not event else current.question
        if current is not None and asked is not None and asked.name == question:
            current.settled = True
            current.stop()

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
            self._speaker_outage.lost("there is none, phrases are only shown")
            return False
        if not self._speaker_outage.may_try():
            return False
        prompt = current.item.prompt
        current.sounding = True
        try:
            await self._speaker.say(Utterance(text, prompt.language, prompt.urgency))
        except SourceLost as exc:
            self._speaker_outage.lost(str(exc))
            return False
        else:
            self._speaker_outage.works()
            return True
        finally:
            current.sounding = False


def _is_crash(item: Item) -> bool:
    """Whether somebody may be hurt: the insurer is to know that nobody could be asked."""
    return item.event.priority <= Priority.CRASH and not item.prompt.needs_driver
