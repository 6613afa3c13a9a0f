"""When what control units remember has changed: each change is told once, and what flickers is waited for. Pure."""

from dataclasses import dataclass, field
from typing import Final

from agent.core.diagnosis_events import TroubleCodes
from agent.core.trouble import CodeReading

_SURE_NS: Final = 5 * 10**9  # a code that no unit has weighed must be there so long
_GONE_NS: Final = 30 * 10**9  # and one that is told must be away so long
_FRESH_NS: Final = 120 * 10**9  # after the first reading: it may have been told before the restart
_SOURCES_MAX: Final = 64
_CODES_MAX: Final = 255  # of one kind and source
_KINDS: Final = ("stored", "pending", "permanent")

Codes = dict[str, tuple[str, ...]]


@dataclass(slots=True)
class _Memory:
    """One source. seen: kind and code -> since when and until when it was read without a break."""

    begun_ns: int
    told: Codes = field(default_factory=lambda: dict.fromkeys(_KINDS, ()))
    seen: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


class CodeWatch:
    """Hears readings of any number of sources."""

    def __init__(self) -> None:
        self._memories: dict[str, _Memory] = {}

    def take(self, reading: CodeReading) -> TroubleCodes | None:
        """A reading; what to tell where it changes anything."""
        if reading.source not in self._memories:
            if len(self._memories) >= _SOURCES_MAX:
                return None
            self._memories[reading.source] = _Memory(reading.t_ns)
        memory = self._memories[reading.source]
        now = {kind: self._settle(memory, kind, reading) for kind in _KINDS}
        if now == memory.told:
            return None
        before, after = _all(memory.told), _all(now)
        memory.told = now
        frozen = reading.frozen if reading.frozen in after else ""
        return TroubleCodes(
            t_ns=reading.t_ns,
            source=reading.source,
            stored=list(now["stored"]),
            pending=list(now["pending"]),
            permanent=list(now["permanent"]),
            added=[code for code in after if code not in before],
            gone=[code for code in before if code not in after],
            after_restart=reading.t_ns - memory.begun_ns < _FRESH_NS,
            frozen=frozen,
            frame_signals=sorted(reading.frame) if frozen else [],
            frame_values=[round(reading.frame[path], 3) for path in sorted(reading.frame)] if frozen else [],
        )

    def codes(self) -> frozenset[str]:
        """Every code told and still there, of all sources."""
        return frozenset(code for memory in self._memories.values() for code in _all(memory.told))

    def _settle(self, memory: _Memory, kind: str, reading: CodeReading) -> tuple[str, ...]:
        """The codes of one kind that count as there after this reading."""
        read: tuple[str, ...] | None = getattr(reading, kind)
        if read is None:
            return memory.told[kind]
        sure = reading.sure and kind != "pending"
        there = []
        for code in read[:_CODES_MAX]:
            since_ns, _ = memory.seen.get((kind, code), (reading.t_ns, 0))
            memory.seen[kind, code] = since_ns, reading.t_ns
            if sure or code in memory.told[kind] or reading.t_ns - since_ns >= _SURE_NS:
                there.append(code)
        away = [code for code in memory.told[kind] if code not in read]
        there += [code for code in away if not reading.whole or reading.t_ns - memory.seen[kind, code][1] < _GONE_NS]
        for known, code in list(memory.seen):
            if known == kind and code not in read and code not in there:
                del memory.seen[known, code]
        return tuple(sorted(there))


def _all(codes: Codes) -> list[str]:
    return sorted({code for kind in _KINDS for code in codes[kind]})
