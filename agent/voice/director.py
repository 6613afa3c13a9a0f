"""What an event calls for: its own phrase, and the scene that may follow it now."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from agent.core.config import Voice
from agent.core.events import Event, Feedback, Priority, Purpose
from agent.voice.dialog import FREE_WORDS
from agent.voice.facts import keys_of
from agent.voice.prompts import Phrases, Prompt, choose_prompt, renew_prompt, scene_prompts
from agent.voice.questions import SILENCE, STOP_ASKING, UNCLEAR, Question
from agent.voice.scene_file import Scene
from agent.voice.scene_memory import SceneMemory
from agent.voice.scene_watch import Cue, SceneWatch
from agent.voice.waiting import Item

_JUST_NOW_NS: Final = 60 * 10**9
_HOURLY_FROM: Final = Priority.SERVICE  # what is graver is asked whatever was asked before


@dataclass(frozen=True, slots=True)
class Cabin:
    """Who is there. empty: nobody is known to have been in the car at the event; shared: more than the driver is."""

    empty: bool = False
    shared: bool = False


class Director:
    """Chooses, and remembers what was put and answered. sent: purposes whose events leave the car, as of now."""

    def __init__(
        self, config: Voice, phrases: Phrases, *, memory: SceneMemory | None = None, sent: Collection[Purpose]
    ) -> None:
        self.config = config
        self.memory = memory or SceneMemory()
        self.refused = 0
        self._last: tuple[Scene, int] | None = None
        self._phrases = phrases
        self._watch = SceneWatch(phrases.scenes, self.memory)
        self._sent = sent

    def take(self, event: Event, cabin: Cabin, now_ns: int) -> list[Prompt]:
        """Everything to say and ask about an event."""
        if isinstance(event, Feedback):
            self._heed(event, now_ns)
        language = self.config.language
        sent = event.purpose in self._sent
        base = choose_prompt(event, self._phrases, language, sent=sent, empty=cabin.empty)
        cue = self._first(self._watch.take(event, keys_of(event, empty=cabin.empty)), cabin, now_ns)
        return scene_prompts(cue, base, self._phrases, language)

    def overdue(self, cabin: Cabin, now_ns: int) -> list[tuple[Prompt, Event]]:
        """What is called for by something that has not come."""
        due_ns = self._watch.due_ns()
        if due_ns is None or due_ns > now_ns:
            return []
        cue = self._first(self._watch.due(now_ns), cabin, now_ns)
        if cue is None:
            return []
        return [(prompt, cue.event) for prompt in scene_prompts(cue, None, self._phrases, self.config.language)]

    def keeps_waiting(self, item: Item, cabin: Cabin, now_ns: int) -> bool:
        """Whether a scene waits on although its moment has come: the hour is full, or somebody else is in the car.

        What an event says by itself never does.
        """
        cue = item.prompt.cue
        waits = item.prompt.is_scenes_own or item.unheard
        return cue is not None and waits and not self._is_timely(cue, cabin, now_ns)

    def renew(self, item: Item, cabin: Cabin, now_ns: int) -> Item | None:
        """The item as it is to be put now, None where nothing is left of it.

        Consent, language, silence and the hour may be others than when its event came.
        """
        prompt, cue = item.prompt, item.prompt.cue
        played = cue is not None and self._may_play(cue, cabin, now_ns)
        if cue is not None and not played:
            self.refused += 1
            if item.unheard:
                return None
        sent = item.event.purpose in self._sent
        renewed = renew_prompt(prompt, item.event, self._phrases, self.config.language, sent=sent, with_scene=played)
        return None if renewed is None else replace(item, prompt=renewed)

    def may_ask(self, question: Question, now_ns: int) -> bool:
        """Whether a question does not rest. One answered in an earlier boot, nobody knows when, rests no more."""
        ago_s = self.memory.answered_s_ago(question.name, now_ns)
        return ago_s is None or ago_s >= question.rest_s

    def note_put(self, prompt: Prompt, begun_ns: int) -> None:
        """A scene was put; its talk began then."""
        if prompt.cue is not None:
            self._last = (prompt.cue.scene, begun_ns)
            self.memory.note_put(prompt.cue.id, begun_ns, counts=prompt.urgency >= _HOURLY_FROM)

    def note_answer(self, cue: Cue | None, question: Question, intent: str, now_ns: int, *, stop: bool) -> None:
        """What the driver answered."""
        if cue is None:
            return
        if intent not in (SILENCE, UNCLEAR):
            self.memory.note_answer(cue.id, question.name, now_ns)
        if stop and cue.scene.guard.may_silence:
            self.memory.silence(cue.scene.name)

    def _heed(self, remark: Feedback, now_ns: int) -> None:
        """Words outside a question that want no more of it are about the scene that was just put."""
        if remark.question != FREE_WORDS or remark.wish != STOP_ASKING or self._last is None:
            return
        scene, put_ns = self._last
        if now_ns - put_ns <= _JUST_NOW_NS and scene.guard.may_silence:
            self.memory.silence(scene.name)

    def _first(self, cues: list[Cue], cabin: Cabin, now_ns: int) -> Cue | None:
        for cue in cues:
            if self._may_play(cue, cabin, now_ns):
                return cue
            self.refused += 1
        return None

    def _may_play(self, cue: Cue, cabin: Cabin, now_ns: int) -> bool:
        """The whole guard: when the event comes, and again when the scene's turn has come."""
        scene, guard, memory = cue.scene, cue.scene.guard, self.memory
        if self.config.language not in guard.languages or not set(guard.consent) <= set(self._sent):
            return False
        if scene.name in memory.silenced or (guard.once and memory.is_settled(cue.id)):
            return False
        ago_s = memory.put_s_ago(cue.id, now_ns)
        if guard.cooldown_s and (ago_s is None or ago_s < guard.cooldown_s):
            return False
        return self._is_timely(cue, cabin, now_ns)

    def _is_timely(self, cue: Cue, cabin: Cabin, now_ns: int) -> bool:
        """What may pass by itself: company, and a full hour."""
        guard = cue.scene.guard
        if guard.alone and cabin.shared:
            return False
        urgency = cue.event.priority if guard.urgency is None else guard.urgency
        return urgency < _HOURLY_FROM or self.memory.put_within_hour(now_ns) < self.config.scenes_per_hour
