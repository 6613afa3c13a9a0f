"""A recording: what kind of log a file is, and its frames in batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from agent.core.errors import InputError
from agent.core.frames import FrameBatch
from simulators.replay import blf, mf4
from simulators.replay.asc import Asc
from simulators.replay.busmaster import DAY_NS, Busmaster
from simulators.replay.can_csv import PythonCan
from simulators.replay.lines import LineParser, read_lines, split_lines
from simulators.replay.report import Report
from simulators.replay.text_formats import Candump, Crtd, GenericId, Gvret, Microchip
from simulators.replay.timeline import Timeline

_HEAD_BYTES: Final = 1 << 16
_HEAD_LINES: Final = 400
_MICROS_32BIT_NS: Final = (1 << 32) * 1000


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A text format. wrap_ns: where its counter of time overflows."""

    make_parser: Callable[[], LineParser]
    extensions: tuple[str, ...]
    wrap_ns: int | None = None


TEXT_FORMATS: Final = {
    "asc": TextFormat(Asc, (".asc",)),
    "candump": TextFormat(Candump, (".log",)),
    "gvret": TextFormat(Gvret, (".csv",), _MICROS_32BIT_NS),
    "crtd": TextFormat(Crtd, (".crtd", ".txt")),
    "python-can": TextFormat(PythonCan, (".csv",)),
    "generic-id": TextFormat(GenericId, (".csv",)),
    "microchip": TextFormat(Microchip, (".log", ".can")),
    "busmaster": TextFormat(Busmaster, (".log",), DAY_NS),
}


class Recording:
    """One file's frames, read anew at every iteration; the counts are those of the latest one.

    Times count from the first frame, in nanoseconds, and never go back. start_wall_ns is the first frame's UTC
    where the format tells. bad_lines counts broken lines, or records in binary formats, and bad_places has the first
    few. backward_steps counts the places where the recorder's clock went back, clock_jumps those where it leapt
    forward by more than a day.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        read: Callable[[Report], Iterator[FrameBatch]],
        *,
        start_wall_ns: int | None = None,
        wrap_ns: int | None = None,
    ) -> None:
        self.path = path
        self.name = path.name
        self.format = kind
        self.start_wall_ns = start_wall_ns
        self.frames = 0
        self.duration_ns = 0
        self._read = read
        self._wrap_ns = wrap_ns
        self._report = Report()
        self._timeline = Timeline(wrap_ns=wrap_ns)

    @property
    def bad_lines(self) -> int:
        """Broken lines or records so far."""
        return self._report.bad

    @property
    def bad_places(self) -> list[str]:
        """The first few of them."""
        return list(self._report.places)

    @property
    def backward_steps(self) -> int:
        """Frames that bear an earlier time than the one before them."""
        return self._timeline.backward_steps

    @property
    def clock_jumps(self) -> int:
        """Leaps forward of more than a day, taken out."""
        return self._timeline.clock_jumps

    def __iter__(self) -> Iterator[FrameBatch]:
        self.frames = self.duration_ns = 0
        self._report = Report()
        self._timeline = Timeline(wrap_ns=self._wrap_ns)
        try:
            for batch in self._read(self._report):
                t_ns = self._timeline.advance(batch.t_ns)
                self.frames += len(batch)
                self.duration_ns = int(t_ns[-1])
                yield replace(batch, t_ns=t_ns)
        except OSError as exc:
            raise InputError(f"{self.path}: cannot be read: {exc.strerror or exc}") from exc


def open_recording(path: Path) -> Recording:
    """Find out what path is, by content first and extension second. Raises InputError."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return _open(path, head)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def _open(path: Path, head: bytes) -> Recording:
    extension = path.suffix.lower()
    if head.startswith(mf4.MAGICS):
        start_ns = mf4.read_start_ns(path)
        return Recording(path, "mf4", lambda report: mf4.read_mf4(path, report), start_wall_ns=start_ns)
    if head.startswith(blf.MAGIC):
        return Recording(
            path, "blf", lambda report: blf.read_blf(path, report), start_wall_ns=_find_blf_start(path, head)
        )
    kind, start_ns = _recognize_text(path, head)
    if kind is None and not head.strip():
        kind = _name_by_extension(extension)
    if kind is None:
        raise InputError(
            f"{path}: not a recording of a known format (content {_describe(head)}, extension {extension!r})"
        )
    if kind not in TEXT_FORMATS:
        return Recording(path, kind, lambda _: iter(()))
    text = TEXT_FORMATS[kind]
    return Recording(
        path,
        kind,
        lambda report: read_lines(path, text.make_parser(), report),
        start_wall_ns=start_ns,
        wrap_ns=text.wrap_ns,
    )


def _find_blf_start(path: Path, head: bytes) -> int | None:
    start_ns = blf.read_start_ns(head)
    first = next(blf.read_blf(path, Report()), None)
    return None if start_ns is None or first is None else start_ns + int(first.t_ns[0])


def _recognize_text(path: Path, head: bytes) -> tuple[str | None, int | None]:
    """The format most of whose lines the head has, and its first frame's UTC. A known extension settles a tie."""
    lines = split_lines(head)
    if len(head) == _HEAD_BYTES:
        lines = lines[:-1]  # cut in two
    best: tuple[int, int, bool] = (0, 0, False)
    found: tuple[str | None, int | None] = (None, None)
    for name, text in TEXT_FORMATS.items():
        frames, others, failed, start_ns = _try_parser(text.make_parser(), lines[:_HEAD_LINES])
        by_name = path.suffix.lower() in text.extensions
        score = (frames, others, by_name)
        if (frames or (others and (by_name or not failed))) and score > best:
            best, found = score, (name, start_ns)
    return found


def _try_parser(parser: LineParser, lines: list[str]) -> tuple[int, int, int, int | None]:
    """How many lines are frames, are others that the format knows, are neither; and the first frame's UTC."""
    frames = others = failed = 0
    start_ns = None
    for line in filter(None, lines):
        try:
            row = parser.parse(line)
        except ValueError:
            failed += 1
            continue
        if row is None:
            others += 1
            continue
        if frames == 0:
            start_ns = parser.wall_ns(row.t_ns)
        frames += 1
    return frames, others, failed, start_ns


def _name_by_extension(extension: str) -> str | None:
    """Format of an empty file; several share an extension, and then any will do."""
    binary = {".mf4": "mf4", ".mdf": "mf4", ".blf": "blf"}
    texts = (name for name, text in TEXT_FORMATS.items() if extension in text.extensions)
    return binary.get(extension) or next(texts, None)


def _describe(head: bytes) -> str:
    """What was seen: the first line of a text, the first bytes of anything else."""
    if not head:
        return "empty"
    first = head.lstrip().split(b"\n", 1)[0][:60].strip()
    printable = np.frombuffer(first, np.uint8)
    if len(first) and bool(np.all((printable >= 32) & (printable < 127))):
        return repr(first.decode("ascii"))
    return head[:16].hex(" ")
