"""Checks of the CAN reader on a bus of its own, by canreader.py: nothing lost, changed, or dated wrongly."""

import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .box import FILES, SCRATCH, expect, helper, interface_frames, run, wait_for
from .reader import BUS, FD_MTU, MTU, Reading, bus_of, make_bus, reader, send_until_read

_SENDER_FRAMES: Final = 3000
_FILTERED: Final = ("123", "80012345")  # FrameBatch.keys(): 11 bits, 29 bits
_STEPS_S: Final = (3600.0, -3600.0, 0.5, -0.5) * 5
_STEP_FRAMES: Final = 60
_STEP_NS: Final = 20_000_000  # about when a step was: a process may be held up while it makes one
_EXACT_NS: Final = 2_000_000  # the driver's slack between two clocks
_DOWN_MAX_NS: Final = 1_000_000_000  # the driver's patience
_LATE_NS: Final = 1_500_000_000  # and how much later than that it may be on this slow machine
_STALL_S: Final = 0.5
_OVERFLOW_STALL_S: Final = 4.0
_SOAK_S: Final = FILES / "soak_s"


def frames_are_candumps(_: Path) -> str:
    """Classic: 11 and 29 bits, remote, every length; FD: with and without bit rate switch: all as candump has them."""
    kinds: Sequence[Sequence[str]] = ((), ("-e",), ("-R",), ("-e", "-R"))
    classic = [["cangen", BUS, "-g", "0.5", "-n", str(_SENDER_FRAMES), *kind] for kind in kinds]
    seen = _compare(classic, mtu=MTU)
    mixed = [["cangen", BUS, "-g", "0.5", "-n", str(_SENDER_FRAMES), "-m"] for _ in range(3)]
    seen_fd = _compare(mixed, "--fd", mtu=FD_MTU)
    return f"classic: {seen}; with FD: {seen_fd}"


def filter_passes_two(_: Path) -> str:
    """Identifiers of 11 and of 29 bits: not the same number in the other format, no neighbour, no remote frame."""
    identifiers = (["-I", "123"], ["-I", "123", "-e"], ["-I", "12345", "-e"], ["-I", "345"], ["-I", "123", "-R"])
    senders = [["cangen", BUS, "-g", "2", "-n", "300", *one] for one in (*identifiers, ["-m"])]
    wanted = ("123#", "00012345#")
    with bus_of(FD_MTU):
        reading, _took_s, dumped = _watch(senders, *(word for key in _FILTERED for word in ("--id", key)))
    passed = [text for text in dumped if text.startswith(wanted) and "#R" not in text and "##" not in text]
    read = [text for _, _, text in reading.rows()]
    expect(true=read == passed, otherwise=f"{len(read)} read, {len(passed)} should pass: {_difference(read, passed)}")
    expect(true=len(passed) >= 600, otherwise=f"only {len(passed)} frames bore the two identifiers")
    return f"{len(read)} of {len(dumped)} frames, exactly those of the two identifiers"


def interface_down_is_survived(_: Path) -> str:
    """Down for less than a second: no loss of the source. For longer, or deleted: lost, and restored."""
    with bus_of(MTU), reader("--frames") as reading:
        send_until_read(reading)
        down_ns = time.monotonic_ns()
        run("ip", "link", "set", BUS, "down")
        run("ip", "link", "set", BUS, "up")
        short_ns = time.monotonic_ns() - down_ns
        send_until_read(reading)
        now = wait_for("interface_down", lambda: _with_downs(reading, 1), limit_s=5)
        expect(true=not reading.said("lost"), otherwise=f"down for {short_ns / 1e9:.2f} s: {now}")
        run("ip", "link", "set", BUS, "down")
        down_ns = time.monotonic_ns()
        lost_ns = _lost(reading, "the interface is down") - down_ns
        expect(
            true=_DOWN_MAX_NS <= lost_ns <= _DOWN_MAX_NS + _LATE_NS,
            otherwise=f"given up after {lost_ns / 1e9:.2f} s",
        )
        _lost(reading, "cannot be opened: the interface is down")
        run("ip", "link", "set", BUS, "up")
        _opened(reading, 2)
        send_until_read(reading)
        run("ip", "link", "delete", BUS)
        _lost(reading, f"{BUS}: no such interface")
        _lost(reading, "cannot be opened: no such interface")
        make_bus(MTU)
        _opened(reading, 3)
        send_until_read(reading)
    reading.result()
    return f"{short_ns / 1e9:.2f} s down: kept; longer: lost after {lost_ns / 1e9:.2f} s; deleted: lost; each restored"


