"""`python -m fleet receive`: one worker, or a parent that keeps several."""

import argparse
import asyncio
import contextlib
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from agent.core.config import Link
from agent.core.errors import AgentError
from agent.core.toml import load_toml
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake, Outcome
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.service import Terms, serve

_SHARE: Final = "receivers"
_WORKERS_MAX: Final = 64
_IN_FLIGHT: Final = 500  # what the broker may send ahead of our acknowledgement: one batch
_STOP_S: Final = 15.0


def add_receive(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command, and what runs it."""
    parser.add_argument("--link", type=Path, required=True, help="TOML: the keys of a [link] table")
    parser.add_argument("--keys", type=Path, required=True, help="the insurer's key directory")
    parser.add_argument("--database", required=True, help="a file (SQLite) or postgresql://USER@HOST/NAME")
    parser.add_argument("--workers", type=_workers, default=1, metavar="N", help="processes that share the records")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # which one we are, where there are several
    parser.add_argument("--quiet", action="store_true", help="of records, print dead letters only")
    parser.set_defaults(run=lambda args: asyncio.run(_receive(args)))


def _workers(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= _WORKERS_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers from 1 to {_WORKERS_MAX}")
    return int(text)


async def _receive(args: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if args.workers > 1:
        return await _keep_workers(args, stopping)
    link = load_toml(args.link, Link)
    link = msgspec.structs.replace(link, in_flight_max=max(link.in_flight_max, _IN_FLIGHT))
    terms = Terms() if args.worker is None else Terms(client_id=f"insurer-{args.worker}", share=_SHARE)
    store = open_store(args.database, create=True)
    try:
        intake = Intake(ReceiverKeys.open(args.keys), store)
        await serve(
            link,
            intake,
            stopping=stopping,
            terms=terms,
            on_connected=lambda: print(f"receiving from {link.host}:{link.port}", flush=True),
            on_outcome=partial(_print_outcome, quiet=args.quiet),
        )
    finally:
        store.close()
    return 0


async def _keep_workers(args: argparse.Namespace, stopping: asyncio.Event) -> int:
    """Start them, pass the end on to them. One that ends by itself ends all: systemd restarts us."""
    open_store(args.database, create=True).close()  # one migrates, and what is wrong is said once
    command = [sys.executable, "-m", "fleet", "receive", "--link", str(args.link), "--keys", str(args.keys)]
    command += ["--database", args.database, *(["--quiet"] if args.quiet else [])]
    workers = [
        await asyncio.create_subprocess_exec(*command, "--worker", str(number)) for number in range(args.workers)
    ]
    ends = {asyncio.create_task(worker.wait()) for worker in workers}
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({*ends, stop}, return_when=asyncio.FIRST_COMPLETED)
    asked = stop.done()
    stop.cancel()
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
    _, late = await asyncio.wait(ends, timeout=_STOP_S)
    if late:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
        await asyncio.wait(ends)
    if not asked or late:
        raise AgentError(f"workers ended with {[worker.returncode for worker in workers]}")
    return max(abs(worker.returncode or 0) for worker in workers)


def _print_outcome(outcome: Outcome, *, quiet: bool) -> None:
    if quiet and outcome.status != "dead":
        return
    what = outcome.event.kind if outcome.event else outcome.reason
    place = "-" if outcome.position is None else f"{outcome.position.boot}/{outcome.position.sequence}"
    print(f"{outcome.status:<10} {outcome.device or '?'} {place} {what}", flush=True)
