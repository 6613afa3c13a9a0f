"""The claims desk over HTTP, for a browser on this machine: a list of tickets, and a page each. It changes nothing.

Loopback only, and only by that name: the pages hold what cars sealed for their insurer, and another site's page in the
same browser shall not read them under a name of its own.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from agent.core.errors import InputError, StoreError
from simulators.claims_page import page_name

Render = Callable[[str], str | None]

_HEAD_MAX_BYTES: Final = 8192
_TIMEOUT_S: Final = 10.0
_AT_ONCE_MAX: Final = 16
_HEADERS: Final = (
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Cache-Control: no-store",
    "Connection: close",
)


class ClaimsWeb:
    """Serves within `async with`. render gives a page by its name, in a thread; port 0 is any free one."""

    def __init__(self, render: Render, *, port: int = 0) -> None:
        self._render = render
        self._port = port
        self._server: asyncio.Server | None = None
        self._places = asyncio.Semaphore(_AT_ONCE_MAX)

    async def __aenter__(self) -> Self:
        """Raises InputError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port, limit=_HEAD_MAX_BYTES)
        except OSError as exc:
            raise InputError(f"claims desk: port {self._port}: {exc.strerror}") from exc
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self._port}/"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection; whoever is slow or says nothing sensible is let go."""
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with self._places, asyncio.timeout(_TIMEOUT_S):
                writer.write(await self._respond(reader))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _respond(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", "")
        request, *fields = head.split("\r\n")
        method, _, target = request.partition(" ")
        if method not in {"GET", "HEAD"}:
            return _response("405 Method Not Allowed", "", "Allow: GET, HEAD")
        hosts = [field[5:].strip().lower() for field in fields if field.lower().startswith("host:")]
        if hosts not in ([f"127.0.0.1:{self._port}"], [f"localhost:{self._port}"]):
            return _response("421 Misdirected Request", "")
        name = target.partition(" ")[0].partition("?")[0].removeprefix("/")
        if not name:
            return _response("302 Found", "", f"Location: /{page_name(0, 'zh')}")
        try:
            page = await asyncio.to_thread(self._render, name)
        except StoreError as exc:
            return _response("503 Service Unavailable", str(exc))
        if page is None:
            return _response("404 Not Found", "no such page")
        return _response("200 OK", page, "Content-Type: text/html; charset=utf-8", body=method == "GET")


def _response(status: str, text: str, *fields: str, body: bool = True) -> bytes:
    content = text.encode()
    given = (
        fields if any(field.startswith("Content-Type") for field in fields) else (*fields, "Content-Type: text/plain")
    )
    head = [f"HTTP/1.1 {status}", *given, f"Content-Length: {len(content)}", *_HEADERS, "", ""]
    return "\r\n".join(head).encode("latin-1") + (content if body else b"")
