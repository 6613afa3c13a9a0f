"""Recordings as a FrameSource that drives the clock."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.errors import EndOfSource, InputError
from agent.core.frames import FrameBatch, concatenate
from simulators.clock import ManualClock
from simulators.replay.recording import Recording, open_recording

_FRAMES_MAX: Final = 1 << 16  # a batch's limit, should a log bear the same time throughout


class ReplaySource:
    """Hands out recordings window by window and moves the clock with them.

    The clock stands at the end of a window when its frames are handed out, as it would in the car, and it moves on
    only when everybody has finished with them. Files with absolute times are played in their order and keep the gaps
    between them; otherwise each follows the one before at once, in the order given. Files that overlap are played
    one after the other.
    """

    name = "replay"

    def __init__(self, paths: Sequence[Path], clock: ManualClock, *, window_s: float) -> None:
        self._paths = paths
        self._clock = clock
        self._window_ns = max(1, round(window_s * 1e9))
        self.refused: list[str] = []  # why each file that is none was left out
        self._recordings: list[Recording] = []
        self._started = 0
        self._base_ns = 0
        self._starts_ns: list[int] = []
        self._batches: Iterator[FrameBatch] = iter(())
        self._pending: FrameBatch | None = None

    async def open(self) -> None:
        """Raise InputError where none of the files is a recording; single ones that are not go to `refused`."""
        self._recordings, self.refused = _open_all(self._paths)
        if all(recording.start_wall_ns is not None for recording in self._recordings):
            self._recordings.sort(key=lambda recording: recording.start_wall_ns or 0)
        self._started = 0
        self._starts_ns = []
        self._base_ns = self._clock.monotonic_ns()
        self._batches = self._play()
        self._pending = None

    async def close(self) -> None:
        """Let go of the files."""
        self._batches = iter(())
        self._pending = None

    async def read_batch(self) -> FrameBatch:
        """Frames of the next window that has any, at most 65,536. Raises EndOfSource, or InputError."""
        if self._pending is None or not len(self._pending):
            self._pending = next(self._batches, None)
        if self._pending is None:
            await self._clock.advance_to(self._clock.monotonic_ns())  # so that the last window's work is done, too
            raise EndOfSource(f"{len(self._recordings)} recordings played")
        passed_ns = int(self._pending.t_ns[0]) - self._base_ns
        end_ns = self._base_ns + (passed_ns // self._window_ns + 1) * self._window_ns
        batch = self._take_until(end_ns)
        await self._clock.advance_to(end_ns)
        return batch

    def counters(self) -> Mapping[str, int]:
        """Sums over the files so far; recorded_s leaves the gaps between them out."""
        played = self._recordings[: self._started]
        return {
            "frames": sum(recording.frames for recording in played),
            "bad_lines": sum(recording.bad_lines for recording in played),
            "backward_steps": sum(recording.backward_steps for recording in played),
            "clock_jumps": sum(recording.clock_jumps for recording in played),
            "files": len(played),
            "recorded_s": round(sum(recording.duration_ns for recording in played) / 1e9),
        }

    def index_at(self, t_ns: int) -> int:
        """Which of `recordings` the clock's t_ns belongs to."""
        return max(0, bisect_right(self._starts_ns, t_ns) - 1)

    @property
    def recordings(self) -> Sequence[Recording]:
        """The files in the order of play, for reports."""
        return self._recordings

    def _play(self) -> Iterator[FrameBatch]:
        first_wall_ns = self._recordings[0].start_wall_ns if self._recordings else None
        absolute = all(recording.start_wall_ns is not None for recording in self._recordings)
        offset_ns = 0
        for recording in self._recordings:
            self._started += 1
            if absolute and first_wall_ns is not None and recording.start_wall_ns is not None:
                offset_ns = max(offset_ns, recording.start_wall_ns - first_wall_ns)
            self._starts_ns.append(self._base_ns + offset_ns)
            try:
                for batch in recording:
                    yield replace(batch, t_ns=batch.t_ns + (self._base_ns + offset_ns))
            except InputError as exc:  # what was read before the damage has been played
                self.refused.append(str(exc))
            offset_ns += recording.duration_ns

    def _take_until(self, end_ns: int) -> FrameBatch:
        """Frames earlier than end_ns, across the borders of chunks and files."""
        parts: list[FrameBatch] = []
        room = _FRAMES_MAX
        while self._pending is not None and room:
            count = min(room, int(np.searchsorted(self._pending.t_ns, end_ns)))
            parts.append(self._pending[:count])
            room -= count
            if count < len(self._pending):
                self._pending = self._pending[count:]
                break
            self._pending = next(self._batches, None)
        return concatenate(parts)


def find_start_wall_ns(paths: Sequence[Path]) -> int | None:
    """UTC at which the earliest of the recordings starts, None unless all of them tell. Raises InputError."""
    starts = [recording.start_wall_ns for recording in _open_all(paths)[0]]
    known = [start for start in starts if start is not None]
    return min(known) if known and len(known) == len(starts) else None


def _open_all(paths: Sequence[Path]) -> tuple[list[Recording], list[str]]:
    """Recordings, and why the other files are none. Raises InputError where there is no recording at all."""
    recordings: list[Recording] = []
    refused: list[str] = []
    for path in paths:
        try:
            recordings.append(open_recording(path))
        except InputError as exc:
            refused.append(str(exc))
    if not recordings:
        raise InputError("; ".join(refused) or "no files")
    return recordings, refused
