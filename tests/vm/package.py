"""Checks of the package itself: what it installs, what it leaves, and that it does not fail on a new box."""

import tempfile
from pathlib import Path

from .box import (
    CONFIG,
    DEVICE,
    DONGLE_UNIT,
    ETC,
    INSURER,
    KEYS,
    SCRATCH,
    STATUS,
    UNIT,
    expect,
    give_to_agent,
    helper,
    outside,
    run,
    unit,
    wait_for,
    write_config,
)

_RECEIVE_BUFFER_BYTES = 4 << 20  # what drivers/socketcan.py asks for
_BAD_CONFIG = 'version = 1\n\n[store]\ndirectory = "/var/lib/outrider"\nbatch_max = 0\n'


def installs_without_insurer(files: Path) -> str:
    """No insurer's key yet: the installation succeeds, says one helpful line, and nothing spins."""
    said = run("dpkg", "-i", *map(str, files.glob("*.deb")))
    expect(true="installed, not running" in said, otherwise=f"dpkg said: {said}")
    expect(true="Traceback" not in said, otherwise=said)
    state = (unit("ActiveState"), unit("ExecMainStatus"), unit("NRestarts"))
    expect(true=state == ("failed", "2", "0"), otherwise=f"state, exit code, restarts: {state}")
    expect(true=unit("UnitFileState") == "enabled", otherwise=unit("UnitFileState"))
    granted = Path("/proc/sys/net/core/rmem_max").read_text().strip()
    expect(true=int(granted) >= _RECEIVE_BUFFER_BYTES, otherwise=f"net.core.rmem_max is {granted}")
    reason = run("journalctl", "--no-pager", "-o", "cat", "-n", "20", "-u", UNIT)
    expect(true="insurer_encryption_key" in reason, otherwise=f"the journal does not name the key: {reason}")
    return "dpkg 0; the unit gave up with exit code 2 and says what is missing"


def files_are_roots(_: Path) -> str:
    """Nothing below /opt/outrider is another's or writable by others; the device key is the agent's alone."""
    run("dpkg", "--verify", "outrider")
    foreign = run("find", "/opt/outrider", "(", "!", "-user", "root", "-o", "-perm", "/022", ")", "!", "-type", "l")
    expect(true=not foreign, otherwise=f"not root's alone: {foreign[:500]}")
    key = run("stat", "-c", "%U %a", str(KEYS / "device.pem"), str(KEYS), "/var/lib/outrider").split("\n")[:3]
    expect(true=key == ["outrider 600", "outrider 700", "outrider 700"], otherwise=str(key))
    return "root's alone; device key 0600"


def config_check_names_key_and_line(_: Path) -> str:
    """And takes the config that the later checks use."""
    bad = SCRATCH / "bad.toml"
    bad.write_text(_BAD_CONFIG)
    said = run("outrider", "config", "check", str(bad), code=2).strip()
    expect(true="batch_max" in said and "5" in said and len(said.splitlines()) == 1, otherwise=said)
    run("outrider-fleet", "keys", str(INSURER))
    give_to_agent(*INSURER.glob("*.pub.pem"))
    write_config()
    run("outrider", "config", "check", str(CONFIG))
    return said


def doctor_finds_faults(_: Path) -> str:
    """Names a broker of another authority, then an interface that is down; good about everything in between.

    The agent is stopped meanwhile.
    """
    run("systemctl", "stop", UNIT)
    cloud = Path(tempfile.mkdtemp())
    with helper(outside("broker", str(cloud), DEVICE), ready="ready"):
        foreign = _find_fault("link")
        give_to_agent(cloud / "ca.crt", cloud / f"{DEVICE}.crt", cloud / f"{DEVICE}.key")
        good = run("outrider", "doctor")
        run("ip", "link", "set", "vcan0", "down")
        down = _find_fault("vcan0")
        run("ip", "link", "set", "vcan0", "up")
    return f"{foreign}; then {len(good.splitlines())} good; then: {down}"


def _find_fault(name: str) -> str:
    """The one line in which the doctor finds fault, which names this."""
    said = run("outrider", "doctor", code=1)
    faults = [line for line in said.splitlines() if line.startswith("bad")]
    expect(true=len(faults) == 1 and name in faults[0], otherwise=said)
    return faults[0]


def upgrades(files: Path) -> str:
    """The same package again over a running service: config and key stay, the new one runs."""
    run("systemctl", "start", UNIT)
    before = unit("MainPID"), CONFIG.read_text(), (KEYS / "device.pem").read_bytes()
    said = run("dpkg", "-i", *map(str, files.glob("*.deb")))
    after = unit("MainPID"), CONFIG.read_text(), (KEYS / "device.pem").read_bytes()
    expect(true=after[1:] == before[1:], otherwise="config or key changed")
    expect(true=unit("ActiveState") == "active" and after[0] != before[0], otherwise=f"not restarted: {said}")
    return "config and key kept, service restarted"


def removes(_: Path) -> str:
    """Gone but for what cannot be had again: key, config, records."""
    run("systemctl", "stop", DONGLE_UNIT)
    said = run("dpkg", "--remove", "outrider")
    expect(true="not empty" not in said.replace("/etc/outrider", ""), otherwise=said)
    left = [str(path) for path in (Path("/opt/outrider"), Path("/usr/bin/outrider"), STATUS) if path.exists()]
    expect(true=not left, otherwise=f"left behind: {left}")
    kept = [KEYS / "device.pem", CONFIG, Path("/var/lib/outrider/outbox.db")]
    expect(true=all(path.exists() for path in kept), otherwise=f"not all of {kept} were kept")
    return "key, config and records kept"


def purges(_: Path) -> str:
    """Nothing is left of it."""
    run("dpkg", "--purge", "outrider")
    places = [ETC, Path("/var/lib/outrider"), Path("/run/outrider"), Path("/opt/outrider")]
    left = [str(path) for path in places if path.exists()]
    left += run(
        "find", "/etc", "/usr", "/var/lib", "-xdev", "-name", "*outrider*", "-not", "-path", "*/journal/*"
    ).split()
    expect(true=not left, otherwise=f"left behind: {left}")
    run("getent", "passwd", "outrider", code=2)
    wait_for("end of the unit", lambda: unit("LoadState") == "not-found", limit_s=10)
    return "no file, no user, no unit"
