"""Checks of the service under systemd: start, sandbox, watchdog, stop, crash, delivery."""

import json
import re
import signal
import time
from pathlib import Path

from .box import (
    CANGEN,
    DEVICE,
    DONGLE,
    DONGLE_UNIT,
    INSURER,
    KEYS,
    SCRATCH,
    UNIT,
    children,
    drop_in,
    expect,
    expect_no_gaps,
    give_to_agent,
    helper,
    kill,
    main_pid,
    outside,
    process_status,
    records,
    run,
    status,
    unit,
    wait_for,
    write_config,
)

EXPOSURE_MAX = 2.0
STOP_MAX_S = 5.0
_MODEL_LOADS_S = 20.0
_CLOUD = SCRATCH / "cloud"


def starts_when_configured(_: Path) -> str:
    """`systemctl start` returns when the agent has said READY. The adapter is plugged in before."""
    run("systemd-run", "--quiet", f"--unit={DONGLE_UNIT}", "--collect", *outside("dongle", str(DONGLE)))
    wait_for("adapter", DONGLE.exists, limit_s=60)
    expect(true=unit("Type") == "notify", otherwise=unit("Type"))
    started_s = time.monotonic()
    run("systemctl", "start", UNIT)
    took_s = time.monotonic() - started_s
    expect(true=unit("ActiveState") == "active", otherwise=unit("ActiveState"))
    wait_for("status file", status, limit_s=15)
    return f"ready after {took_s:.1f} s"


def sandbox_is_real(_: Path) -> str:
    """Not only written in the unit: the kernel holds the agent to it; and the model's process lives inside it."""
    pid = main_pid()
    model = wait_for("process of the model", lambda: children(pid), limit_s=30)
    for one in (pid, *model):
        seen = process_status(one)
        facts = {"Seccomp": "2", "NoNewPrivs": "1", "CapBnd": "0" * 16, "CapEff": "0" * 16}
        wrong = {name: seen[name] for name, wanted in facts.items() if seen[name] != wanted}
        expect(true=not wrong, otherwise=f"process {one}: {wrong}")
        expect(true=seen["Uid"].split()[0] != "0", otherwise="runs as root")
    time.sleep(_MODEL_LOADS_S)
    expect(true=children(pid) == model, otherwise="the model's process was started again")
    expect(true="model_changed" not in status()["events"], otherwise=f"events: {status()['events']}")
    said = run("journalctl", "--no-pager", "-o", "cat", "-u", UNIT)
    expect(true="cpuinfo" not in said, otherwise=f"onnxruntime cannot see the processor: {said[-800:]}")
    peak = int(Path(f"/sys/fs/cgroup{unit('ControlGroup')}/memory.peak").read_text())
    limit = int(unit("MemoryMax"))
    expect(true=peak < limit, otherwise=f"memory peak {peak} of {limit} bytes")
    return f"seccomp, no privileges, no capabilities; memory peak {peak >> 20} of {limit >> 20} MiB"


def exposure_is_low(_: Path) -> str:
    """By systemd's own measure, on the loaded unit."""
    said = run("systemd-analyze", "security", "--no-pager", UNIT)
    (exposure,) = re.findall(r"exposure level for \S+ ([0-9.]+)", said)
    expect(true=float(exposure) <= EXPOSURE_MAX, otherwise=f"{exposure}: {said}")
    return f"{exposure} (limit {EXPOSURE_MAX})"


def shows_status(_: Path) -> str:
    """`outrider status` reads what the service wrote."""
    said = run("outrider", "status")
    expect(true=DEVICE in said and "frames" in said, otherwise=said)
    return said.splitlines()[0].strip()


def feeds_watchdog(_: Path) -> str:
    """With a watchdog of 4 s: fed for 12 s; stopped dead, it is ended and started again."""
    with drop_in("WatchdogSec=4"):
        run("systemctl", "restart", UNIT)
        pid, restarts = main_pid(), int(unit("NRestarts"))
        time.sleep(12)
        expect(true=main_pid() == pid, otherwise="the watchdog was not fed")
        kill(pid, signal.SIGSTOP)
        stopped_s = time.monotonic()
        wait_for("restart", lambda: int(unit("NRestarts")) > restarts and unit("ActiveState") == "active", limit_s=60)
        took_s = time.monotonic() - stopped_s
        expect(true=main_pid() != pid, otherwise="the same process")
    return f"fed; a frozen agent was replaced and ready within {took_s:.0f} s"


