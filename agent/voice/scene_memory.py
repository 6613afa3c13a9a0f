"""What scenes remember over boots: when each was put, what was answered, what the driver wants to hear no more."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from agent.core.keeper import Keeper
from agent.core.ports import StateStore

_NAMES_MAX: Final = 300  # of scenes and questions together
_RECENT_MAX: Final = 64
_GROUPS_MAX: Final = 32  # of a trigger that are counted apart
_COUNTED_MAX: Final = 2000  # times, of all triggers
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Instant:
    """t_ns of this boot's monotonic clock, None of an earlier boot's; utc_s where UTC was known."""

    t_ns: int | None
    utc_s: float | None

    def seconds_until(self, now: "Instant") -> float | None:
        """How long ago it was; None where nobody can say."""
        if self.t_ns is not None and now.t_ns is not None:
            return (now.t_ns - self.t_ns) / 1e9
        return None if self.utc_s is None or now.utc_s is None else now.utc_s - self.utc_s


@dataclass(frozen=True, slots=True)
class Stay:
    """Since when the car stands at a partner place."""

    place: str
    since: Instant


class _State(msgspec.Struct):
    """As it is saved, in UTC seconds; what happened while UTC was not known is not kept."""

    put: dict[str, float] = {}
    answered: dict[str, float] = {}
    settled: list[str] = []
    silenced: list[str] = []
    recent: list[float] = []
    counted: dict[str, dict[str, list[float]]] = {}
    stay: tuple[str, float] | None = None


class SceneMemory:
    """Remembers in monotonic time within a boot, and in UTC beyond it. utc_ns: UTC, None where it is not known."""

    def __init__(self, store: StateStore | None = None, utc_ns: Callable[[], int | None] = lambda: None) -> None:
        """store: raises StoreError; a file that is damaged is begun anew: it costs a question too many."""
        self._utc_ns = utc_ns
        self._keeper = Keeper(store, "memory of scenes", self._state)
        state = self._keeper.load(partial(msgspec.json.decode, type=_State)) or _State()
        self._put = _awake(state.put)
        self._answered = _awake(state.answered)
        self._settled = set(state.settled)
        self._silenced = set(state.silenced)
        self._recent = deque((Instant(None, utc_s) for utc_s in state.recent), maxlen=_RECENT_MAX)
        self.counted = {
            trigger: {group: deque(Instant(None, utc_s) for utc_s in times) for group, times in groups.items()}
            for trigger, groups in state.counted.items()
        }

        self.stay = None if state.stay is None else Stay(state.stay[0], Instant(None, state.stay[1]))

    @property
    def silenced(self) -> frozenset[str]:
        """Scenes that the driver wants to hear no more."""
        return frozenset(self._silenced)

    def instant(self, t_ns: int) -> Instant:
        """Now, at that monotonic time."""
        utc_ns = self._utc_ns()
        return Instant(t_ns, None if utc_ns is None else utc_ns / 1e9)

    def silence(self, scene: str, *, silent: bool = True) -> None:
        """Ask no more about it, or again."""
        if silent:
            self._silenced.add(scene)
        else:
            self._silenced.discard(scene)
        self.save()

    def ask_about_all(self) -> None:
        """Nobody's wish holds any more: everything of the owner's is erased."""
        self._silenced.clear()
        self.save()

    def count(self, trigger: str, group: str, times: deque[Instant]) -> None:
        """What a trigger has counted of a group so far; the triggers that have counted nothing for longest are let go.

        Else triggers that are no more would stay for ever, until the file is too large to be read.
        """
        groups = self.counted.pop(trigger, {})
        groups.pop(group, None)
        groups |= {group: times} if times else {}
        self.counted[trigger] = dict(list(groups.items())[-_GROUPS_MAX:])
        while sum(len(each) for groups in self.counted.values() for each in groups.values()) > _COUNTED_MAX:
            del self.counted[next(iter(self.counted))]
        self.save()

    def note_put(self, scene: str, t_ns: int, *, counts: bool) -> None:
        """The scene was put, under the name that its guard counts by; counts: against the limit of an hour."""
        now = self.instant(t_ns)
        self._put.pop(scene, None)
        self._put[scene] = now
        if len(self._put) > _NAMES_MAX:
            del self._put[next(iter(self._put))]
        if counts:
            self._recent.append(now)
        self.save()

    def note_answer(self, scene: str, question: str, t_ns: int) -> None:
        """The driver has answered."""
        self._answered[question] = self.instant(t_ns)
        self._settled.add(scene)
        self.save()

    def is_settled(self, scene: str) -> bool:
        """Whether the scene was answered ever."""
        return scene in self._settled

    def put_s_ago(self, scene: str, t_ns: int) -> float | None:
        """How long ago the scene was played; infinite where it never was, None where nobody can say."""
        return self._ago(self._put.get(scene), t_ns)

    def answered_s_ago(self, question: str, t_ns: int) -> float | None:
        """How long ago the question was answered; infinite where it never was, None where nobody can say."""
        return self._ago(self._answered.get(question), t_ns)

    def put_within_hour(self, t_ns: int) -> int:
        """How many scenes that count were played in the last hour; those of whose time nobody knows are counted."""
        now = self.instant(t_ns)
        ages = (then.seconds_until(now) for then in self._recent)
        return sum(age is None or 0 <= age < _HOUR_S for age in ages)

    def note_stay(self, place: str, since_ns: int, t_ns: int) -> None:
        """At t_ns the car has stood at a partner place since then."""
        utc_s = self.instant(t_ns).utc_s
        since = Instant(since_ns, None if utc_s is None else utc_s - (t_ns - since_ns) / 1e9)
        self.stay = Stay(place, since)
        self.save()

    def forget_stay(self) -> None:
        """It has left."""
        self.stay = None
        self.save()

    def save(self) -> None:
        """Keep what is known."""
        self._keeper.save()

    def look(self, t_ns: int) -> None:
        """Keep what a disk has refused before."""
        self._keeper.look(t_ns)

    def _state(self) -> bytes:
        """Bounded: the oldest names are let go."""
        counted = {
            trigger: {group: _times(times) for group, times in groups.items()}
            for trigger, groups in self.counted.items()
            if groups
        }
        stay = self.stay
        state = _State(
            put=_asleep(self._put),
            answered=_asleep(self._answered),
            settled=sorted(self._settled)[:_NAMES_MAX],
            silenced=sorted(self._silenced)[:_NAMES_MAX],
            recent=_times(self._recent),
            counted=counted,
            stay=None if stay is None or stay.since.utc_s is None else (stay.place, stay.since.utc_s),
        )
        return msgspec.json.encode(state)

    def _ago(self, then: Instant | None, t_ns: int) -> float | None:
        return float("inf") if then is None else then.seconds_until(self.instant(t_ns))


def _awake(times: dict[str, float]) -> dict[str, Instant]:
    return {name: Instant(None, utc_s) for name, utc_s in list(times.items())[-_NAMES_MAX:]}


def _asleep(instants: dict[str, Instant]) -> dict[str, float]:
    known = [(name, then.utc_s) for name, then in instants.items()]
    return {name: utc_s for name, utc_s in known[-_NAMES_MAX:] if utc_s is not None}


def _times(instants: deque[Instant]) -> list[float]:
    return [then.utc_s for then in instants if then.utc_s is not None]
