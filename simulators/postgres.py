"""A throw-away PostgreSQL on this machine, for the receiver: Debian's, in a folder of its own, on a Unix socket."""

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.core.errors import AgentError

_DEBIAN: Final = Path("/usr/lib/postgresql")
_OWNER: Final = "postgres"
_LIMIT_S: Final = 60.0


class PostgresFailed(AgentError):
    """PostgreSQL is missing or does not start; the message has its own words."""


def find_postgres() -> Path | None:
    """Folder of initdb and pg_ctl, the newest version; None where it is not installed."""
    found = [path.parent for path in _DEBIAN.glob("*/bin/pg_ctl")]
    if program := shutil.which("pg_ctl"):
        found.append(Path(program).resolve().parent)
    return max(found, key=lambda path: path.parent.name, default=None)


class Postgres:
    """Everything runs within `with Postgres() as server`. durable=False leaves out fsync: for tests only."""

    def __init__(self, *, durable: bool = False) -> None:
        """Raises PostgresFailed where it is not installed."""
        programs = find_postgres()
        if programs is None:
            raise PostgresFailed("PostgreSQL is not installed: apt-get install postgresql")
        self._programs = programs
        self._settings = f"-c fsync={'on' if durable else 'off'} -c listen_addresses= -c max_connections=40"
        # It refuses to run as root.
        self._user = _OWNER if os.getuid() == 0 else None
        self._stack = ExitStack()
        self._folder = Path()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outrider-pg-")))
            if self._user:
                shutil.chown(self._folder, self._user)
            self._run("initdb", "--auth=trust", f"--username={_OWNER}", "--encoding=UTF8", "--no-sync")
            options = f"{self._settings} -c unix_socket_directories={self._folder}"
            self._run("pg_ctl", "start", "--wait", f"--log={self._folder / 'log'}", f"--options={options}")
            stack.callback(self._run, "pg_ctl", "stop", "--mode=immediate")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def create_database(self, name: str) -> str:
        """Return the address of a new, empty database."""
        self._run("createdb", f"--host={self._folder}", f"--username={_OWNER}", name)
        return f"postgresql://{_OWNER}@/{name}?host={self._folder}"

    @property
    def pid(self) -> int:
        """Of the server's first process, the parent of the others."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def restart(self) -> None:
        """Everybody is disconnected; what was committed stays."""
        self._run("pg_ctl", "restart", "--wait", "--mode=fast", f"--log={self._folder / 'log'}")

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as said:  # no pipe: the server would inherit it, and nobody would see its end
            try:
                done = subprocess.run(
                    [self._programs / program, *arguments],
                    env={"PGDATA": str(self._folder / "data"), "LC_ALL": "C.UTF-8"},
                    cwd="/",
                    user=self._user,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    timeout=_LIMIT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as exc:
                raise PostgresFailed(f"{program}: {exc}") from exc
            if done.returncode:
                said.seek(0)
                raise PostgresFailed(f"{program}: {said.read().decode(errors='replace').strip()}")
