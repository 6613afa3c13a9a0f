"""SocketCanSource against python-can's SocketcanBus on the same frames at 8,000 a second: CPU time of the reader alone.

In a network namespace of its own, struct can_frame travels under an experimental ethertype from one end of a veth pair
to the other, where an AF_PACKET socket stands in for CAN_RAW: a kernel needs no CAN for this, and none of the readers
can tell. Each reader is a process, they take turns, and the median of the ratios of neighbours counts. Identifiers,
payloads and order are checked. In the last round our loop stands still for half a second again and again.

`python -m tests.bench.readers --soak SECONDS` does only that, for longer.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import multiprocessing
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from can.interfaces.socketcan import socketcan as peer

from agent.core.config import Bus
from agent.core.frames import FrameBatch, concatenate
from drivers.clock import SystemClock
from drivers.socketcan import SocketCanSource
from drivers.socketcan_socket import enable_stamps, enlarge_buffer

_ETHERTYPE: Final = 0x88B5  # IEEE 802: for local experiments
_SENDER, _READER = "can-tx", "can-rx"
_RATE_HZ: Final = 8000
_WINDOW_S: Final = 0.02
_COUNT: Final = 16_000
_REPEATS: Final = 5
_STALLED_S: Final = 6.0
_STALL_S: Final = 0.5
_STALL_EVERY_S: Final = 2.0
_PATIENCE_S: Final = 10.0  # after the last frame was sent
_FRAME: Final = np.dtype([("id", "=u4"), ("length", "u1"), ("rest", "u1", 3), ("data", "=u8")])


def run() -> dict[str, object]:
    """Measure. Where no network namespace can be made there is only a reason."""
    return _run_in_namespace("--rounds", str(_REPEATS))


def _run_in_namespace(*arguments: str) -> dict[str, object]:
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("ip") is None:
        return {"name": "readers", "cannot_run": "needs Linux with util-linux and iproute2"}
    namespace = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--net"]
    trial = subprocess.run([*namespace, "true"], capture_output=True, text=True, check=False)
    if trial.returncode:
        return {"name": "readers", "cannot_run": f"no network namespace: {trial.stderr.strip()}"}
    command = [*namespace, sys.executable, "-m", "tests.bench.readers", *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, object] = json.loads(output)
    return result


def _run_rounds(repeats: int) -> dict[str, object]:
    turns = [{kind: _run_round(kind, _COUNT) for kind in _READERS} for _ in range(repeats)]
    stalled = _run_round("ours", round(_STALLED_S * _RATE_HZ), stall=True)
    cost = {kind: [turn[kind]["us_per_frame"] for turn in turns] for kind in _READERS}
    ratios = {
        kind: statistics.median(theirs / ours for theirs, ours in zip(cost[kind], cost["ours"], strict=True))
        for kind in ("woken", "drained")
    }
    ours = [*(turn["ours"] for turn in turns), stalled]
    return {
        "name": "readers",
        "ratio_python_can": round(ratios["woken"], 1),
        "ratio_python_can_20ms": round(ratios["drained"], 1),
        "us_per_frame": round(statistics.median(cost["ours"]), 2),
        "us_per_frame_python_can": round(statistics.median(cost["woken"]), 2),
        "us_per_frame_python_can_20ms": round(statistics.median(cost["drained"]), 2),
        "wakes_per_frame_python_can": round(statistics.median(t["woken"]["wakes"] / _COUNT for t in turns), 2),
        "lost": int(sum(result["lost"] for result in ours)),
        "dropped_and_counted": int(sum(result["dropped"] for result in ours)),
        "frames": int(sum(result["frames"] for result in ours)),
        "over": _READER,
    }


def _soak(seconds: float) -> dict[str, object]:
    result = _run_round("ours", round(seconds * _RATE_HZ), stall=True)
    return {
        "name": "readers soak",
        **result,
        "lost_uncounted": result["lost"] - result["dropped"],
        "stalls_s": _STALL_S,
        "stalls": int(seconds / _STALL_EVERY_S),
    }


def _run_round(kind: str, count: int, *, stall: bool = False) -> dict[str, float]:
    """Let a process read while this one sends. Returns us_per_frame, frames, lost, dropped, wakes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(kind, count, stall, theirs))
    process.start()
    theirs.close()
    try:
        ours.recv()
        _send(count)
        if not ours.poll(_PATIENCE_S):
            raise RuntimeError(f"{kind}: no answer {_PATIENCE_S} s after the last of {count} frames")
        result: dict[str, float] = ours.recv()
    finally:
        process.kill()
        process.join()
    if result["lost"] and kind != "ours":
        raise RuntimeError(f"{kind} lost {result['lost']} of {count} frames: this machine is too busy to compare")
    return result


