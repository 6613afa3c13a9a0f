"""Speaks and listens: events in, Feedback out. One voice, one question at a time, the driver's calm first."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import get_args

from agent.core.config import Voice
from agent.core.events import Collision, Event, Feedback, Priority, Purpose
from agent.core.occasions import ConsentSpoken, NothingHeard, TalkWanted
from agent.core.ports import Clock, Heard, Microphone, Notice, Notify, Speaker
from agent.core.privacy_events import ErasureRequested
from agent.core.signals import SignalWindow
from agent.voice.clips import Clips
from agent.voice.consent_talk import ConsentTalk
from agent.voice.dialog import remark
from agent.voice.director import Cabin, Director
from agent.voice.gate import Gate
from agent.voice.moments import Moments
from agent.voice.occasions import Occasions
from agent.voice.openings import Openings
from agent.voice.outranked import Outranked
from agent.voice.page_answers import PageAnswers
from agent.voice.performance import Performance, Performer
from agent.voice.presence import Presence
from agent.voice.prompts import Phrases, Prompt
from agent.voice.push_to_talk import PushToTalk
from agent.voice.scene_memory import SceneMemory
from agent.voice.turns import Turns
from agent.voice.waiting import Item, Waiting


class Conversation:
    """Says what events call for when the gate allows, asks, listens, and emits what was answered.

    Every text also goes to `notify`, so that a screen shows it where there is no sound. A failing speaker or
    microphone is reported once per outage and tried again with backoff. It takes nothing back: whatever is answered is
    an event beside the one it is about. memory: what scenes have asked; occasions: what only they want to know; sent:
    purposes whose events leave the car, as they are when asked; nothing else is promised. consents: does what is said
    about them; None: such words are like any others. agreed: purposes agreed to, as they are when asked; without
    `audio` among them no sound is kept. on_told: gets an event whose own word the driver has been told aloud.
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
        memory: SceneMemory | None = None,
        occasions: Occasions | None = None,
        sent: Collection[Purpose] = get_args(Purpose),
        consents: ConsentTalk | None = None,
        agreed: Collection[Purpose] = (),
        on_told: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._notify = notify
        self._emit = emit
        self._occasions = occasions
        self._consents = consents
        self._clips = Clips(agreed, clock=clock, emit=emit)
        self._gate = Gate(config)
        self._presence = Presence()
        self._moments = Moments()
        self._openings = Openings(self._gate, self._moments, clock)
        self._waiting = Waiting(config.waiting_max)
        self._director = Director(config, phrases, memory=memory, sent=sent)
        self._performer = Performer(
            self._director,
            phrases,
            speaker=speaker,
            microphone=microphone,
            clock=clock,
            notify=notify,
            emit=emit,
            is_calm=self._openings.is_calm,
            wait_open=self._openings.wait_open,
            is_sent=lambda: Feedback.purpose in sent,
            on_talk=self._on_talk,
            on_told=on_told,
            heed=self._heed,
            tell_done=self._tell_done,
            later=self.on_event,
            clips=self._clips,
        )
        self._button = PushToTalk()
        self._said_ns: dict[str, int] = {}  # by prompt key
        self._outranked = Outranked()
        self._turns = Turns(
            self._waiting, self._director, self._openings, self._presence, self._moments, self._outranked
        )
        self._current: Performance | None = None
        self._changed = asyncio.Event()
        self._ear_due = True  # as it was when the queue was looked at last
        self._closed = False
        self._counts = dict.fromkeys(("cooled", "interrupted"), 0)

    @property
    def page(self) -> PageAnswers:
        """Takes what the driver answers in writing."""
        return self._performer.page

    @property
    def memory(self) -> SceneMemory:
        """What scenes remember, and which of them the driver has silenced."""
        return self._director.memory

    def on_window(self, window: SignalWindow) -> None:
        """Feed the gate; lesser speech stops in mid-word when it closes."""
        self._gate.update(window)
        came, moved = self._presence.update(window), self._moments.update(window)
        if came or moved or (not self._ear_due and self._performer.ear.is_due()):
            self._changed.set()
        if self._config.enabled and not self._closed:
            for occasion in self._occasions.update(window) if self._occasions else ():
                self.on_event(occasion)
            for prompt, event in self._director.overdue(self._cabin(window.t_ns), window.t_ns):
                self._queue(prompt, event)
        current = self._current
        if current is not None and current.sounding and not self._openings.may_go_on(current.item, told=current.told):
            current.stop()

    def on_event(self, event: Event) -> None:
        """Queue what the event calls for, if anything. Never waits."""
        self._gate.on_event(event)
        self._moments.on_event(event)
        if isinstance(event, ErasureRequested):
            self.page.clear()
        if not self._config.enabled or self._closed:
            return
        for prompt in self._director.take(event, self._cabin(event.t_ns, event), self._clock.monotonic_ns()):
            self._queue(prompt, event)

    def on_words(self, heard: Heard) -> bool:
        """Take what the driver says of his own accord; what is said to it is called for by the event it becomes.

        Words about his consents are done, and kept nowhere. False where he is listened to: who listens hears them.
        """
        if self._is_listening():
            return False
        self._take_words(heard)
        return True

    def on_presses(self, presses: int) -> None:
        """The driver wants to say something. Who is being asked is heard already, and answers with what he says."""
        now_ns = self._clock.monotonic_ns()
        for _ in range(presses):
            if self._button.heed(now_ns, busy=self._is_listening()):
                self.on_event(TalkWanted(t_ns=now_ns))

    def configure(self, config: Voice) -> None:
        """Go on with a new config; switching off stops speech at once."""
        self._config = self._director.config = config
        self._gate.configure(config)
        self._waiting.size_max = config.waiting_max
        self._waiting.trim()
        if not config.enabled:
            self._waiting.clear()
            self.page.clear()
            if self._current is not None:
                self._current.stop()
        self._changed.set()

    async def run(self) -> None:
        """Speak until close(). What waits then is dropped and counted."""
        try:
            while not self._closed:
                now_ns, self._ear_due = self._clock.monotonic_ns(), self._performer.ear.is_due()
                ready = self._turns.ready(now_ns, ear=self._ear_due)
                if (item := self._openings.first(ready)) is None:
                    await self._openings.wait_for(ready, self._changed)
                elif (renewed := self._turns.take_out(item, now_ns)) is not None:
                    await self._perform_alone(renewed)
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
        return {
            **self._performer.counters(),
            **self._counts,
            **self._waiting.counters(),
            "cooled": self._counts["cooled"] + self._turns.cooled,
            "refused": self._director.refused,
            "presses": self._button.heeded,
            "presses_ignored": self._button.ignored,
        }

    def troubles(self) -> Mapping[str, str]:
        """Why speaker and microphone do not work, "" where they do as far as known."""
        return self._performer.troubles()

    def _heed(self, heard: Heard) -> ConsentSpoken | None:
        if self._consents is None:
            return None
        return self._consents.heed(heard, self._config.language, self._clock.monotonic_ns())

    def _tell_done(self, spoken: ConsentSpoken) -> str:
        """What to say to an answer that is about consents and was done."""
        return " ".join(prompt.text for prompt in self._director.take(spoken, self._cabin(spoken.t_ns), spoken.t_ns))

    def _cabin(self, t_ns: int, event: Event | None = None) -> Cabin:
        empty = isinstance(event, Collision) and self._presence.was_empty(event)
        return Cabin(empty=empty, shared=self._presence.is_shared(t_ns))

    def _queue(self, prompt: Prompt, event: Event) -> None:
        now_ns = self._clock.monotonic_ns()
        said_ns = self._said_ns.get(prompt.key)
        cooling = said_ns is not None and now_ns - said_ns < prompt.cooldown_s * 1e9
        if cooling or self._outranked.silences(event, now_ns):
            self._counts["cooled"] += 1
            return
        self._outranked.heed(event)
        self._waiting.put(Item(prompt, event, now_ns))
        self._changed.set()
        if self._current is not None and self._gives_way(self._current, prompt.urgency, now_ns):
            self._current.stop()

    def _gives_way(self, current: Performance, urgency: int, now_ns: int) -> bool:
        """Whether what is being said stops for something of that urgency that has just come.

        A crash's word interrupts lesser ones in mid-word, and a talk of its own rank once that has said its own word.
        """
        grave = urgency <= Priority.CRASH and (current.told or current.item.prompt.urgency > Priority.CRASH)
        return grave or self._outranked.silences(current.item.event, now_ns)

    def _on_talk(self, came: Heard | NothingHeard) -> None:
        """What came of a press."""
        now_ns = self._clock.monotonic_ns()
        if self._button.note(now_ns, understood=isinstance(came, Heard)):
            self._notify(Notice("source", now_ns, "button: nothing was understood again and again, it rests a while"))
        if isinstance(came, Heard):
            self._take_words(came)
        else:
            self.on_event(came)

    def _take_words(self, heard: Heard) -> None:
        if self._config.enabled and not self._closed and heard.text.strip():
            now_ns = self._clock.monotonic_ns()
            self._notify(Notice("heard", now_ns, heard.text))
            if (spoken := self._heed(heard)) is not None:
                self.on_event(spoken)
            else:
                said = remark(heard, language=self._config.language, t_ns=now_ns)
                self._emit(said)
                self._clips.keep(heard, said)

    def _is_listening(self) -> bool:
        """Whether a question is put, or the button was pressed: the microphone is open, or will be in a moment."""
        current = self._current
        asked = current is not None and current.question is not None and self._performer.ear.is_due()
        return asked or (current is not None and isinstance(current.item.event, TalkWanted))

    async def _perform_alone(self, item: Item) -> None:
        """Perform one item in a task of its own, so that something more urgent can cut it short."""
        current = self._current = Performance(item)
        task = current.task = asyncio.create_task(self._perform(current), name=f"voice-{item.prompt.key}")
        try:
            await asyncio.wait({task})
        finally:
            self._current = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if not current.settled and (current.unheard or task.cancelled()):
                self._keep(current)
        if not task.cancelled():
            task.result()

    def _keep(self, current: Performance) -> None:
        """Have it put another time."""
        self._counts["interrupted"] += not current.unheard
        if self._closed or not self._config.enabled:
            self._waiting.dropped += 1
        else:
            self._waiting.put_back(current.rest, told=current.told)

    async def _perform(self, current: Performance) -> None:
        now_ns = self._clock.monotonic_ns()
        if not current.item.unheard:
            self._said_ns[current.item.prompt.key] = now_ns
            self._outranked.note(current.item.event, now_ns)
        await self._performer.perform(current)
