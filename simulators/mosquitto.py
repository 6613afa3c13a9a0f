"""Debian's mosquitto as a child process with a config of ours: TLS 1.2+, client certificates, access by common name."""

import asyncio
import os
import pwd
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.core.errors import AgentError
from simulators.access import Rule, mosquitto_acl
from simulators.pki import Identity

_START_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 3.0
_POLL_S: Final = 0.01


class BrokerFailed(AgentError):
    """The broker could not be started: says why."""


def find_mosquitto() -> str | None:
    """Path of the program; Debian puts it where a user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """start, stop and start again: sessions, queues and retained messages persist in its directory."""

    def __init__(
        self,
        program: str,
        directory: Path,
        *,
        authority: Path,
        identity: Identity,
        rules: Iterable[Rule],
        port: int = 0,
        packet_size_max: int = 1 << 20,
    ) -> None:
        self.port = port or _free_port()
        self._program = program
        self._directory = directory
        self._errors = directory / "mosquitto.log"
        self._said_before = 0
        self._process: asyncio.subprocess.Process | None = None
        directory.mkdir(parents=True, exist_ok=True)
        acl = directory / "acl"
        acl.write_text(mosquitto_acl(rules), encoding="utf-8")
        acl.chmod(0o600)
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            _config(directory, acl, authority, identity, port=self.port, packet_size_max=packet_size_max),
            encoding="utf-8",
        )

    async def start(self) -> None:
        """Return when it accepts connections. Raises BrokerFailed with what it wrote on stderr."""
        with self._errors.open("ab") as errors:
            self._said_before = errors.tell()
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                "-c",
                str(self._config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for us: the broker goes last
            )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not self._runs():
                    if self._process.returncode is not None:
                        raise BrokerFailed(f"mosquitto on port {self.port} ended at its start: {self._said()}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as exc:
            await self.stop()
            raise BrokerFailed(f"mosquitto does not listen on port {self.port}: {self._said()}") from exc
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it; it writes its state to disk first."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    def forget(self) -> None:
        """Lose every session and every retained message: its database is gone. Only while stopped."""
        (self._directory / "mosquitto.db").unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Of the running broker, 0 while it is stopped."""
        return 0 if self._process is None else self._process.pid

    def _runs(self) -> bool:
        """It says so once its listener is open. Asking by connecting would not tell whose port it is."""
        return any(line.endswith(" running") for line in self._log().splitlines())

    def _log(self) -> str:
        """What this start has written."""
        return self._errors.read_bytes()[self._said_before :].decode("utf-8", "replace")

    def _said(self) -> str:
        return " | ".join(self._log().strip().splitlines()[-5:]) or "it said nothing"


def _config(directory: Path, acl: Path, authority: Path, identity: Identity, *, port: int, packet_size_max: int) -> str:
    """mosquitto.conf(5). One listener, so the settings per listener are those of the broker."""
    lines = {
        "user": pwd.getpwuid(os.getuid()).pw_name,  # started by root it would change to one that cannot read the keys
        "per_listener_settings": "false",
        "persistence": "true",
        "persistence_location": f"{directory}/",
        "autosave_interval": "30",
        "log_dest": "stderr",
        "connection_messages": "true",
        "max_inflight_messages": "500",
        "max_queued_messages": "100000",
        "max_packet_size": str(packet_size_max),
        "set_tcp_nodelay": "true",
        "acl_file": str(acl),
        "listener": f"{port} 127.0.0.1",
        "cafile": str(authority),
        "certfile": str(identity.certificate),
        "keyfile": str(identity.key),
        "tls_version": "tlsv1.2",
        "require_certificate": "true",
        "use_identity_as_username": "true",
    }
    log_types = ("error", "warning", "notice", "information")
    return "".join(f"{key} {value}\n" for key, value in [*lines.items(), *(("log_type", kind) for kind in log_types)])


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
