"""The claims desk's pages as files and over HTTP."""

import asyncio
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agent.core.errors import InputError, StoreError
from fleet.desk.claims import ClaimsDesk
from fleet.desk.reading import read_tickets
from simulators.__main__ import main
from simulators.claims_pages import render, write_pages
from simulators.claims_web import ClaimsWeb
from tests.unit.simulators.claims_kit import HeldStore, collision, record


def open_desk() -> tuple[HeldStore, ClaimsDesk]:
    store, desk = HeldStore([collision(), *record()]), ClaimsDesk()
    read_tickets(store.arrivals(), desk)
    return store, desk


async def ask(web: ClaimsWeb, request: str, *, host: str | None = None) -> str:
    port = int(web.address.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request}\r\nHost: {host or f'127.0.0.1:{port}'}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


def shipped(name: str) -> str | None:
    return {"ticket-1.zh.html": "<h1>案件 1</h1>"}.get(name)


async def test_a_browser_finds_the_list_and_each_ticket() -> None:
    async with ClaimsWeb(shipped) as web:
        assert "302 Found" in await ask(web, "GET / HTTP/1.1")
        page = await ask(web, "GET /ticket-1.zh.html HTTP/1.1")
        assert page.startswith("HTTP/1.1 200 OK")
        assert "default-src 'none'" in page
        assert page.endswith("<h1>案件 1</h1>")
        head = await ask(web, "HEAD /ticket-1.zh.html HTTP/1.1")
        assert "200 OK" in head
        assert "<h1>" not in head


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        ("GET /ticket-2.zh.html HTTP/1.1", None, "404"),
        ("GET /../../etc/passwd HTTP/1.1", None, "404"),
        ("POST / HTTP/1.1", None, "405"),
        ("GET / HTTP/1.1", "evil.example", "421"),
        (f"GET /{'x' * 9000} HTTP/1.1", None, "431"),
        ("nonsense", None, "405"),
    ],
)
async def test_what_is_no_page_is_refused(request_line: str, host: str | None, status: str) -> None:
    async with ClaimsWeb(shipped) as web:
        assert (await ask(web, request_line, host=host)).startswith(f"HTTP/1.1 {status}")


async def test_a_store_that_fails_is_said_and_the_desk_stays() -> None:
    def fail(name: str) -> str | None:
        raise StoreError("the disk refuses")

    async with ClaimsWeb(fail) as web:
        answer = await ask(web, "GET /index.zh.html HTTP/1.1")
        assert answer.startswith("HTTP/1.1 503")
        assert answer.endswith("the disk refuses")
        assert "302" in await ask(web, "GET / HTTP/1.1")


async def test_a_port_that_is_taken_is_one_error() -> None:
    async with ClaimsWeb(shipped) as web:
        port = int(web.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(InputError, match=str(port)):
            await ClaimsWeb(shipped, port=port).__aenter__()


@pytest.mark.parametrize("name", ["ticket-0.zh.html", "ticket-2.zh.html", "ticket-1.fr.html", "index.html", "x"])
def test_there_is_no_page_of_that_name(name: str) -> None:
    store, desk = open_desk()
    assert render(store, desk, name) is None  # type: ignore[arg-type]  # the part of a store that is asked


def test_pages_are_written_for_their_owner_and_old_ones_go(tmp_path: Path) -> None:
    store, desk = open_desk()
    old, other = tmp_path / "ticket-7.en.html", tmp_path / "notes.html"
    old.touch()
    other.touch()
    pages = write_pages(store, desk, tmp_path)  # type: ignore[arg-type]  # the part of a store that is asked
    assert [page.name for page in pages] == [
        "index.zh.html",
        "index.en.html",
        "ticket-1.zh.html",
        "ticket-1.en.html",
    ]
    assert all(stat.S_IMODE(page.stat().st_mode) == 0o600 for page in pages)
    assert "案件 1" in pages[0].read_text(encoding="utf-8")
    assert not old.exists()
    assert other.exists()


def test_a_directory_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        write_pages(*open_desk(), tmp_path / "file")  # type: ignore[arg-type]  # the part of a store that is asked


def test_a_missing_database_is_one_line(refusal: Callable[[Sequence[str]], str], tmp_path: Path) -> None:
    assert "no such file" in refusal(["claims", str(tmp_path / "none.sqlite")])


def test_an_empty_database_is_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database, output = tmp_path / "received.sqlite", tmp_path / "pages"
    database.touch()
    assert main(["claims", str(database), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"0 tickets: {output / 'index.zh.html'}\n"
    assert "暂无案件" in (output / "index.zh.html").read_text(encoding="utf-8")
