"""A socket that gathers small reads and writes: one TLS record and one system call for several MQTT packets."""

import socket
import ssl
from contextlib import suppress
from typing import Final

_READ: Final = 16_384  # a TLS record
_FULL: Final = 16_384
_SEGMENT: Final = 1400  # a TLS record for a TCP segment: on a slow line a larger one would hold up its first packet


class BufferedSocket:
    """What paho needs of a non-blocking socket. What is sent stays here until flush, unless it is a lot."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unsent = bytearray()
        self._unread = b""
        self._at = 0

    def fileno(self) -> int:
        """Of the real one, -1 after close."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - a socket's method
        """Set it for the real one."""
        self._sock.setblocking(flag)

    def send(self, data: bytes | bytearray) -> int:
        """Take all of it. Raises BlockingIOError where enough waits already, OSError where the connection is broken."""
        if len(self._unsent) >= _FULL and not self.flush():
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Write what waits; returns whether that is all of it. Raises OSError."""
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent[:_SEGMENT])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            del self._unsent[:sent]
        return True

    def recv(self, size: int) -> bytes:
        """Return at most size bytes, none at the end. Raises BlockingIOError where there are none now, OSError."""
        if self._at == len(self._unread):
            self._unread, self._at = b"", 0
            try:
                self._unread = self._sock.recv(_READ)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as exc:
                raise BlockingIOError from exc
        data = self._unread[self._at : self._at + size]
        self._at += len(data)
        return data

    @property
    def holds_more(self) -> bool:
        """Whether bytes lie here, of which the selector knows nothing."""
        if self._at < len(self._unread):
            return True
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.fileno() != -1 and self._sock.pending() > 0

    def close(self) -> None:
        """Write what still can be, a DISCONNECT for one, and close."""
        with suppress(OSError, ValueError):
            self.flush()
        self._unsent.clear()
        self._unread, self._at = b"", 0
        self._sock.close()