def clock_steps_do_not_show(_: Path) -> str:
    """The wall clock set by hours and by half seconds under traffic: every frame is dated when it was sent.

    Sent lies between two readings of the monotonic clock. A frame that came between the same two looks as a step may
    be dated as late as the second.
    """
    sent: list[tuple[int, int]] = []
    steps_ns: list[int] = []
    with (
        bus_of(MTU),
        reader("--frames") as reading,
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as bus,
    ):
        bus.bind((BUS,))
        for step_s in _STEPS_S:
            _send_stamped(bus, sent)
            time.clock_settime(time.CLOCK_REALTIME, time.time() + step_s)
            steps_ns.append(time.monotonic_ns())
        _send_stamped(bus, sent)
    reading.result()
    rows = reading.rows()
    expect(true=[int(text[4:], 16) for _, _, text in rows] == list(range(len(sent))), otherwise=f"{len(rows)} read")
    worst_ns = {True: 0, False: 0}  # stepped or not
    look_ns = before_look_ns = 0
    for (t_ns, this_look_ns, _text), (before_ns, after_ns) in zip(rows, sent, strict=True):
        if this_look_ns != look_ns:
            before_look_ns, look_ns = look_ns, this_look_ns
        stepped = any(before_look_ns - _STEP_NS <= step_ns <= look_ns + _STEP_NS for step_ns in steps_ns)
        off_ns = max(before_ns - t_ns, t_ns - after_ns, 0)
        allowed_ns = look_ns - before_look_ns if stepped else _EXACT_NS
        expect(
            true=off_ns <= allowed_ns and t_ns <= look_ns,
            otherwise=f"sent at {before_ns}..{after_ns}, dated {t_ns}, off by {off_ns} of {allowed_ns} ns; looks "
            f"at {before_look_ns} and {look_ns}, steps at {steps_ns}",
        )
        worst_ns[stepped] = max(worst_ns[stepped], off_ns)
    return (
        f"{len(steps_ns)} steps, {len(rows)} frames in order, off by {worst_ns[False] / 1e3:.0f} us at most, "
        f"those of a window with a step by {worst_ns[True] / 1e3:.0f} us"
    )


def soak_loses_nothing_uncounted(_: Path) -> str:
    """The event loop held up for half a second now and then: what was sent was read, or counted as dropped."""
    return _soak(["-g", "0.1"], float(_SOAK_S.read_text()), stall_s=_STALL_S)


def overflow_is_counted(_: Path) -> str:
    """Held up for so long under a flood that the kernel has no room: every frame it dropped is reported."""
    return _soak(["-g", "0"], 3 * _OVERFLOW_STALL_S, stall_s=_OVERFLOW_STALL_S, overflow=True)


def _soak(options: Sequence[str], soak_s: float, *, stall_s: float, overflow: bool = False) -> str:
    with bus_of(MTU):
        with reader("--stall-s", str(stall_s), "--every-s", "3") as reading:
            started_s = time.monotonic()
            with helper(["cangen", BUS, "-L", "8", *options]) as sender:
                time.sleep(soak_s)
                expect(true=sender.poll() is None, otherwise="cangen ended by itself")
            took_s = time.monotonic() - started_s
        sent = interface_frames(BUS)
    result = reading.result()
    dropped = result["counters"]["dropped"]
    seen = f"{result['read']} read + {dropped} dropped"
    expect(true=result["read"] + dropped == sent > 0, otherwise=f"sent {sent}, but {seen}: {result}")
    expect(true=bool(dropped) == overflow, otherwise=f"of {sent}: {seen}: {result}")
    expect(true=not reading.said("lost"), otherwise=f"lost: {reading.said('lost')}")
    rate = f"{took_s:.0f} s at {sent / took_s:.0f} frames/s, stalls of {stall_s:g} s"
    return f"{rate}: {sent} sent = {seen}; up to {result['batch_max']} a batch"


