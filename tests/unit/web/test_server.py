"""The page's server over real sockets: nobody keeps a place for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from agent.web.server import listen, serve

SHORT_S = 0.05
LONG_S = 60.0
ASK = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
MUCH = "x" * 8_000_000  # more than the sockets of both ends hold


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = await request.body() if request.method == "POST" else b""
    answer = MUCH if request.url.path == "/much" else f"heard {len(body)}"
    await PlainTextResponse(answer)(scope, receive, send)


@asynccontextmanager
async def served(exchange_s: float) -> AsyncIterator[int]:
    """The port."""
    sock = listen("127.0.0.1", 0)
    port: int = sock.getsockname()[1]
    serving = asyncio.create_task(serve(site, sock, exchange_s=exchange_s))
    try:
        async with asyncio.timeout(10):
            yield port
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def hear(reader: asyncio.StreamReader) -> bytes:
    """All until the other end is gone, however it goes."""
    heard = b""
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            heard += data
    return heard


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    heard = await hear(reader)
    writer.close()
    return heard


@pytest.mark.parametrize(
    "request_",
    [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_finish_a_request_loses_the_connection(request_: bytes) -> None:
    async with served(SHORT_S) as port:
        assert await ask(port, request_) == b""


async def test_nor_is_a_second_request_waited_for_without_end() -> None:
    async with served(SHORT_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await reader.readuntil(b"heard 0")
        writer.write(b"GET")
        assert await hear(reader) == b""
        writer.close()


async def test_who_does_not_take_the_answer_loses_the_connection() -> None:
    async with served(SHORT_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(ASK.replace(b"/ ", b"/much "))
        with suppress(ConnectionError):
            while True:  # as long as there is somebody who could be written to
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        assert len(await hear(reader)) < len(MUCH)


async def test_connections_that_ask_nothing_give_their_places_back() -> None:
    async with served(SHORT_S) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
        await asyncio.gather(*(hear(reader) for reader, _ in silent))
        assert b"200 OK" in await ask(port, ASK)
        for _, writer in silent:
            writer.close()


async def test_beyond_what_is_served_at_once_one_is_told_and_many_are_not_let_in() -> None:
    async with served(LONG_S) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
        close = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert b"503 Service Unavailable" in await ask(port, close)
        opened += [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
        assert await ask(port, close) == b""
        for _, writer in opened:
            writer.close()


async def test_requests_on_one_connection_each_have_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    ends: list[asyncio.TimerHandle] = []

    def noted(delay_s: float, *called: Any) -> asyncio.TimerHandle:
        timer: asyncio.TimerHandle = call_later(delay_s, *called)
        if delay_s == LONG_S:
            ends.append(timer)
        return timer

    monkeypatch.setattr(loop, "call_later", noted)
    async with served(LONG_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(ASK)
            assert b"200 OK" in await reader.readuntil(b"heard 0")
        assert [end.cancelled() for end in ends] == [True, True, True, False]
        writer.close()
    assert all(end.cancelled() for end in ends), "none is left behind"
