"""Speaks and listens: events in, Feedback out. One voice, one question at a time, the driver's calm first."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from agent.core.config import Voice
from agent.core.errors import SourceLost
from agent.core.events import BatteryAlarm, Collision, Event, Feedback, Priority, Purpose, Rollover
from agent.core.ports import Clock, Microphone, Notice, Notify, Speaker, Utterance
from agent.core.signals import SignalWindow
from agent.voice.dialog import Dialog, Turn
from agent.voice.gate import Gate
from agent.voice.outage import Outage
from agent.voice.outranked import Outranked
from agent.voice.presence import Presence
from agent.voice.prompts import Phrases, choose_prompt
from agent.voice.questions import SILENCE, UNCLEAR, Question
from agent.voice.waiting import Item, Waiting

_EMERGENCY_LEVEL: Final = 4  # GB/T 32960.3-2025: a thermal event


@dataclass(slots=True)
class _Performance:
    """What is being said or asked. sounding: aloud just now; settled: saying it again would serve nobody."""

    item: Item
    task: asyncio.Task[None] | None = None
    sounding: bool = False
    settled: bool = False

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Conversation:
    """Says what events call for when the gate allows, asks, listens, and emits what was answered.

    Every text also goes to `notify`, so that a screen shows it where there is no sound. A failing speaker or
    microphone is reported once per outage and tried again with backoff. It takes nothing back: whatever is answered is
    an event beside the one it is about. sent: purposes whose events leave the car; nothing else is promised.
    """

    def __init__(
        self,
        config: Voice,
        phrases: Phrases,
        *,
        speaker: Speaker | None,
        microphone: Microphone | None,
        clock: Clock,
        notify: Notify,
        emit: Callable[[Event], None],
        sent: Collection[Purpose] = get_args(Purpose),
    ) -> None:
        self._config = config
        self._phrases = phrases
        self._speaker = speaker
        self._microphone = microphone
        self._clock = clock
        self._notify = notify
        self._emit = emit
        self._sent = frozenset(sent)
        self._gate = Gate(config)
        self._presence = Presence()
        self._waiting = Waiting(config.waiting_max)
        self._speaker_outage = Outage("speaker", clock=clock, notify=notify)
        self._microphone_outage = Outage("microphone", clock=clock, notify=notify)
        self._said_ns: dict[str, int] = {}  # by prompt key
        self._outranked = Outranked()
        self._answered_ns: dict[str, int] = {}  # by question
        self._current: _Performance | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._counts = dict.fromkeys(("said", "asked", "answered", "cooled", "interrupted", "forgone"), 0)

    def on_window(self, window: SignalWindow) -> None:
        """Feed the gate; lesser speech stops in mid-word when it closes."""
        self._gate.update(window)
        if self._presence.update(window):
            self._changed.set()
        if self._current is not None and self._current.sounding and not self._may_sound(self._current.item):
            self._current.stop()

    def on_event(self, event: Event) -> None:
        """Queue what the event calls for, if anything. Never waits."""
        if isinstance(event, Collision):
            self._gate.on_collision(event)
        elif isinstance(event, Rollover) or (
            isinstance(event, BatteryAlarm) and event.level >= _EMERGENCY_LEVEL and not event.cleared
        ):
            self._gate.on_emergency(event.t_ns)
        if not self._config.enabled or self._closed:
            return
        empty = isinstance(event, Collision) and self._presence.was_empty(event)
        sent = event.purpose in self._sent
        prompt = choose_prompt(event, self._phrases, self._config.language, sent=sent, empty=empty)
        if prompt is None:
            return
        now_ns = self._clock.monotonic_ns()
        said_ns = self._said_ns.get(prompt.key)
        cooling = said_ns is not None and now_ns - said_ns < prompt.cooldown_s * 1e9
        if cooling or self._outranked.silences(event, now_ns):
            self._counts["cooled"] += 1
            return
        self._outranked.heed(event)
        self._waiting.put(Item(prompt, event, now_ns))
        self._changed.set()
        if self._current is not None and self._gives_way(self._current.item, prompt.urgency, now_ns):
            self._current.stop()

    def configure(self, config: Voice) -> None:
        """Go on with a new config; switching off stops speech at once."""
        self._config = config
        self._gate.configure(config)
        self._waiting.size_max = config.waiting_max
        self._waiting.trim()
        if not config.enabled:
            self._waiting.clear()
            if self._current is not None:
                self._current.stop()
        self._changed.set()

    async def run(self) -> None:
        """Speak until close(). What waits then is dropped and counted."""
        try:
            while not self._closed:
                now_ns = self._clock.monotonic_ns()
                item = self._waiting.first(now_ns, driver=self._presence.there(now_ns))
                if item is None or not self._may_sound(item):
                    await self._wait_for(item)
                    continue
                self._waiting.remove(item)
                if self._outranked.silences(item.event, self._clock.monotonic_ns()):
                    self._counts["cooled"] += 1
                    continue
                await self._perform_alone(item)
        finally:
            self._waiting.clear()

    def close(self) -> None:
        """End run(), in mid-word if need be."""
        self._closed = True
        self._changed.set()
        if self._current is not None:
            self._current.stop()

    def counters(self) -> Mapping[str, int]:
        """Everything counted so far."""
        waiting = self._waiting
        return self._counts | {
            "dropped": waiting.dropped,
            "replaced": waiting.replaced,
            "stale": waiting.stale,
            "speaker_outages": self._speaker_outage.count,
            "microphone_outages": self._microphone_outage.count,
        }

    def _gives_way(self, current: Item, urgency: int, now_ns: int) -> bool:
        """Whether what is being said stops for something of that urgency that has just come."""
        return urgency <= Priority.CRASH < current.prompt.urgency or self._outranked.silences(current.event, now_ns)

    def _may_ask(self, question: Question) -> bool:
        answered_ns = self._answered_ns.get(question.name)
        return answered_ns is None or self._clock.monotonic_ns() - answered_ns >= question.rest_s * 1e9

    def _may_sound(self, item: Item) -> bool:
        return self._gate.is_open(self._clock.monotonic_ns(), item.prompt.urgency)

    async def _wait_for(self, item: Item | None) -> None:
        """Wait for news, or for the gate to open for the item. The gate may have closed further by then: look again."""
        self._changed.clear()
        opens_ns = None if item is None else self._gate.opens_ns(item.prompt.urgency)
        if opens_ns is None:
            await self._changed.wait()
            return
        delay_s = (opens_ns - self._clock.monotonic_ns()) / 1e9
        timer = asyncio.create_task(self._clock.sleep(delay_s), name="voice-gate")
        timer.add_done_callback(lambda _: self._changed.set())
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
            await asyncio.wait({timer})

    async def _perform_alone(self, item: Item) -> None:
        """Perform one item in a task of its own, so that something more urgent can cut it short."""
        current = self._current = _Performance(item)
        task = current.task = asyncio.create_task(self._perform(current), name=f"voice-{item.prompt.key}")
        try:
            await asyncio.wait({task})
        finally:
            self._current = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if task.cancelled() and not current.settled:
                self._keep_interrupted(item)
        if not task.cancelled():
            task.result()

    def _keep_interrupted(self, item: Item) -> None:
        self._counts["interrupted"] += 1
        if self._closed or not self._config.enabled:
            self._waiting.dropped += 1
        else:
            self._waiting.put_back(item)

    async def _perform(self, current: _Performance) -> None:
        prompt, event = current.item.prompt, current.item.event
        self._said_ns[prompt.key] = self._clock.monotonic_ns()
        self._outranked.note(event, self._clock.monotonic_ns())
        self._notify(Notice("said", self._clock.monotonic_ns(), prompt.text, event=event))
        await self._sound(current, prompt.text)
        self._counts["said"] += 1
        question = prompt.question
        while question is not None and self._microphone is not None and self._may_ask(question):
            turn = await self._ask(current, question, self._microphone)
            self._notify(Notice("said", self._clock.monotonic_ns(), turn.text, event=event))
            await self._sound(current, turn.text)
            question = turn.follow_up
            if question is not None and not self._gate.is_calm(self._clock.monotonic_ns()):
                self._counts["forgone"] += 1  # a garage can wait for whoever brakes hard
                return

    async def _ask(self, current: _Performance, question: Question, microphone: Microphone) -> Turn:
        """Put the question until there is an answer, silence or nothing more to try; emit it and return the reply."""
        event, language = current.item.event, current.item.prompt.language
        dialog = Dialog(question, about=event, language=language, sent=Feedback.purpose in self._sent)
        text = dialog.text
        while True:
            self._notify(Notice("asked", self._clock.monotonic_ns(), text, event=event))
            self._counts["asked"] += 1
            await self._sound(current, text)
            asked_ns = self._clock.monotonic_ns()
            try:
                heard = await microphone.listen(timeout_s=self._config.answer_timeout_s, language=language)
            except SourceLost as exc:
                self._microphone_outage.lost(str(exc))
                turn = dialog.deaf(asked_ns=asked_ns, t_ns=self._clock.monotonic_ns())
            else:
                self._microphone_outage.works()
                now_ns = self._clock.monotonic_ns()
                self._notify(Notice("heard", now_ns, "" if heard is None else heard.text, event=event))
                turn = dialog.hear(heard, asked_ns=asked_ns, t_ns=now_ns)
            if turn.feedback is not None:
                current.settled = True
                if turn.feedback.intent not in (SILENCE, UNCLEAR):
                    self._answered_ns[question.name] = turn.feedback.t_ns
                self._counts["answered"] += 1
                self._emit(turn.feedback)
                return turn
            text = turn.text

    async def _sound(self, current: _Performance, text: str) -> None:
        """Say it aloud where that is possible now; the text has been shown already."""
        if self._speaker is None:
            self._speaker_outage.lost("there is none, phrases are only shown")
            return
        if not self._speaker_outage.may_try():
            return
        prompt = current.item.prompt
        current.sounding = True
        try:
            await self._speaker.say(Utterance(text, prompt.language, prompt.urgency))
        except SourceLost as exc:
            self._speaker_outage.lost(str(exc))
        else:
            self._speaker_outage.works()
        finally:
            current.sounding = False
