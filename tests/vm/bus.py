"""Checks on the bus and the diagnostics port: everything is read, nothing is sent."""

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .box import UNIT, expect, helper, packaged, run, status, wait_for

_CANGEN_FRAMES = 500
_BACK_MAX_S = 5.0 + 1.0  # the driver's promise, and the status file's period
_LOG = Path("/root/candump.log")


def bus_is_only_read(_: Path) -> str:
    """candump sees what cangen and a simulated drive sent and not a frame more; the agent has read all of it.

    The watch begins before the agent starts, so that its opening of the bus lies within.
    """
    run("systemctl", "stop", UNIT)
    before = _interface_frames()
    with helper(["candump", "-L", "vcan0"], log=_LOG):
        run("systemctl", "start", UNIT)
        time.sleep(5)
        expect(true=not _LOG.read_text(), otherwise=f"frames on an idle bus: {_LOG.read_text()[:300]}")
        run("cangen", "vcan0", "-I", "7A5", "-L", "8", "-D", "i", "-g", "2", "-n", str(_CANGEN_FRAMES))
        drive = packaged("-m", "simulators", "--scenario", "harsh_brake", "--interface", "socketcan")
        sent = int(re.findall(r"(\d+) frames sent", run(*drive))[-1]) + _CANGEN_FRAMES
        wait_for("frame count", lambda: status().get("frames", 0) >= sent, limit_s=10)
    seen = len(_LOG.read_text().splitlines())
    on_wire = _interface_frames() - before
    expect(true=seen == sent == on_wire, otherwise=f"sent {sent}, candump saw {seen}, the interface counted {on_wire}")
    now = status()
    counts = now["sources"]["socketcan:vcan0"]
    expect(
        true=now["frames"] == sent and counts["dropped"] == 0, otherwise=f"sent {sent}, read {now['frames']}, {counts}"
    )
    expect(true=now["events"].get("harsh_driving", 0) > 0, otherwise=f"events: {now['events']}")
    return f"{sent} frames sent by others, {seen} on the bus, {now['frames']} read, 0 lost; events {now['events']}"


def interface_may_vanish(_: Path) -> str:
    """Down and up again (ENETDOWN), deleted and made anew (ENODEV): within 5 s frames are read again."""
    took = []
    for loss, cure in (
        (["ip link set vcan0 down"], ["ip link set vcan0 up"]),
        (["ip link delete vcan0"], ["ip link add vcan0 type vcan", "ip link set vcan0 up"]),
    ):
        changes = _source_changes()
        for command in loss:
            run(*command.split())
        wait_for("event", partial(_exceeds, _source_changes, changes), limit_s=10)
        frames = _frames()
        for command in cure:
            run(*command.split())
        back_s = time.monotonic()
        with helper(["cangen", "vcan0", "-I", "7A5", "-g", "20"]):
            wait_for("frames", partial(_exceeds, _frames, frames), limit_s=_BACK_MAX_S + 2)
        took.append(time.monotonic() - back_s)
    expect(true=max(took) <= _BACK_MAX_S, otherwise=f"took {took} s")
    return "frames again after " + ", ".join(f"{seconds:.1f} s" for seconds in took)


def dongle_is_read(_: Path) -> str:
    """The adapter belongs to the group dialout: the sandbox must let the agent have it, and its answers arrive."""
    sources = status()["sources"]
    counts = next((found for name, found in sources.items() if "obd0" in name or "elm" in name), None)
    expect(true=counts is not None and counts["replies"] > 0, otherwise=f"sources: {sources}")
    return str(counts)


def _exceeds(count: Callable[[], int], before: int) -> bool:
    return count() > before


def _source_changes() -> int:
    return int(status()["events"].get("source_changed", 0))


def _frames() -> int:
    return int(status()["frames"])


def _interface_frames() -> int:
    """Frames that passed vcan0. On a virtual bus every sent frame is counted as sent."""
    (link,) = json.loads(run("ip", "-s", "-j", "link", "show", "vcan0"))
    return int(link["stats64"]["tx"]["packets"])