def _compare(senders: Sequence[Sequence[str]], *options: str, mtu: int) -> str:
    with bus_of(mtu):
        reading, took_s, dumped = _watch(senders, *options)
        sent = interface_frames(BUS)
    read = [text for _, _, text in reading.rows()]
    expect(true=read == dumped, otherwise=f"{len(read)} read, candump {len(dumped)}: {_difference(read, dumped)}")
    expect(true=len(read) == sent, otherwise=f"sent {sent}, read {len(read)}: {reading.result()}")
    kinds = {name: sum(mark in text for text in read) for name, mark in (("remote", "#R"), ("FD", "##"))}
    kinds["29 bits"] = sum(text.index("#") == 8 for text in read)
    kinds["lengths"] = len({len(text) - text.rindex("#") for text in read if "#R" not in text})
    expect(true=all(kinds[name] for name in ("remote", "29 bits")), otherwise=str(kinds))
    expect(true=bool(kinds["FD"]) == ("--fd" in options), otherwise=str(kinds))
    return f"{sent} frames at {sent / took_s:.0f}/s identical ({kinds})"


def _watch(senders: Sequence[Sequence[str]], *options: str) -> tuple[Reading, float, list[str]]:
    """(What the reader read, seconds of sending, what candump saw) of what the senders send, all at once."""
    log = SCRATCH / f"candump-{time.monotonic_ns()}.log"
    with helper(["candump", "-L", "-r", str(4 << 20), BUS], log=log), reader("--frames", *options) as reading:
        started_s = time.monotonic()
        children = [subprocess.Popen(sender) for sender in senders]
        codes = [child.wait(120) for child in children]
        took_s = time.monotonic() - started_s
        expect(true=not any(codes), otherwise=f"cangen ended with {codes}")
        wait_for("candump", lambda: len(log.read_text().splitlines()) >= interface_frames(BUS), limit_s=30)
    reading.result()
    return reading, took_s, [_plain(line.split()[2]) for line in log.read_text().splitlines()]


def _plain(text: str) -> str:
    """candump's frame without what the reader does not keep: the length a remote frame asks for, the FDF flag."""
    name, _, rest = text.partition("#")
    if rest.startswith("R"):
        return f"{name}#R"
    if rest.startswith("#"):
        return f"{name}##{int(rest[1], 16) & 3}{rest[2:]}"
    return text


def _difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    row = next(
        (row for row, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted))
    )
    return f"row {row}: {list(found[row : row + 2])}, not {list(wanted[row : row + 2])}"


def _with_downs(reading: Reading, count: int) -> dict[str, Any] | None:
    last = reading.said("opened", "read", "lost")[-1]
    return last if last["counters"].get("interface_down") == count else None


def _lost(reading: Reading, reason: str) -> int:
    """When (monotonic, ns) the source was lost for this reason."""
    found = wait_for(
        f"loss: {reason}", lambda: [one for one in reading.said("lost") if one["reason"].endswith(reason)], limit_s=10
    )
    return int(found[-1]["t_ns"])


def _opened(reading: Reading, count: int) -> None:
    wait_for(f"opening number {count}", lambda: len(reading.said("opened")) >= count, limit_s=10)


def _send_stamped(bus: socket.socket, sent: list[tuple[int, int]]) -> None:
    """One frame every few ms that bears its number; (before, after) of each is added to sent."""
    for _ in range(_STEP_FRAMES):
        before_ns = time.monotonic_ns()
        bus.send(struct.pack("=IB3x8s", 0x123, 8, len(sent).to_bytes(8, "big")))
        sent.append((before_ns, time.monotonic_ns()))
        time.sleep(0.002)
