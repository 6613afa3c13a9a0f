"""An ELM327-like adapter in time: the chip behind its serial line, with whatever goes wrong on the way.

No I/O: characters and instants in, characters and instants out. dongle.py plugs it into a pty or TCP port; the soak
test runs it in simulated time.
"""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Final, Literal

from agent.core.config import Section
from simulators.elm327 import SEARCHING, Answers, Elm327Chip, Traits

_COMMAND_MAX: Final = 256
_GARBAGE: Final = b"\xfe\x80\xf0\x7f\x15_>?\rG"  # no hex digits: an adapter has no checksum that would show those
_HALF_DRIBBLE: Final = 8  # characters a slow line hands over at once
_BABBLE: Final = b"7E8 03 41 0D 32 \r"
_BABBLE_NS: Final = 50_000_000
NEVER_NS: Final = 1 << 62  # an instant that does not come


class Episode(Section, frozen=True, kw_only=True):
    """Something that begins now and then, lasts, and ends by itself.

    mute: hears and says nothing. unplugged: gone, and comes up as after power-on. reboot: starts anew with its
    greeting; quiet_reboot: without. garbage: every character is another one (wrong baud rate). ignition: the bus does
    not answer. lag: everything comes lag_s late. babble: lines without end, no prompt. asleep: mute until the first
    character, which is lost.
    """

    kind: Literal["mute", "unplugged", "reboot", "quiet_reboot", "garbage", "ignition", "lag", "babble", "asleep"]
    every_s: float = 8.0
    lasts_s: tuple[float, float] = (0.3, 4.0)
    lag_s: float = 0.0


class LineFaults(Section, frozen=True, kw_only=True):
    """What the line does to characters and answers. Rates are 0 to 1, of characters or of answers."""

    lost: float = 0.0
    lost_up: float = 0.0  # on the way to the adapter
    doubled: float = 0.0
    nulls: float = 0.0
    garbage: float = 0.0
    prompt_lost: float = 0.0
    cut: float = 0.0  # the answer ends in the middle, without a prompt
    busy: float = 0.0  # the chip itself takes busy_s longer, and can be interrupted
    late: float = 0.0  # the line holds everything back for late_s
    late_tail: float = 0.0  # the second half of an answer only
    late_s: float = 0.0  # on average
    twice: float = 0.0  # an answer comes twice
    dribble_s: float = 0.0  # pause between pieces of an answer
    split: float = 0.0  # an answer comes in two pieces
    eats: Literal["line", "character"] = "line"  # what an interruption costs of the next command
    episodes: Sequence[Episode] = ()


