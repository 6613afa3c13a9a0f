"""Serves the site in the daemon's own event loop, on one address, until cancelled."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.core.errors import AgentError

_AT_ONCE_MAX: Final = 16
_REFUSED_MAX: Final = 16  # so many more are told that the box is busy
_HEAD_MAX_BYTES: Final = 8192
_IDLE_S: Final = 5
_EXCHANGE_S: Final = 30.0
_END_S: Final = 1


class AddressMissing(AgentError):
    """The interface is not there yet, or somebody else listens: to be tried again."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AddressMissing where it cannot be had now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_AT_ONCE_MAX)
    except OSError as exc:
        sock.close()
        reason = "somebody else listens there" if exc.errno == errno.EADDRINUSE else exc.strerror
        raise AddressMissing(f"web: {host} port {port}: {reason}") from exc
    return sock


async def serve(site: ASGIApp, sock: socket.socket, *, exchange_s: float = _EXCHANGE_S) -> None:
    """Until cancelled; closes the socket. exchange_s: what a browser has for a request and for taking its answer."""

    class Connection(_Connection):
        limit_s = exchange_s

    config = uvicorn.Config(
        site,
        loop="none",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_AT_ONCE_MAX,
        h11_max_incomplete_event_size=_HEAD_MAX_BYTES,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_END_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="page-uvicorn")
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True  # it lets answers under way end, for a second at most
        await asyncio.wait({serving})
        sock.close()


class _Connection(H11Protocol):
    """Ends, whatever state it is in, where an exchange is not over in time: uvicorn limits only the pause after one."""

    limit_s: float
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as H11Protocol's
        super().connection_made(transport)
        if len(self.connections) > _AT_ONCE_MAX + _REFUSED_MAX:
            transport.abort()
        self._give_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_time()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._give_time()  # for what of the answer is still under way, and for the next request

    def _give_time(self) -> None:
        self._end_time()
        self._end = self.loop.call_later(self.limit_s, self.transport.abort)

    def _end_time(self) -> None:
        if self._end is not None:
            self._end.cancel()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the daemon's own business."""
        yield
