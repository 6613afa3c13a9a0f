"""The agent's CAN reader alone, run in the guest with the packaged Python modules: `canreader.py CHANNEL [OPTIONS]`.

Says a word and a JSON object a line: "opened", "lost" (why; it is opened again until that works), "read" (a few times a
second) and, after SIGTERM and once the bus is quiet, "ended". With --frames FILE each frame goes there at the end:
time of reception, time of the look that found it (both monotonic, ns), and the frame as candump -L writes it.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.core.config import Bus
from agent.core.errors import SourceLost
from agent.core.frames import BIT_RATE_SWITCH, ERROR_STATE, EXTENDED, FD, REMOTE, FrameBatch
from drivers.clock import SystemClock
from drivers.socketcan import SocketCanSource

_AGAIN_S: Final = 0.1
_SAY_S: Final = 0.2
_QUIET_S: Final = 0.5


class Reader:
    """Reads until told to stop, and keeps the books."""

    def __init__(self, source: SocketCanSource, *, keep: bool) -> None:
        self.kept: list[tuple[int, FrameBatch]] = []
        self._source = source
        self._keep = keep
        self._frames = 0
        self._batch_max = 0
        self._latest_ns = 0
        self._disorder = 0
        self._reason = ""

    async def run(self) -> None:
        """Open, read, and open again when lost; until cancelled."""
        while True:
            try:
                await self._source.open()
                self._reason = ""
                self.say("opened")
                while True:
                    self._take(await self._source.read_batch())
            except SourceLost as exc:
                if str(exc) != self._reason:
                    self._reason = str(exc)
                    self.say("lost")
            await asyncio.sleep(_AGAIN_S)

    async def report(self) -> None:
        """Say how far it is, a few times a second; until cancelled."""
        while True:
            self.say("read")
            await asyncio.sleep(_SAY_S)

    async def quiet(self) -> None:
        """Return when no frame has come for a while."""
        before = -1
        while before != self._frames:
            before = self._frames
            await asyncio.sleep(_QUIET_S)

    def say(self, word: str) -> None:
        """Print everything counted so far."""
        facts = {
            "reason": self._reason,
            "t_ns": time.monotonic_ns(),
            "read": self._frames,
            "batch_max": self._batch_max,
            "disorder": self._disorder,
            "counters": self._source.counters(),
        }
        sys.stdout.write(f"{word} {json.dumps(facts)}\n")
        sys.stdout.flush()

    def _take(self, batch: FrameBatch) -> None:
        self._frames += len(batch)
        self._batch_max = max(self._batch_max, len(batch))
        times_ns = [self._latest_ns, *batch.t_ns.tolist()]
        self._disorder += times_ns != sorted(times_ns)
        self._latest_ns = times_ns[-1]
        if self._keep:
            self.kept.append((time.monotonic_ns(), batch))


def format_frames(batch: FrameBatch) -> Iterator[str]:
    """Each frame as candump -L writes it; a remote frame without the length it asks for, which is not kept."""
    for can_id, flags, length, data in zip(batch.can_id, batch.flags, batch.length, batch.data, strict=True):
        name = f"{can_id:08X}" if flags & EXTENDED else f"{can_id:03X}"
        payload = data[:length].tobytes().hex().upper()
        if flags & REMOTE:
            yield f"{name}#R"
        elif flags & FD:
            yield f"{name}##{bool(flags & BIT_RATE_SWITCH) + 2 * bool(flags & ERROR_STATE)}{payload}"
        else:
            yield f"{name}#{payload}"


def write_frames(kept: list[tuple[int, FrameBatch]], path: Path) -> None:
    """See the top of this file."""
    with path.open("w") as file:
        for look_ns, batch in kept:
            for t_ns, text in zip(batch.t_ns.tolist(), format_frames(batch), strict=True):
                file.write(f"{t_ns} {look_ns} {text}\n")


async def stall(every_s: float, for_s: float) -> None:
    """Hold the event loop up, as a careless callback would."""
    while True:
        await asyncio.sleep(every_s)
        time.sleep(for_s)  # noqa: ASYNC251 - that is the point


async def main(options: argparse.Namespace) -> None:
    """Read until SIGTERM."""
    ids = [int(key, 16) for key in options.id] or None
    source = SocketCanSource(Bus(channel=options.channel, fd=options.fd), SystemClock(), can_ids=ids)
    reader = Reader(source, keep=options.frames is not None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(reader.run()), asyncio.create_task(reader.report())]
    if options.stall_s:
        tasks.append(asyncio.create_task(stall(options.every_s, options.stall_s)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        await reader.quiet()
    for task in (stopping, *tasks):
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):  # a cancelled task's CancelledError is none
            raise ended
    await source.close()
    if options.frames is not None:
        write_frames(reader.kept, options.frames)
    reader.say("ended")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("channel")
    parser.add_argument("--fd", action="store_true")
    parser.add_argument("--id", action="append", default=[], help="FrameBatch.keys(), in hexadecimal")
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--stall-s", type=float, default=0.0)
    parser.add_argument("--every-s", type=float, default=3.0)
    asyncio.run(main(parser.parse_args()))