def stops_in_time(_: Path) -> str:
    """SIGTERM while frames come: an ordered stop, and what it had to tell is on the disk, readable by the insurer."""
    pid = main_pid()
    wait_for("status of this process", lambda: status().get("frames") == 0, limit_s=10)
    with helper([*CANGEN, "-g", "5"]):
        wait_for("frames", lambda: status().get("frames", 0) > 50, limit_s=20)
        began_s = time.monotonic()
        run("systemctl", "stop", UNIT)
        took_s = time.monotonic() - began_s
    expect(true=took_s < STOP_MAX_S, otherwise=f"{took_s:.1f} s")
    expect(true=unit("Result") == "success" and not Path(f"/proc/{pid}").exists(), otherwise=unit("Result"))
    found = records()
    expect_no_gaps(found)
    newest = max(boot for boot, _, _ in found)
    last = [kind for boot, _, kind in found if boot == newest][-1]
    expect(true=last == "agent_stopped", otherwise=f"the last record is {last}")
    return f"{took_s:.1f} s; {len(found)} records of {newest} boots open and verify, the last is {last}"


def returns_after_kill(_: Path) -> str:
    """kill -9 while frames come: back by itself, nothing of before is lost, nothing is numbered twice."""
    before = records()
    run("systemctl", "start", UNIT)
    pid = main_pid()
    with helper([*CANGEN, "-g", "5"]):
        wait_for("frames", lambda: status().get("frames", 0) > 50, limit_s=30)
        kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        wait_for(
            "new process",
            lambda: unit("MainPID") not in ("0", str(pid)) and unit("ActiveState") == "active",
            limit_s=60,
        )
        took_s = time.monotonic() - killed_s
    run("systemctl", "stop", UNIT)
    after = records()
    expect_no_gaps(after)
    lost = set(before) - set(after)
    boots = max(boot for boot, _, _ in after) - max(boot for boot, _, _ in before)
    expect(true=not lost and boots == 2, otherwise=f"lost {lost}; {boots} new boots, not 2")
    return f"ready again {took_s:.1f} s after kill -9; {len(after)} records, 0 lost"


def delivers_everything(_: Path) -> str:
    """All that the boots before have left goes to the insurer over MQTT and TLS, is verified there and signed for."""
    waiting = records()
    _CLOUD.mkdir(exist_ok=True)
    with helper(outside("broker", str(_CLOUD), DEVICE), ready="ready"):
        give_to_agent(_CLOUD / "ca.crt", _CLOUD / f"{DEVICE}.crt", _CLOUD / f"{DEVICE}.key")
        write_config(link=True)
        ours = SCRATCH / "insurer-link.toml"
        files = f'ca = "{_CLOUD}/ca.crt"\ncertificate = "{_CLOUD}/insurer.crt"\nkey = "{_CLOUD}/insurer.key"\n'
        ours.write_text(f'host = "localhost"\n{files}')
        run("outrider-fleet", "register", DEVICE, str(KEYS / "device.pub.pem"), "--keys", str(INSURER))
        database = _CLOUD / "received.db"
        receive = [
            "outrider-fleet",
            "receive",
            "--link",
            str(ours),
            "--keys",
            str(INSURER),
            "--database",
            str(database),
        ]
        with helper(receive):
            run("systemctl", "start", UNIT)
            wait_for("receipt for everything", lambda: status().get("waiting") == 0, limit_s=90)
    events = [json.loads(line) for line in run("outrider-fleet", "events", "--database", str(database)).splitlines()]
    expect(
        true=len(events) > len(waiting), otherwise=f"{len(waiting)} waited, {len(events)} were received: {events[:2]}"
    )
    return f"{len(waiting)} waited, all received and verified ({len(events)} with this boot's), none left"
