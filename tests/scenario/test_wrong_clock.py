"""A box whose clock is wrong from its first second: it connects, learns the time from a receipt, and keeps it."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.core.best_time import EARLIEST_NS
from agent.core.config import Config, Consent, Device, Store
from agent.core.ports import Hardware, Notice
from drivers.keystore import FileKeystore
from fleet.bundle import make_manifest
from fleet.push import push
from simulators.access import RULES
from simulators.broker import Broker
from simulators.clock import ManualClock
from simulators.cloud import Cloud
from simulators.pki import Authority
from tests.conftest import REPOSITORY
from tests.scenario.delivery import WAIT_S, quick_link

# The system's clock as libc shows it: what Python and OpenSSL see of it, without setting that of the machine.
_SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long now(void) { return atol(getenv("SHOWN_S")); }
time_t time(time_t *to) { if (to) *to = now(); return now(); }
int gettimeofday(struct timeval *restrict to, void *restrict zone) { to->tv_sec = now(); to->tv_usec = 0; return 0; }
int clock_gettime(clockid_t clock, struct timespec *to) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, to);
    if (clock == CLOCK_REALTIME) to->tv_sec = now();
    return result;
}
"""
_CAR = """
import asyncio, sys, time
from agent.core.best_time import BestTime
from agent.core.config import Link
from agent.core.errors import LinkDown
from agent.link.mqtt import connect
from drivers.clock import SystemClock

async def main():
    names = ("ca", "certificate", "key")
    link = Link(host="127.0.0.1", port=int(sys.argv[1]), ack_timeout_s=5.0, **dict(zip(names, sys.argv[2:])))
    best = BestTime(SystemClock(kernel_synced=lambda: False))
    for now in (None, best.now):
        try:
            async with connect(link, client_id="car1", now=now):
                print(time.gmtime().tm_year, "connected")
        except LinkDown as exc:
            print(time.gmtime().tm_year, str(exc).partition(": ")[2])

asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to show another system clock with")
@pytest.mark.parametrize(
    ("shown_s", "year", "refused"),
    [
        (0, 1970, "the broker's certificate is not trusted: certificate is not yet valid"),
        (2_100_000_000, 2036, "the broker's certificate has expired, or the clock is wrong"),
    ],
)
async def test_tls_is_no_matter_of_the_systems_clock(shown_s: int, year: int, refused: str, tmp_path: Path) -> None:
    (tmp_path / "shim.c").write_text(_SHIM)
    shim = tmp_path / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-w", "-o", str(shim), str(tmp_path / "shim.c"), "-ldl"]
    subprocess.run(command, check=True)  # noqa: ASYNC221 - nothing else runs yet
    authority = Authority(tmp_path / "pki")
    broker = Broker(authority=authority.certificate, identity=authority.issue_server(), rules=RULES)
    await broker.start()
    identity = authority.issue_client("car1")
    files = (authority.certificate, identity.certificate, identity.key)
    car = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CAR, str(broker.port), *map(str, files)),
        env=os.environ | {"LD_PRELOAD": str(shim), "SHOWN_S": str(shown_s), "PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await car.communicate()
    await broker.stop()
    assert said.decode().splitlines() == [f"{year} {refused}", f"{year} connected"]


async def _until(clock: ManualClock, done: Callable[[], bool]) -> None:
    """Let time pass, the real one for the broker and the box's own."""
    async with asyncio.timeout(WAIT_S):
        while not done():
            await asyncio.sleep(0.01)
            await clock.advance(0.3)


async def test_the_app_goes_by_the_newest_receipt_until_its_clock_is_set(tmp_path: Path) -> None:
    async with Cloud(tmp_path / "cloud", broker="embedded") as cloud:
        keystore = FileKeystore.create(tmp_path / "car1.pem", "car1")
        cloud.register("car1", keystore.public_key)
        config = Config(
            device=Device(id="car1"),
            profile="simcar",
            store=Store(directory=str(tmp_path / "car1")),
            link=msgspec.structs.replace(quick_link(cloud), drain_timeout_s=WAIT_S),
            trust=cloud.trust(),
            consent=Consent(purposes=["diagnostics"]),
        )
        notices: list[Notice] = []
        for version in (1, 2):
            clock = ManualClock(wall_start_ns=0)
            clock.synced = False
            stop = asyncio.Event()
            running = asyncio.create_task(
                app.run(config, Hardware(keystore=keystore, notify=notices.append), clock, stop=stop)
            )
            manifest = make_manifest(
                "[detect]\n",
                bundle=f"b{version}",
                version=version + 1,
                expires_ns=EARLIEST_NS + 86_400 * 10**9,  # which only the second start knows to be over
                vehicles=["car1"],
                groups=[],
            )
            await push(cloud.operator_link(), manifest, cloud.operator_key)
            await _until(clock, lambda: sum(n.text.startswith("config_") for n in notices) == version)  # noqa: B023 - awaited here
            stop.set()
            await _until(clock, running.done)
            assert (await running).waiting == 0
    assert (tmp_path / "car1" / "newest.receipt").exists()
    events = [notice.event for notice in notices if notice.text.startswith("config_")]
    assert [event.kind for event in events if event is not None] == ["config_applied", "config_rejected"]
    assert "b1: taken, though it may have expired: the clock has not been set yet" in [n.text for n in notices]
    assert str(getattr(events[1], "reason", "")).startswith("expired: at least ")
