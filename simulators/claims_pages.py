"""The claims desk's pages as files, and the tickets that a receiver's database holds: `python -m simulators claims`."""

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.core.errors import InputError
from agent.core.paths import ROOT
from fleet.desk.claims import ClaimsDesk, Ticket
from fleet.desk.reading import CASE_KINDS, read_tickets
from fleet.desk.store import DeskStore, KnownNumbers
from fleet.receiver.database import open_store
from fleet.receiver.store import Store
from simulators.arguments import Parser
from simulators.claims_case import Case, load_cases
from simulators.claims_page import page_name, render_case, render_index
from simulators.claims_talk import load_talk, talk_section
from simulators.claims_words import LANGUAGES, Language

PAGES: Final = ROOT / "build" / "claims"
_LISTED_MAX: Final = 200
_NAME: Final = re.compile(r"(?:index|ticket-([1-9][0-9]{0,8}))\.(zh|en)\.html")


def render(store: Store, desk: ClaimsDesk, name: str) -> str | None:
    """The page of that name as the store has it now, None where there is none. Raises StoreError."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    language: Language = "zh" if match[2] == "zh" else "en"
    if match[1] is None:
        return render_index(load_cases(store, desk.tickets[-_LISTED_MAX:], with_records=False), language)
    found = [ticket for ticket in desk.tickets if ticket.number == int(match[1])]
    cases = load_cases(store, found, with_records=True)
    return next((_render_ticket(store, case, language) for case in cases), None)


def write_pages(store: Store, desk: ClaimsDesk, directory: Path) -> list[Path]:
    """Write the list and each ticket's page in both languages; return the files, the Chinese list first.

    Pages of tickets that are no more are removed. Raises StoreError, InputError where the disk refuses.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.iterdir():
            if _NAME.fullmatch(old.name):
                old.unlink()
        return list(_write(store, desk.tickets[-_LISTED_MAX:], directory))
    except OSError as exc:
        raise InputError(f"{directory}: {exc.strerror}") from exc


def main(argv: Sequence[str]) -> int:
    """Draw the pages of a receiver's database. Raises AgentError."""
    parser = Parser(
        prog="python -m simulators claims", description="The claims desk's pages from a receiver's database."
    )
    parser.add_argument("database", metavar="DATABASE", help="the receiver's SQLite file, or postgresql://...")
    parser.add_argument("--output", type=Path, default=PAGES, metavar="DIRECTORY", help="default build/claims")
    parser.add_argument("--device", default=None, metavar="ID", help="of one car only")
    options = parser.parse_args(argv, namespace=_Options())
    with closing(open_store(options.database)) as store:
        kept = DeskStore(store)
        desk = ClaimsDesk(KnownNumbers(kept))
        read_tickets(kept.history(tuple(CASE_KINDS), options.device), desk, closed=kept.closed())
        desk.look(time.time_ns())
        pages = write_pages(store, desk, options.output)
    print(f"{len(desk.tickets)} tickets: {pages[0]}")
    return 0


class _Options(argparse.Namespace):
    database: str
    output: Path
    device: str | None


def _write(store: Store, tickets: Sequence[Ticket], directory: Path) -> Iterator[Path]:
    """One ticket's record in memory at a time."""
    cases = load_cases(store, tickets, with_records=False)
    yield from (_save(directory, 0, language, render_index(cases, language)) for language in LANGUAGES)
    for ticket in tickets:
        (case,) = load_cases(store, [ticket], with_records=True)
        for language in LANGUAGES:
            yield _save(directory, ticket.number, language, _render_ticket(store, case, language))


def _render_ticket(store: Store, case: Case, language: Language) -> str:
    talk = talk_section(load_talk(store, case.ticket.number), language, now_ns=time.time_ns())
    return render_case(replace(case, talk=talk), language)


def _save(directory: Path, number: int, language: Language, page: str) -> Path:
    """What the cars sealed stands here in the open: for this user alone."""
    path = directory / page_name(number, language)
    path.touch(mode=0o600)
    path.write_text(page, encoding="utf-8")
    return path
