"""How far the crash records of all cars have come at the claims desk, and which of them fell silent. Pure."""

from dataclasses import dataclass, field
from typing import Final, Literal

from agent.core.crash import FRAGMENTS_MAX
from agent.core.crash_events import CrashRecord

RecordState = Literal["coming", "complete", "partial", "withdrawn", "silent"]
"""partial: the box said that not all of it was kept. silent: it stopped in the middle, and nothing came since."""

SILENT_S: Final = 60.0
"""Longer than the 20 s of a record and most tunnels; short enough that somebody still waits for help."""
_UNFINISHED_MAX: Final = 10_000


@dataclass(slots=True)
class Progress:
    """One record. ticket: where it belongs, 0 while no event has opened one."""

    device: str
    boot: int
    record: int
    t0_ns: int
    state: RecordState = "coming"
    ticket: int = 0
    fragments: set[int] = field(default_factory=set)
    last: int | None = None  # number of the fragment that ends it
    kept: bool = False

    def take(self, event: CrashRecord) -> None:
        """One more fragment, in any order, or the same again."""
        if 0 <= event.fragment < FRAGMENTS_MAX:
            self.fragments.add(event.fragment)
        if event.part in {"end", "withdrawn"}:
            self.last, self.kept = event.fragment, event.complete
        if event.part == "withdrawn":
            self.state = "withdrawn"
        elif self.last is not None and len(self.fragments) > self.last:
            self.state = "complete" if self.kept else "partial"
        else:
            self.state = "coming"


class Records:
    """Records that are not finished. The oldest go beyond a limit: their tickets stay."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[str, int, int], Progress] = {}
        self._heard_ns: dict[str, int] = {}  # of the cars that have one

    def hear(self, device: str, received_ns: int) -> None:
        """Note that a car gave a sign of life."""
        if device in self._heard_ns:
            self._heard_ns[device] = received_ns

    def take(self, device: str, boot: int, event: CrashRecord, received_ns: int) -> tuple[Progress, bool]:
        """Return its record, and whether its state changed by this fragment."""
        key = (device, boot, event.record)
        known = self._unfinished.get(key)
        progress = known or Progress(device, boot, event.record, event.t_ns)
        before = progress.state if known else None
        progress.take(event)
        self._heard_ns[device] = received_ns
        if progress.state == "coming":
            self._unfinished[key] = progress
            if len(self._unfinished) > _UNFINISHED_MAX:
                self._forget(next(iter(self._unfinished)))
        elif known:
            self._forget(key)
        return progress, progress.state != before

    def of_crash(self, device: str, boot: int, first_ns: int, last_ns: int) -> list[Progress]:
        """Unfinished records of a boot whose T0 lies between."""
        return [
            one
            for one in self._unfinished.values()
            if (one.device, one.boot) == (device, boot) and first_ns <= one.t0_ns <= last_ns
        ]

    def fall_silent(self, now_ns: int) -> list[Progress]:
        """Those of cars that have said nothing for SILENT_S; each is told once."""
        silent = [
            one
            for one in self._unfinished.values()
            if one.state != "silent" and now_ns - self._heard_ns[one.device] >= SILENT_S * 1e9
        ]
        for one in silent:
            one.state = "silent"
        return silent

    def _forget(self, key: tuple[str, int, int]) -> None:
        del self._unfinished[key]
        if not any(device == key[0] for device, _, _ in self._unfinished):
            self._heard_ns.pop(key[0], None)