def _make_wire() -> str:
    """Both ends in this namespace, without the chatter of IPv6. Returns why not, "" if done."""
    for command in (
        f"ip link add {_SENDER} type veth peer name {_READER}",
        f"ip link set {_SENDER} addrgenmode none up",
        f"ip link set {_READER} addrgenmode none up",
    ):
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{command}: {done.stderr.strip()}"
    return ""


def _make_frames(count: int) -> np.ndarray[Any, np.dtype[np.void]]:
    """Identifiers 0x100-0x4FF in turn, the frame's number as its payload."""
    frames = np.zeros(count, _FRAME)
    frames["data"] = np.arange(count)
    frames["id"] = 0x100 + frames["data"] % 0x400
    frames["length"] = 8
    return frames


def _send(count: int) -> None:
    """One by one, each at its time; what was overslept follows at once, as after a pause of arbitration."""
    _ask_for_priority()
    wire = _make_frames(count).view(np.uint8).data
    address = (_SENDER, _ETHERTYPE, 0, 0, b"\xff" * 6)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        start = time.perf_counter()
        for number in range(count):
            ahead_s = start + number / _RATE_HZ - time.perf_counter()
            if ahead_s > 0:
                time.sleep(ahead_s)
            sock.sendto(wire[number * 16 : number * 16 + 16], address)


