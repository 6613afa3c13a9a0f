"""A small coverage-guided fuzzer for machines without atheris: mutate, run, keep what reaches new lines.

Coverage is lines of agent/, seen by sys.monitoring where there is one (Python 3.12) and by sys.settrace before. Slower
and simpler than libFuzzer: no edges, no comparison tracing. Same seed and number of executions, same inputs.
"""

import random
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz.target import Target

SIZE_MAX: Final = 2048
_WATCHED: Final = str(Path(__file__).resolve().parents[2] / "agent")
_INTERESTING: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_TOOL: Final = 4  # of sys.monitoring: neither a debugger's nor a profiler's

Line = tuple[types.CodeType, int]


@dataclass(frozen=True)
class Report:
    """How one run went. covered: lines of agent/ reached; finding: the exception and its input in hex."""

    executions: int
    seconds: float
    covered: int
    finding: str | None


def fuzz(target: Target, *, seconds: float, seed: int, executions_max: int | None = None) -> Report:
    """Run until the time is up, the executions are done, or something is found."""
    rng = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    corpus = [b"", *target.seeds]
    seen: set[Line] = set()
    begin = time.monotonic()
    executions = 0
    queue = list(corpus)
    while time.monotonic() - begin < seconds and (executions_max is None or executions < executions_max):
        data = queue.pop() if queue else mutate(rng, corpus)
        before = len(seen)
        executions += 1
        try:
            with _watch(seen):
                target.run(data)
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            finding = f"{type(exc).__name__}: {exc} on {data.hex()}"
            return Report(executions, time.monotonic() - begin, len(seen), finding)
        if len(seen) > before and data not in corpus:
            corpus.append(data)
    return Report(executions, time.monotonic() - begin, len(seen), None)


def mutate(rng: random.Random, corpus: Sequence[bytes], *, size_max: int = SIZE_MAX) -> bytes:
    """One of the corpus with one to four changes: bits, bytes, insertions, cuts, repeats, splices of another."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        span = rng.randint(1, 8)
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.choice(_INTERESTING)
        elif kind == 2:
            data[at:at] = rng.randbytes(span)
        elif kind == 3:
            del data[at : at + span]
        elif kind == 4:
            data[at:at] = data[at : at + span * 4]
        else:
            other = rng.choice(corpus)
            start = rng.randint(0, len(other))
            data[at : at + span] = other[start : start + span * 4]
    return bytes(data[:size_max])


@contextmanager
def _watch(seen: set[Line]) -> Iterator[None]:
    with _watch_by_monitoring(seen) if hasattr(sys, "monitoring") else _watch_by_trace(seen):
        yield


@contextmanager
def _watch_by_trace(seen: set[Line]) -> Iterator[None]:
    def trace(frame: types.FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_WATCHED):
            return None
        if event == "line":
            seen.add((code, frame.f_lineno))
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)


@contextmanager
def _watch_by_monitoring(seen: set[Line]) -> Iterator[None]:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # Python 3.12

    def line(code: types.CodeType, number: int) -> Any:
        if code.co_filename.startswith(_WATCHED):
            seen.add((code, number))
        return monitoring.DISABLE  # once is enough

    monitoring.use_tool_id(_TOOL, "fuzz")
    monitoring.register_callback(_TOOL, monitoring.events.LINE, line)
    monitoring.set_events(_TOOL, monitoring.events.LINE)
    try:
        yield
    finally:
        monitoring.set_events(_TOOL, 0)
        monitoring.register_callback(_TOOL, monitoring.events.LINE, None)
        monitoring.free_tool_id(_TOOL)
