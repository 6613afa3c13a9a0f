"""`outrider-fleet desk` and `outrider-fleet tickets`."""

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from agent.core.config import Link
from agent.core.errors import InputError
from agent.core.toml import load_toml
from fleet.desk.acts import Acts
from fleet.desk.desk import Desk
from fleet.desk.service import DeskSender, serve_desk
from fleet.desk.store import DeskStore
from fleet.desk.ticket import DeskTicket
from fleet.receiver.database import open_store
from fleet.receiver.keys import ReceiverKeys


def add_desk(parser: argparse.ArgumentParser) -> None:
    """The service."""
    parser.add_argument("--link", type=Path, required=True, help="TOML: the keys of a [link] table")
    parser.add_argument("--keys", type=Path, required=True, help="the insurer's key directory")
    _add_database(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_serve(args)))


def add_tickets(parser: argparse.ArgumentParser) -> None:
    """What people at the desk do."""
    acts = parser.add_subparsers(required=True, metavar="ACT")
    listed = acts.add_parser("list", help="tickets as JSON lines, with what is due when")
    _add_database(listed)
    listed.add_argument("--device", help="only this one's")
    listed.add_argument("--open", action="store_true", help="only where something is owed")
    listed.set_defaults(run=_list)
    _add_act(acts, "show", _show, "a ticket, and what was said to the car about it")
    answer = _add_act(acts, "answer", _answer, "answer, in both languages; the driver is asked whether it helps")
    _add_texts(answer, "--zh", "--en")
    surveyor = _add_act(acts, "surveyor", _surveyor, "tell when the surveyor comes, and where to")
    _add_texts(surveyor, "--time-zh", "--time-en")
    surveyor.add_argument("--place-zh", default="", help="both places or none")
    surveyor.add_argument("--place-en", default="")
    thank = _add_act(acts, "thank", _thank, "an idea of the driver's is taken up")
    thank.add_argument("--points", type=int, default=0, help="told, not paid")
    close = _add_act(acts, "close", _close, "nothing more is owed")
    close.add_argument("--outcome", default="settled", help="a word for the list")
    close.add_argument("--quiet", action="store_true", help="the driver is not told")


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True, help="the receiver's: a file (SQLite) or postgresql://...")


def _add_act(acts: Any, name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = acts.add_parser(name, help=words)
    parser.add_argument("number", type=int)
    _add_database(parser)
    parser.set_defaults(run=run)
    return parser


def _add_texts(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(name, required=True, metavar="TEXT")


async def _serve(args: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    link, keys = load_toml(args.link, Link), ReceiverKeys.open(args.keys)
    with closing(open_store(args.database)) as store:
        desk_store = DeskStore(store)
        desk = Desk(desk_store, now_ns=time.time_ns, tell=_print_event)
        await asyncio.to_thread(desk.catch_up)
        sender = DeskSender(desk_store, keys, now_ns=time.time_ns)
        await serve_desk(link, desk, sender, stopping=stopping)
    return 0


def _print_event(ticket: DeskTicket, what: str) -> None:
    print(f"{what:<10} ticket {ticket.number} {ticket.device} {ticket.kind}", flush=True)


def _list(args: argparse.Namespace) -> int:
    with _desk(args) as (store, _):
        now_ns = time.time_ns()
        for ticket in store.tickets(device=args.device, is_open=args.open):
            due = {"due_ns": ticket.due_ns if ticket.is_open else None, "overdue": bool(ticket.missed(now_ns))}
            print(json.dumps(asdict(ticket) | due, ensure_ascii=False))
    return 0


def _show(args: argparse.Namespace) -> int:
    with _desk(args) as (store, _):
        ticket = _find(store, args.number)
        print(json.dumps(asdict(ticket) | {"due_ns": ticket.due_ns}, ensure_ascii=False))
        for sent in store.messages(ticket.number):
            state = {"sends": sent.sends, "taken_ns": sent.taken_ns}
            print(json.dumps(msgspec.to_builtins(sent.note) | state, ensure_ascii=False))
    return 0


def _answer(args: argparse.Namespace) -> int:
    return _act(args, lambda acts, ticket: acts.answer(ticket, (args.zh, args.en)))


def _surveyor(args: argparse.Namespace) -> int:
    if bool(args.place_zh) != bool(args.place_en):
        raise InputError("--place-zh and --place-en: both or none")
    place = (args.place_zh, args.place_en) if args.place_zh else None
    return _act(args, lambda acts, ticket: acts.announce_surveyor(ticket, (args.time_zh, args.time_en), place))


def _thank(args: argparse.Namespace) -> int:
    return _act(args, lambda acts, ticket: acts.thank(ticket, args.points))


def _close(args: argparse.Namespace) -> int:
    return _act(args, lambda acts, ticket: acts.close(ticket, args.outcome, tell=not args.quiet))


def _act(args: argparse.Namespace, act: Callable[[Acts, DeskTicket], object]) -> int:
    with _desk(args) as (store, acts):
        act(acts, _find(store, args.number))
        print(f"ticket {args.number}: {_find(store, args.number).state}")
    return 0


def _find(store: DeskStore, number: int) -> DeskTicket:
    ticket = store.ticket(number)
    if ticket is None:
        raise InputError(f"there is no ticket {number}")
    return ticket


@contextmanager
def _desk(args: argparse.Namespace) -> Iterator[tuple[DeskStore, Acts]]:
    with closing(open_store(args.database)) as store:
        desk_store = DeskStore(store)
        yield desk_store, Acts(desk_store, now_ns=time.time_ns)