def _ask_for_priority() -> None:
    """Run before the rest of a busy machine, where this is allowed.

    A bus does not wait for the scheduler; and a reader that has to wait for it finds many frames at a time, so that
    "woken per frame" would be measured as something else.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _make_socket() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    enlarge_buffer(sock)
    return sock


def _bind(sock: socket.socket, channel: str) -> None:
    sock.bind((channel, _ETHERTYPE))


def _measure(kind: str, count: int, stall: bool, parent: Connection) -> None:  # noqa: FBT001 - a process takes its arguments in order
    """Read count frames in this process, or until the sender has long gone silent; tell the parent."""
    _ask_for_priority()
    gc.disable()  # or it would walk python-can's growing list of messages, which is no fault of the reader
    logging.disable(logging.ERROR)  # python-can says that AF_PACKET lacks the options of CAN_RAW
    slept = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    cpu_s, (ids, payloads, dropped) = asyncio.run(_READERS[kind](count, stall, parent))
    wakes = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - slept
    sent = _make_frames(count)
    if len(set(payloads)) != len(payloads) or sorted(payloads) != payloads or max(payloads, default=0) >= count:
        raise RuntimeError(f"{kind}: frames out of order, doubled or never sent")
    if sent["id"][payloads].tolist() != ids:
        raise RuntimeError(f"{kind}: payloads under the wrong identifiers")
    result = {"frames": len(ids), "lost": count - len(ids), "dropped": dropped, "wakes": wakes}
    parent.send({"us_per_frame": cpu_s / max(1, len(ids)) * 1e6, **result})


Outcome = tuple[float, tuple[list[int], list[int], int]]  # CPU seconds; identifiers, payloads, drops counted


async def _read_woken(count: int, _stall: bool, parent: Connection) -> Outcome:  # noqa: FBT001 - see _measure
    bus = _open_peer()
    messages: list[Any] = []
    done = asyncio.Event()

    def take() -> None:
        messages.append(bus.recv(0))
        if len(messages) == count:
            done.set()

    asyncio.get_running_loop().add_reader(bus.socket, take)
    start_s = _start(parent)
    await done.wait()
    cpu_s = time.process_time() - start_s
    asyncio.get_running_loop().remove_reader(bus.socket)
    return cpu_s, _close_peer(bus, messages)


async def _read_drained(count: int, _stall: bool, parent: Connection) -> Outcome:  # noqa: FBT001 - see _measure
    bus = _open_peer()
    messages: list[Any] = []
    start_s = _start(parent)
    while len(messages) < count:
        await asyncio.sleep(_WINDOW_S)
        while (message := bus.recv(0)) is not None:
            messages.append(message)
    return time.process_time() - start_s, _close_peer(bus, messages)


async def _read_ours(count: int, stall: bool, parent: Connection) -> Outcome:  # noqa: FBT001 - see _measure
    source = SocketCanSource(Bus(channel=_READER), SystemClock(), connect=_connect)
    await source.open()
    stalls = asyncio.create_task(_keep_stalling()) if stall else None
    batches: list[FrameBatch] = []
    received = 0
    start_s = _start(parent)
    while received + (source.counters()["dropped"] if stall else 0) < count:
        batch = await source.read_batch()
        batches.append(batch)
        received += len(batch)
    cpu_s = time.process_time() - start_s
    if stalls is not None:
        stalls.cancel()
    whole = concatenate(batches)
    if (np.diff(whole.t_ns) < 0).any() or (whole.length != 8).any() or whole.data[:, 8:].any():
        raise RuntimeError("ours: columns that do not hold together")
    payloads = np.ascontiguousarray(whole.data[:, :8]).view(np.uint64)[:, 0]
    dropped = source.counters()["dropped"]
    await source.close()
    return cpu_s, (whole.can_id.tolist(), payloads.tolist(), dropped)


async def _keep_stalling() -> None:
    while True:
        await asyncio.sleep(_STALL_EVERY_S - _STALL_S)
        time.sleep(_STALL_S)  # noqa: ASYNC251 - a loop that stands still is what this is about


def _connect(bus: Bus) -> socket.socket:
    sock = _make_socket()
    enable_stamps(sock)
    _bind(sock, bus.channel)
    return sock


def _open_peer() -> peer.SocketcanBus:
    peer.create_socket = _make_socket
    peer.bind_socket = _bind  # type: ignore[assignment]  # the channel is never left out
    return peer.SocketcanBus(_READER)


def _close_peer(bus: peer.SocketcanBus, messages: Sequence[Any]) -> tuple[list[int], list[int], int]:
    bus.shutdown()
    payloads = [int.from_bytes(message.data, sys.byteorder) for message in messages]
    return [message.arbitration_id for message in messages], payloads, 0


def _start(parent: Connection) -> float:
    parent.send("ready")
    return time.process_time()


_READERS: Final[dict[str, Callable[..., Any]]] = {"woken": _read_woken, "drained": _read_drained, "ours": _read_ours}


def main() -> None:
    """Inside the namespace: the wire, the rounds, one JSON object. With --soak: into the namespace, then the same."""
    parser = argparse.ArgumentParser(prog="readers")
    parser.add_argument("--rounds", type=int, help="inside the namespace")
    parser.add_argument("--stalled", type=float, help="inside the namespace")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="read with a loop that stalls now and then")
    arguments = parser.parse_args()
    if arguments.soak:
        result = _run_in_namespace("--stalled", str(arguments.soak))
    elif reason := _make_wire():
        result = {"name": "readers", "cannot_run": reason}
    else:
        result = _soak(arguments.stalled) if arguments.stalled else _run_rounds(arguments.rounds or _REPEATS)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
