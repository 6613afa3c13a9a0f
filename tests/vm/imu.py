"""Checks of the IMU driver against the kernel's own IIO, behind which a simulated chip sits (chip/simulated_imu.c)."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from .box import CONFIG, FILES, UNIT, CheckSkipped, expect, packaged, run, status, wait_for

_SECONDS: Final = 5
_VERTICAL_MPS2: Final = 16_384 * 0.004788403  # what the chip's third axis reads at +-16 g
_LATE_MAX_MS: Final = 1000.0  # a guest without KVM beside others
_RULE: Final = Path("/etc/udev/rules.d/61-outrider-imu.rules")
_DROP_IN: Final = Path("/etc/systemd/system/outrider.service.d/imu.conf")


def imu_scans_arrive_whole(_: Path) -> str:
    """At 400 and 1,600 Hz every scan of the kernel's queue becomes a sample, once, in order, with its stamp."""
    told = []
    with _chip():
        for rate_hz in (400, 1600):
            seen = _read(rate_hz)
            counters = seen["counters"]
            expect(true=seen["missing"] == 0 == counters["lost"] == counters["mistimed"], otherwise=str(seen))
            expect(true=seen["scans"] == seen["turns"] >= 0.8 * rate_hz * _SECONDS, otherwise=str(seen))
            even = abs(seen["period_us"] - 1e6 / rate_hz) < 1 and seen["period_spread_us"] < 1
            expect(true=even and -1 <= seen["age_max_ms"] < _LATE_MAX_MS, otherwise=str(seen))
            expect(true=abs(seen["vertical_mps2"] - _VERTICAL_MPS2) < 0.01, otherwise=str(seen))
            told.append(f"{seen['scans']} at {rate_hz} Hz, at most {seen['age_max_ms']:.0f} ms old")
    return "; ".join(told)


def imu_losses_are_counted(_: Path) -> str:
    """A queue that loses every tenth scan: the driver counts what the scans' own numbers say is missing."""
    with _chip("skip=10"):
        seen = _read(400)
    expect(true=seen["missing"] == seen["counters"]["lost"] > 0, otherwise=str(seen))
    return f"{seen['missing']} missing, {seen['counters']['lost']} counted, {seen['scans']} read"


def imu_is_given_as_documented(_: Path) -> str:
    """The commands of docs/operators.md let the sandboxed service at the chip, and no more than that."""
    page = (FILES / "operators.md").read_text()
    commands = re.search(
        r"The package's sandbox lets the agent touch no such device.*?```sh\n(.*?)```", page, re.DOTALL
    )
    expect(true=commands is not None, otherwise="operators.md has no such commands")
    config = CONFIG.read_text()
    with _chip():
        run("systemctl", "stop", UNIT)
        CONFIG.write_text(f'{config}\n[imu]\ndevice = "simulated-imu"\n')
        try:
            run("sh", "-ec", commands[1].replace("bmi160", "simulated-imu") if commands else "false")
            run("udevadm", "settle")
            run("systemctl", "start", UNIT)
            wait_for("scans in the status", lambda: _scans() > 0, limit_s=30)
            seen = status()["sources"]["imu"]
        finally:
            run("systemctl", "stop", UNIT)
            for path in (_RULE, _DROP_IN):
                path.unlink(missing_ok=True)
            CONFIG.write_text(config)
            run("systemctl", "daemon-reload")
            run("systemctl", "start", UNIT)
    return str(seen)


def _scans() -> int:
    return int(status().get("sources", {}).get("imu", {}).get("scans", 0))


def _read(rate_hz: int) -> dict[str, Any]:
    reader = packaged(str(Path(__file__).with_name("imureader.py")), str(rate_hz), str(_SECONDS))
    found: dict[str, Any] = json.loads(run(*reader))
    return found


@contextmanager
def _chip(*parameters: str) -> Iterator[None]:
    said = run("modprobe", "simulated_imu", *parameters, code=None)
    if said:
        raise CheckSkipped(f"no simulated chip: {said.strip()}")
    try:
        yield
    finally:
        run("modprobe", "-r", "simulated_imu")
