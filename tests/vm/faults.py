"""A check of what a controller tells of a bus in trouble. vcan has no controller: cansend plays its part."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

from .box import SCRATCH, expect, helper, run, wait_for
from .reader import BUS, MTU, bus_of, reader

# Our counter, the class in the identifier (linux/can/error.h), and candump's word for it.
_CLASSES: Final = (
    ("error_tx_timeout", 0x001, "tx-timeout"),
    ("error_lost_arbitration", 0x002, "lost-arbitration"),
    ("error_controller", 0x004, "controller-problem"),
    ("error_protocol", 0x008, "protocol-violation"),
    ("error_transceiver", 0x010, "transceiver-status"),
    ("error_no_ack", 0x020, "no-acknowledgement-on-tx"),
    ("bus_off", 0x040, "bus-off"),
    ("error_bus", 0x080, "bus-error"),
    ("restarted", 0x100, "restarted-after-bus-off"),
)
_ERROR_FLAG: Final = 0x2000_0000
_OVERFLOW: Final = "00010000" + "00" * 4  # data[1] of a controller problem: no room for a received frame


def error_frames_are_counted_by_class(_: Path) -> str:
    """Each class as often as its row says, two in one frame, with a filter in place: counted as candump names them.

    Bus-off is no loss of the source: what comes afterwards is read.
    """
    log = SCRATCH / "errors.log"
    sent = [(bit, "00" * 8) for count, (_, bit, _) in enumerate(_CLASSES, 1) for _ in range(count)]
    sent += [(0x004, _OVERFLOW), (0x004, _OVERFLOW), (0x0C0, "00" * 8)]
    with bus_of(MTU):
        with helper(["candump", "-e", f"{BUS},0:0,#FFFFFFFF"], log=log), reader("--frames", "--id", "123") as reading:
            for bit, data in sent:
                run("cansend", BUS, f"{_ERROR_FLAG | bit:08X}#{data}")
            run("cangen", BUS, "-I", "123", "-g", "2", "-n", "50")
            wait_for("candump", lambda: _name(log.read_text())[1] >= len(sent), limit_s=10)
        result = reading.result()
    named, lines = _name(log.read_text())
    counters = result["counters"]
    found = {name: counters.get(name, 0) for name, _, _ in _CLASSES}
    wanted = {name: named[word] for name, _, word in _CLASSES}
    expect(true=found == wanted, otherwise=f"counted {found}, candump saw {wanted}")
    expect(true=all(wanted.values()) and len(set(wanted.values())) > 5, otherwise=f"candump saw {wanted}")
    expect(true=counters["error_frames"] == lines == len(sent), otherwise=f"sent {len(sent)}: {counters}")
    expect(true=counters["controller_overflows"] == 2, otherwise=str(counters))
    expect(true=result["read"] == counters["frames"] == len(sent) + 50, otherwise=f"frames lost: {result}")
    expect(true=not reading.said("lost"), otherwise=f"lost: {reading.said('lost')}")
    return f"{len(sent)} error frames of 9 classes, each class as often as candump says; 50 frames behind bus-off read"


def _name(text: str) -> tuple[Counter[str], int]:
    """How often candump named each class, and how many error frames it printed."""
    words = Counter(word for word in re.findall(r"[a-z-]+", text) if word in {word for _, _, word in _CLASSES})
    return words, text.count("ERRORFRAME")