class Adapter:
    """One adapter from power-on. `receive` and `take` never go back in time.

    fault_ns: the last instant at which something was wrong; faults: how often something went wrong.
    """

    def __init__(
        self,
        ecus: Sequence[Answers],
        traits: Traits | None = None,
        *,
        faults: LineFaults | None = None,
        latency_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.mute = False
        self.half_lines = False
        self.latency_s = latency_s
        self.plugged = True
        self.fault_ns = -1
        self.faults = 0
        self._random = Random(seed)
        self._ecus = ecus
        self._traits = traits or Traits()
        self._faults = faults or LineFaults()
        self._line = bytearray()
        self._busy: tuple[int, bytes, bool] | None = None  # until when, with what, and whether it searches
        self._out: deque[tuple[int, bytes]] = deque()
        self._episode: Episode | None = None
        self._edge_ns = NEVER_NS
        self._babble_ns = NEVER_NS
        self._lag_ns = 0
        self.power_on()
        self._plan(0)

    def power_on(self) -> None:
        """Come up: all settings are the factory's."""
        self.chip = Elm327Chip(self._ecus, self._traits, random=self._random)
        self._line.clear()
        self._out.clear()
        self._busy = None
        self.plugged = True

    def power_off(self) -> None:
        """Nothing works until power_on."""
        self._busy = None
        self._out.clear()
        self.plugged = False

    @property
    def next_ns(self) -> int:
        """When `take` may have something again; far in the future where only a command can change that."""
        due = min(self._edge_ns, self._babble_ns)
        if self._busy is not None:
            due = min(due, self._busy[0])
        return min(due, self._out[0][0]) if self._out else due

    def take(self, t_ns: int) -> bytes:
        """Characters that have come by t_ns."""
        self._advance(t_ns)
        found = bytearray()
        while self._out and self._out[0][0] <= t_ns:
            found += self._out.popleft()[1]
        return bytes(found)

    def receive(self, data: bytes, t_ns: int) -> None:
        """Characters typed by the client."""
        self._advance(t_ns)
        kind = self._episode.kind if self._episode else ""
        if self.mute or not self.plugged or self.chip.locked or kind in {"mute", "unplugged", "reboot", "quiet_reboot"}:
            return
        if kind == "asleep":
            data = data[1:]
            self._end_episode(t_ns)
        elif kind == "babble":
            self._end_episode(t_ns)  # any character ends it
            self._say(self.chip.interrupted(), t_ns)
            return
        for byte in data:
            if self._strikes(self._faults.lost_up, t_ns):
                continue
            if self._busy is not None:  # too early: the command under way is lost, and of this one some or all
                self._busy = None
                self._line.clear()
                self._say(self.chip.interrupted(), t_ns)
                if self._faults.eats == "line":
                    return
                continue
            self._type(byte, t_ns)

    def _type(self, byte: int, t_ns: int) -> None:
        if byte != 0x0D:
            if len(self._line) < _COMMAND_MAX:
                self._line.append(byte)
            return
        line = bytes(self._line)
        self._line.clear()
        self._say(self.chip.echo(line + b"\r"), t_ns)
        search_s = self.chip.search_s(line)
        if search_s:
            self._say(SEARCHING, t_ns)
        needs_s = self.latency_s + search_s
        if self._strikes(self._faults.busy, t_ns):
            needs_s += self._late_s()
            self.fault_ns = max(self.fault_ns, t_ns + round(needs_s * 1e9))
        self._busy = (t_ns + round(needs_s * 1e9), line, search_s > 0)

    def _advance(self, t_ns: int) -> None:
        """Everything that happens by itself until t_ns, in order."""
        while True:
            busy_ns = self._busy[0] if self._busy else NEVER_NS
            first_ns = min(busy_ns, self._edge_ns, self._babble_ns)
            if first_ns > t_ns:
                break
            if first_ns == busy_ns and self._busy is not None:
                _, line, searching = self._busy
                self._busy = None
                self._answer(line, first_ns, said=SEARCHING if searching else b"")
            elif first_ns == self._edge_ns:
                self._cross_edge(first_ns)
            else:
                self._babble_ns += _BABBLE_NS
                self._say(_BABBLE, first_ns)
        if self._episode is not None:
            self.fault_ns = max(self.fault_ns, t_ns)

    def _answer(self, line: bytes, t_ns: int, *, said: bytes) -> None:
        """The answer to a command, without what has been said of it already."""
        troubles = self.chip.troubles
        answer = self.chip.answer(line).removeprefix(said)
        if self.chip.troubles > troubles:
            self._note(t_ns)
        if self._strikes(self._faults.cut, t_ns) or self.half_lines:
            answer = answer[: len(answer) // 2]
        elif self._strikes(self._faults.prompt_lost, t_ns):
            answer = answer.replace(b">", b"")
        if self._strikes(self._faults.twice, t_ns):
            answer *= 2
        half = len(answer) // 2 if self._strikes(self._faults.late_tail, t_ns) else 0
        if half:
            self._say(answer[:half], t_ns)
        if half or self._strikes(self._faults.late, t_ns):
            t_ns += round(self._late_s() * 1e9)
            self.fault_ns = max(self.fault_ns, t_ns)
        self._say(answer[half:], t_ns)

    def _late_s(self) -> float:
        return self._faults.late_s * self._random.uniform(0.5, 1.5)

    def _say(self, data: bytes, t_ns: int) -> None:
        """Put characters on the line, behind those that are on it already."""
        kind = self._episode.kind if self._episode else ""
        if self.mute or not data or kind in {"mute", "unplugged", "reboot", "quiet_reboot", "asleep"}:
            return
        if kind == "garbage":
            data = bytes(self._random.choice(_GARBAGE) for _ in data)
        data = self._spoil(data, t_ns)
        t_ns += self._lag_ns
        if self._out:
            t_ns = max(t_ns, self._out[-1][0])
        step_ns = round(self._faults.dribble_s * 1e9)
        size = _HALF_DRIBBLE if step_ns else len(data)
        if not step_ns and self._faults.split and self._random.random() < self._faults.split:
            size, step_ns = self._random.randint(1, len(data) or 1), 1_000_000
        for start in range(0, len(data), size or 1):
            self._out.append((t_ns, data[start : start + size]))
            t_ns += step_ns

    def _spoil(self, data: bytes, t_ns: int) -> bytes:
        """What is left of the characters after the line's faults."""
        faults = self._faults
        if not (faults.lost or faults.doubled or faults.nulls or faults.garbage):
            return data
        spoilt = bytearray()
        for byte in data:
            if self._strikes(faults.lost, t_ns):
                continue
            spoilt.append(self._random.choice(_GARBAGE) if self._strikes(faults.garbage, t_ns) else byte)
            if self._strikes(faults.doubled, t_ns):
                spoilt.append(byte)
            if self._random.random() < faults.nulls:
                spoilt.append(0)
        return bytes(spoilt)

    def _strikes(self, rate: float, t_ns: int) -> bool:
        if not rate or self._random.random() >= rate:
            return False
        self._note(t_ns)
        return True

    def _note(self, t_ns: int) -> None:
        self.fault_ns = max(self.fault_ns, t_ns)
        self.faults += 1

    def _plan(self, t_ns: int) -> None:
        """Set when the next episode begins."""
        if not self._faults.episodes:
            return
        mean_s = min(episode.every_s for episode in self._faults.episodes)
        self._edge_ns = t_ns + round(self._random.expovariate(1 / mean_s) * 1e9)

    def _cross_edge(self, t_ns: int) -> None:
        if self._episode is not None:
            self._end_episode(t_ns)
            return
        episode = self._random.choice(list(self._faults.episodes))
        self._episode = episode
        self._note(t_ns)
        self._edge_ns = t_ns + round(self._random.uniform(*episode.lasts_s) * 1e9)
        if episode.kind == "unplugged":
            self.power_off()
        elif episode.kind in {"mute", "reboot", "quiet_reboot", "asleep"}:
            self._busy = None
            self._out.clear()
        elif episode.kind == "ignition":
            self.chip.ignition = False
        elif episode.kind == "lag":
            self._lag_ns = round(episode.lag_s * 1e9)
        elif episode.kind == "babble":
            self._busy = None
            self._babble_ns = t_ns

    def _end_episode(self, t_ns: int) -> None:
        episode, self._episode = self._episode, None
        self.fault_ns = max(self.fault_ns, t_ns + self._lag_ns)
        self._lag_ns = 0
        self._babble_ns = NEVER_NS
        self._plan(t_ns)
        if episode is None:
            return
        if episode.kind in {"unplugged", "reboot", "quiet_reboot"}:
            self.power_on()
            if episode.kind == "reboot":
                self._say(self.chip.greeting(), t_ns)
        self.chip.ignition = True
