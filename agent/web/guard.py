"""What comes before every page: the right name, the right origin, a bounded body, and headers that let nothing in.

Another site's page in the same browser may send requests here under its own name (DNS rebinding) or from its own
forms; both are told from ours by Host and Origin.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX: Final = 4096
_BODY_S: Final = 10.0
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """ASGI around the pages. hosts: values of Host that are ours, as `name:port`."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refuse(scope)
        if refusal is None and scope["method"] == "POST":
            body = await _read_body(receive)
            if body is None:
                refusal = PlainTextResponse("the body is too large, or took too long", 413)
            else:
                receive = _receive_again(body)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refuse(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return PlainTextResponse("this box is not called that", 421)
        if scope["method"] not in {"GET", "HEAD", "POST"}:
            return PlainTextResponse("GET and POST only", 405)
        if scope["method"] == "POST":
            if headers.get("origin", "null") not in self._origins:
                return PlainTextResponse("the form is not of this page", 403)
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > BODY_MAX:
                return PlainTextResponse("the body is too large", 413)
        return None


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large or too slow, or the browser went away."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_S):
            while len(body) <= BODY_MAX:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return body if len(body) <= BODY_MAX else None
    except TimeoutError:
        pass
    return None


def _receive_again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
