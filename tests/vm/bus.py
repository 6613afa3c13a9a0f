"""Checks on the bus and the diagnostics port: everything is read, nothing is sent."""

import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from .box import (
    CANGEN,
    SCRATCH,
    UNIT,
    drop_in,
    expect,
    helper,
    interface_frames,
    main_pid,
    outside,
    packaged,
    run,
    status,
    terminals,
    wait_for,
)

_CANGEN_FRAMES = 500
_BACK_MAX_S = 5.0 + 1.0  # the driver's promise, and the status file's period
_LOG = SCRATCH / "candump.log"
_EXTENDED_DIGITS = 8
_LOOKS = 8
_FAULTS = 3


def bus_is_only_read(_: Path) -> str:
    """candump sees what cangen and a simulated drive sent and not a frame more; the agent has read what it decodes.

    The watch begins before the agent starts, so that its opening of the bus lies within.
    """
    run("systemctl", "stop", UNIT)
    before = interface_frames("vcan0")
    with helper(["candump", "-L", "vcan0"], log=_LOG):
        run("systemctl", "start", UNIT)
        time.sleep(5)
        expect(true=not _LOG.read_text(), otherwise=f"frames on an idle bus: {_LOG.read_text()[:300]}")
        run("cangen", "vcan0", "-I", "7A5", "-L", "8", "-D", "i", "-g", "2", "-n", str(_CANGEN_FRAMES))
        drive = packaged("-m", "simulators", "run", "harsh_brake", "--interface", "socketcan", "--channel", "vcan0")
        sent = int(re.findall(r"(\d+) frames sent", run(*drive))[-1]) + _CANGEN_FRAMES
        wait_for("candump", lambda: len(_LOG.read_text().splitlines()) >= sent, limit_s=10)
        wanted = _count_decoded(_LOG.read_text())
        wait_for("frame count", lambda: status().get("frames", 0) >= wanted, limit_s=10)
    seen = len(_LOG.read_text().splitlines())
    on_wire = interface_frames("vcan0") - before
    expect(true=seen == sent == on_wire, otherwise=f"sent {sent}, candump saw {seen}, the interface counted {on_wire}")
    now = status()
    counts = now["sources"]["socketcan:vcan0"]
    expect(
        true=now["frames"] == wanted < sent and counts["dropped"] == 0,
        otherwise=f"sent {sent}, {wanted} of them decodable, read {now['frames']}, {counts}",
    )
    expect(true=now["events"].get("harsh_driving", 0) > 0, otherwise=f"events: {now['events']}")
    passed = f"the {now['frames']} that the profile decodes were read"
    return f"{sent} frames sent by others, {seen} on the bus, {passed}, 0 lost; events {now['events']}"


def bus_faults_show_in_status(_: Path) -> str:
    """Error frames, bus-off among them, are counted by class where the operator looks; the source is not lost."""
    changes = _source_changes()
    before = status()["sources"]["socketcan:vcan0"]
    for _frame in range(_FAULTS):
        run("cansend", "vcan0", "20000040#0000000000000000")
        run("cansend", "vcan0", "20000100#0000000000000000")
    wait_for("faults", lambda: _new_faults(before) == {"bus_off": _FAULTS, "restarted": _FAULTS}, limit_s=5)
    expect(true=_source_changes() == changes, otherwise=f"events: {status()['events']}")
    frames = _frames()
    run(*CANGEN, "-g", "2", "-n", str(_FAULTS))
    wait_for("frames", lambda: _frames() >= frames + _FAULTS, limit_s=5)
    return f"{_FAULTS} times bus-off and restarted, and read on"


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
        with helper([*CANGEN, "-g", "20"]):
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


def listen_only_opens_no_transmitter(_: Path) -> str:
    """`outrider run --listen-only` leaves the configured adapter alone, reads the bus and puts nothing on it."""
    opened = wait_for("adapter opened by the agent", lambda: terminals(main_pid()), limit_s=10)
    start = "/opt/outrider/bin/outrider run --config /etc/outrider/outrider.toml --listen-only"
    with drop_in(f"ExecStart=\nExecStart={start}"):
        run("systemctl", "stop", UNIT)
        before = interface_frames("vcan0")
        run("systemctl", "start", UNIT)
        for _look in range(_LOOKS):
            time.sleep(1)
            expect(true=not terminals(main_pid()), otherwise=f"opened: {terminals(main_pid())}")
        expect(true=interface_frames("vcan0") == before, otherwise="frames on an idle bus")
        run(*CANGEN, "-g", "2", "-n", str(_CANGEN_FRAMES))
        wait_for("frames", lambda: status().get("frames", 0) == _CANGEN_FRAMES, limit_s=10)
        sources = list(status()["sources"])
        on_wire = interface_frames("vcan0") - before
        expect(true=on_wire == _CANGEN_FRAMES, otherwise=f"{on_wire} frames, not {_CANGEN_FRAMES}")
        expect(true=sources == ["socketcan:vcan0"], otherwise=f"sources: {sources}")
    return f"{opened} is not opened, {_CANGEN_FRAMES} frames read, 0 sent"


def _count_decoded(log: str) -> int:
    """How many frames of candump's log the profile decodes."""
    ids = {int(key) for key in json.loads(run(*outside("identifiers", "simcar", "outrider_sim.dbc")))}
    names = [line.split()[2].partition("#")[0] for line in log.splitlines()]
    return sum(int(name, 16) | (len(name) == _EXTENDED_DIGITS) << 31 in ids for name in names)


def _exceeds(count: Callable[[], int], before: int) -> bool:
    return count() > before


def _new_faults(before: Mapping[str, int]) -> dict[str, int]:
    now = status()["sources"]["socketcan:vcan0"]
    return {name: now.get(name, 0) - before.get(name, 0) for name in ("bus_off", "restarted")}


def _source_changes() -> int:
    return int(status()["events"].get("source_changed", 0))


def _frames() -> int:
    return int(status()["frames"])
