"""`outrider run`: the car's hardware, the real clock, systemd's signals."""

import asyncio
import logging
import signal
from pathlib import Path

import msgspec

from agent import app
from agent.core.config import Config, load_config
from agent.core.errors import AgentError
from agent.core.paths import find_dbc
from agent.core.ports import Notice
from agent.core.signals import SignalCatalog
from agent.decode.profile import Profile, load_profile
from agent.decode.table import build_table
from agent.detect.mounting import SelfMount
from drivers.clock import RadioClock, SystemClock
from drivers.hardware import open_hardware

_log = logging.getLogger("outrider")


async def run_daemon(path: Path, *, listen_only: bool = False) -> int:
    """Run until SIGTERM or SIGINT. Returns 0 after an ordered stop. listen_only can only add to what config says."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = load_config(path)
    if listen_only:
        config = msgspec.structs.replace(config, listen_only=True)
    clock = RadioClock()
    profile = load_profile(config.profile)
    can_ids = _frames_of(profile, config)
    hardware = open_hardware(
        config,
        SystemClock(),
        notify=_log_notice,
        polls=profile.polls,
        dids=profile.dids,
        can_ids=can_ids,
        mount=SelfMount if config.imu else None,
        on_utc=clock.offer_utc,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.timeout(None) as deadline:
            watcher = asyncio.create_task(_limit_stop(stop, deadline, config.stop_timeout_s))
            summary = await app.run(config, hardware, clock, stop=stop)
            watcher.cancel()
    except TimeoutError as exc:
        raise AgentError(f"stopping took longer than stop_timeout_s = {config.stop_timeout_s:g}: cut short") from exc
    _log.info("stopped: %d sealed, %d waiting for a receipt", summary.sealed, summary.waiting)
    return 0


def _frames_of(profile: Profile, config: Config) -> list[int] | None:
    """Identifiers for the kernel's filters. None: all.

    The filters match whole identifiers, and J1939 senders vary; the bus watch looks for what no profile knows.
    """
    if profile.j1939 or config.detect.bus.enabled:
        return None
    return build_table(profile, [find_dbc(name) for name in config.dbc], SignalCatalog()).identifiers()


async def _limit_stop(stop: asyncio.Event, deadline: asyncio.Timeout, limit_s: float) -> None:
    """Stopping takes limit_s at most: what is on disk by then is safe, and systemd would kill us later anyway."""
    await stop.wait()
    deadline.reschedule(asyncio.get_running_loop().time() + limit_s)


def _log_notice(notice: Notice) -> None:
    """The link logs for itself. What was said in the car is nobody's business who reads a journal."""
    if notice.topic == "event":
        _log.info("event %s", notice.text)
    elif notice.topic in ("said", "asked", "heard"):
        _log.info("%s %d characters", notice.topic, len(notice.text))
    elif notice.topic in ("source", "config"):
        _log.info("%s: %s", notice.topic, notice.text)
