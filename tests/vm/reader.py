"""The CAN reader on a bus of its own: the bus, canreader.py beside it, and what that says."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .box import SCRATCH, expect, helper, packaged, run, wait_for

BUS: Final = "vcan1"
MTU: Final = 16  # of classic CAN
FD_MTU: Final = 72


@dataclass(frozen=True, slots=True)
class Reading:
    """What canreader.py says and writes."""

    log: Path
    frames: Path

    def said(self, *words: str) -> list[dict[str, Any]]:
        """Everything said under these words; the last line may be half written."""
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(rest) for word, _, rest in (line.partition(" ") for line in lines) if word in words]

    def count(self) -> int:
        """Frames read so far, as it last said."""
        said = self.said("opened", "read", "lost", "ended")
        return int(said[-1]["read"]) if said else 0

    def result(self) -> dict[str, Any]:
        """Once it has ended."""
        ended = self.said("ended")
        expect(true=len(ended) == 1, otherwise=f"the reader has not ended well: {self.log.read_text()[-1500:]}")
        expect(true=ended[0]["disorder"] == 0, otherwise=f"{ended[0]['disorder']} batches with stamps out of order")
        return ended[0]

    def rows(self) -> list[tuple[int, int, str]]:
        """(Time of reception, time of the look, frame) of every frame."""
        found = (line.split() for line in self.frames.read_text().splitlines())
        return [(int(t_ns), int(look_ns), text) for t_ns, look_ns, text in found]


@contextmanager
def bus_of(mtu: int) -> Iterator[None]:
    make_bus(mtu)
    try:
        yield
    finally:
        run("ip", "link", "delete", BUS)


def make_bus(mtu: int) -> None:
    run("ip", "link", "add", BUS, "mtu", str(mtu), "type", "vcan")
    run("ip", "link", "set", BUS, "up")


@contextmanager
def reader(*options: str) -> Iterator[Reading]:
    """canreader.py beside what is done meanwhile; it has ended afterwards."""
    stem = SCRATCH / f"reader-{time.monotonic_ns()}"
    reading = Reading(Path(f"{stem}.log"), Path(f"{stem}.frames"))
    words = [
        word for option in options for word in ((option, str(reading.frames)) if option == "--frames" else (option,))
    ]
    with helper(packaged(str(Path(__file__).with_name("canreader.py")), BUS, *words), ready="opened", log=reading.log):
        yield reading


def send_until_read(reading: Reading) -> None:
    """Frames are sent and every one is read."""
    before = reading.count()
    run("cangen", BUS, "-g", "5", "-n", "100")
    wait_for("100 more frames", lambda: reading.count() == before + 100, limit_s=5)
