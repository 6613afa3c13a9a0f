"""Which scenes an event calls for: single events, and patterns of them. Pure; time comes with the events."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.event_base import Event
from agent.voice.conditions import fits
from agent.voice.scene_file import Scene, Step, Trigger
from agent.voice.scene_memory import SceneMemory

_COUNTED_MAX: Final = 20
_MISSING_MAX: Final = 8  # events of one trigger that wait for what may not come


@dataclass(frozen=True, slots=True)
class Cue:
    """A scene whose trigger was pulled, and the event that did it."""

    scene: Scene
    trigger: Trigger
    event: Event

    @property
    def id(self) -> str:
        """What its guard counts by: the scene's name, and the value that it is told apart by."""
        per = self.scene.guard.per
        return f"{self.scene.name}:{getattr(self.event, per)}" if per else self.scene.name


class SceneWatch:
    """Sees every event, and tells the scenes that are called for.

    The best comes first: the more specific event, then more conditions, then the name. Counts outlive a boot in the
    memory; what came before and what is missing does not.
    """

    def __init__(self, scenes: Sequence[Scene], memory: SceneMemory) -> None:
        self._patterns = [
            _Pattern(scene, trigger, f"{scene.name}.{place}", memory)
            for scene in scenes
            for place, trigger in enumerate(scene.triggers)
        ]

    def take(self, event: Event, keys: Sequence[str]) -> list[Cue]:
        """keys: the event's, as prompts know them, the most specific first."""
        names = {key: place for place, key in enumerate(dict.fromkeys((*keys, event.kind)))}
        pulled = [pattern for pattern in self._patterns if pattern.take(event, names)]
        pulled.sort(key=lambda pattern: (names[pattern.trigger.event], -pattern.weight, pattern.id))
        return _one_a_scene([Cue(pattern.scene, pattern.trigger, event) for pattern in pulled])

    def due(self, t_ns: int) -> list[Cue]:
        """Scenes whose missing event has not come in time."""
        cues = [
            Cue(pattern.scene, pattern.trigger, event) for pattern in self._patterns for event in pattern.overdue(t_ns)
        ]
        return _one_a_scene(cues)

    def due_ns(self) -> int | None:
        """When due() may next have something; None: not without an event before."""
        return min((due_ns for pattern in self._patterns for due_ns, _ in pattern.waiting), default=None)


@dataclass(slots=True)
class _Pattern:
    scene: Scene
    trigger: Trigger
    id: str
    memory: SceneMemory
    chain: list[int | None] = field(init=False)  # where the chain began that has come as far as this step
    unless_ns: int | None = None
    waiting: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=_MISSING_MAX))

    def __post_init__(self) -> None:
        self.chain = [None] * len(self.trigger.after)

    @property
    def weight(self) -> int:
        """How much it asks for."""
        trigger = self.trigger
        steps = len(trigger.after) + len(trigger.unless) + (trigger.missing is not None)
        return len(trigger.where) + steps + (trigger.count > 1)

    def take(self, event: Event, names: dict[str, int]) -> bool:
        """Whether the event pulls the trigger now."""
        trigger = self.trigger
        pulled = _is(event, names, trigger) and self._has_led_up(event) and self._count(event)
        self._remember(event, names)
        if pulled and trigger.missing:
            self.waiting.append((event.t_ns + self._span_ns, event))
            return False
        return pulled

    def overdue(self, t_ns: int) -> list[Event]:
        """Events after which the missing one has not come."""
        over = [event for due_ns, event in self.waiting if due_ns <= t_ns]
        while self.waiting and self.waiting[0][0] <= t_ns:
            self.waiting.popleft()
        return over

    @property
    def _span_ns(self) -> int:
        return round((self.trigger.within_s or 0) * 1e9)

    def _has_led_up(self, event: Event) -> bool:
        if self.chain and (self.chain[-1] is None or event.t_ns - self.chain[-1] > self._span_ns):
            return False
        return self.unless_ns is None or event.t_ns - self.unless_ns > self._span_ns

    def _remember(self, event: Event, names: dict[str, int]) -> None:
        trigger = self.trigger
        for place in reversed(range(len(trigger.after))):  # one event is one step
            begun_ns = event.t_ns if place == 0 else self.chain[place - 1]
            if begun_ns is not None and _is(event, names, trigger.after[place]):
                self.chain[place] = begun_ns
        if any(_is(event, names, step) for step in trigger.unless):
            self.unless_ns = event.t_ns
        if trigger.missing and _is(event, names, trigger.missing):
            self.waiting.clear()

    def _count(self, event: Event) -> bool:
        """Whether it is the last one of as many as are wanted; those that made it up are spent."""
        trigger = self.trigger
        if trigger.count == 1:
            return True
        now = self.memory.instant(event.t_ns)
        groups = self.memory.counted.get(self.id, {})
        group = str(getattr(event, trigger.per)) if trigger.per else ""
        ages = [(then, then.seconds_until(now)) for then in (*groups.get(group, ()), now)]
        within_s = trigger.within_s or 0
        full = sum(1 for _, age_s in ages if age_s is not None and 0 <= age_s <= within_s) >= trigger.count
        kept = [then for then, age_s in ages if age_s is None or age_s <= within_s]  # UTC may become known yet
        self.memory.count(self.id, group, deque(() if full else kept, maxlen=_COUNTED_MAX))
        return full


def _is(event: Event, names: dict[str, int], step: Step | Trigger) -> bool:
    return step.event in names and all(fits(getattr(event, name), wanted) for name, wanted in step.where.items())


def _one_a_scene(cues: list[Cue]) -> list[Cue]:
    """Of several triggers of one scene the best counts."""
    best: dict[str, Cue] = {}
    for cue in cues:
        best.setdefault(cue.scene.name, cue)
    return list(best.values())
