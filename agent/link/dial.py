"""The way to the broker: name, TCP and TLS, each with its own reason when it fails, and each cancellable.

paho does all three in a blocking call on a thread: a stop would have to wait for a dead DNS server.
"""

import asyncio
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from agent.core.best_time import Now
from agent.core.config import Link
from agent.core.errors import ConfigError, LinkDown
from agent.link.validity import Check, choose_check

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]

_ALPN: Final = ["mqtt"]
_TLS_RECORDS: Final = range(20, 25)  # the first byte of whatever speaks TLS (RFC 8446, 5.1)
_LOOK_BYTES: Final = 256
_TCP_THIN_LINEAR_TIMEOUTS: Final = 16  # Linux; Python names it not. A notice that is lost twice goes again no later
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class Resolve(Protocol):
    """Addresses of a host as getaddrinfo gives them; raises socket.gaierror."""

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Find them."""
        ...


class _NotTls(OSError):
    """Says who answered instead of a TLS server."""


def check_link(link: Link) -> None:
    """Raise ConfigError where the link would talk in the clear, or names half an identity."""
    given = [name for name in ("ca", "certificate", "key") if getattr(link, name)]
    if len(given) == 3 or (not given and (not link.host or _is_loopback(link.host))):
        return
    if given:
        missing = next(name for name in ("ca", "certificate", "key") if name not in given)
        raise ConfigError(f"link.{missing}: missing, while link.{given[0]} is set; TLS needs ca, certificate and key")
    raise ConfigError(f"link.host: {link.host} is not this machine, so link.ca, certificate and key are needed")


async def resolve(host: str, port: int) -> list[Address]:
    """Names by getaddrinfo on a daemon thread: the loop's own executor would hold up the process's end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Address]] = loop.create_future()

    def settle(result: list[Address] | OSError) -> None:
        if found.done():
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    def work() -> None:
        result: list[Address] | OSError
        try:
            result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[assignment]  # typeshed widens the sockaddr
        except OSError as exc:
            result = exc
        except UnicodeError as exc:
            result = socket.gaierror(socket.EAI_NONAME, f"not a host name: {exc}")
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=work, name="resolve", daemon=True).start()
    return await found


async def dial(link: Link, *, timeout_s: float, resolve: Resolve = resolve, now: Now | None = None) -> socket.socket:
    """Return a non-blocking socket to the broker, its TLS handshake done.

    now: the best time known, where the system's clock may be wrong. Certificate files are read anew each time, so that
    renewing one is replacing it.

    Raises LinkDown with the reason: a dead resolver, an unknown name, a captive portal, an expired certificate and one
    of somebody else's are told apart, since people do different things about them.
    """
    context = _tls_context(link)
    where = f"{link.host}:{link.port}"
    silent = "no answer from the resolver"
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await resolve(link.host, link.port)
            silent = "no answer"
            sock = await _connect_first(addresses)
            if context is None:
                return sock
            return await _secure(sock, context, link.host, choose_check(context, now))
    except TimeoutError as exc:
        raise LinkDown(f"{where}: {silent} within {timeout_s:g} s") from exc
    except _NotTls as exc:
        raise LinkDown(f"{where}: {exc}") from exc
    except socket.gaierror as exc:
        raise LinkDown(f"{where}: name not found: {exc.strerror}") from exc
    except ConnectionRefusedError as exc:
        raise LinkDown(f"{where}: connection refused") from exc
    except ssl.SSLCertVerificationError as exc:
        if exc.verify_code == _EXPIRED:
            raise LinkDown(f"{where}: the broker's certificate has expired, or the clock is wrong") from exc
        raise LinkDown(f"{where}: the broker's certificate is not trusted: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise LinkDown(f"{where}: TLS failed: {exc.reason or exc.strerror}") from exc
    except OSError as exc:
        raise LinkDown(f"{where}: {exc.strerror or exc}") from exc


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls_context(link: Link) -> ssl.SSLContext | None:
    """None where the config asks for a plain connection. Unreadable files are LinkDown: recording goes on without."""
    check_link(link)
    if not link.ca:
        return None
    try:
        context = ssl.create_default_context(cafile=link.ca)
    except OSError as exc:
        raise LinkDown(f"link.ca: {link.ca}: {exc.strerror or exc}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    try:
        # The empty password keeps OpenSSL from asking on a terminal that is not there.
        context.load_cert_chain(link.certificate, link.key, password="")
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise LinkDown(f"link.certificate, link.key: {link.certificate}, {link.key}: {reason}") from exc
    return context


async def _connect_first(addresses: Sequence[Address]) -> socket.socket:
    """TCP to the first address that answers; the last one's error where none does."""
    failed: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_THIN_LINEAR_TIMEOUTS, 1)
        except OSError as exc:
            sock.close()
            failed = exc
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            return sock
    raise failed


async def _secure(sock: socket.socket, context: ssl.SSLContext, host: str, check: Check) -> ssl.SSLSocket:
    """TLS handshake on a connected non-blocking socket, which is closed where it fails."""
    secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    heard = False
    try:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(secured, write=False)
                if not heard:
                    heard = True
                    _check_tls(socket.socket.recv(secured, _LOOK_BYTES, socket.MSG_PEEK))
            except ssl.SSLWantWriteError:
                await _ready(secured, write=True)
            else:
                check(secured)
                return secured
    except (OSError, asyncio.CancelledError):
        secured.close()
        raise


def _check_tls(answer: bytes) -> None:
    """Raise _NotTls where the first bytes of the other side are something else: OpenSSL names no captive portal."""
    if not answer or answer[0] in _TLS_RECORDS:
        return
    if not answer.startswith(b"HTTP/"):
        raise _NotTls("whoever answers speaks no TLS")
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "\n" for byte in answer)
    lines = [line.strip() for line in text.splitlines()]
    location = next((line[9:].strip() for line in lines if line.lower().startswith("location:")), "")
    raise _NotTls(f"a captive portal answers: {lines[0]}" + (f", sends us to {location}" if location else ""))


async def _ready(sock: ssl.SSLSocket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not ready.done():
            ready.set_result(None)

    (loop.add_writer if write else loop.add_reader)(sock.fileno(), settle)
    try:
        await ready
    finally:
        (loop.remove_writer if write else loop.remove_reader)(sock.fileno())
