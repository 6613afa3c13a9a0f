"""What the owner asks by command, as files: a request lies in the store directory until the agent has done it.

Only root and the agent's own user come into that directory. A request outlives a stop: what was asked for while the
agent was off is done before anything else at its next start.
"""

import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

from agent.core.errors import AgentError, InputError
from agent.core.events import Purpose
from agent.core.terms import Terms

_LOG: Final = logging.getLogger(__name__)
_FOLDER: Final = "requests"
_NAME: Final = re.compile(r"[0-9a-f]{16}\.request")
_SIZE_MAX: Final = 4096
_AT_ONCE_MAX: Final = 16
_LOOK_S: Final = 0.1
_PURPOSES_MAX: Final = len(get_args(Purpose))
_OLD_S: Final = 3600.0  # an answer that nobody fetched


class Grant(Terms, frozen=True, kw_only=True, tag="grant", forbid_unknown_fields=True):
    """Agree to a purpose; see agent.privacy.consent."""

    purpose: Purpose


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="revoke", forbid_unknown_fields=True):
    """Agree no longer to these purposes."""

    purposes: Annotated[list[Purpose], Meta(min_length=1, max_length=_PURPOSES_MAX)]


class Erase(msgspec.Struct, frozen=True, kw_only=True, tag="erase", forbid_unknown_fields=True):
    """Let data be gone, here and at the insurer's; see agent.core.erasure. No purposes: all of them."""

    purposes: Annotated[list[Purpose], Meta(max_length=_PURPOSES_MAX)] = []  # msgspec copies an empty list for each
    from_ns: int | None = None
    until_ns: int | None = None


Request = Grant | Revoke | Erase


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of it, in words."""

    done: bool
    text: str


class Door:
    """The agent's side."""

    def __init__(self, directory: Path, carry_out: Callable[[Request], Awaitable[str]]) -> None:
        """carry_out does a request and says what was done; it raises AgentError where that is not possible."""
        self._folder = directory / _FOLDER
        self._carry_out = carry_out
        self._done: dict[str, Answer] = {}  # of what still lies there, since the disk refuses
        self._told: set[str] = set()

    def open(self) -> None:
        """Make the folder, and throw away answers that nobody fetched."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self._folder.glob("*.answer"):
                if time.time() - path.stat().st_mtime > _OLD_S:
                    path.unlink(missing_ok=True)
        except OSError as exc:
            _LOG.warning("%s: %s: no command can change a consent now", self._folder, exc.strerror)

    async def look(self) -> int:
        """Do what is asked for; returns how many requests were new. A disk that refuses is tried again, told once."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if _NAME.fullmatch(name))  # noqa: PTH208  # quick
        except OSError:
            return 0
        self._done = {name: answer for name, answer in self._done.items() if name in names}
        self._told &= set(names)
        new = 0
        for name in sorted(names, key=self._done.__contains__)[:_AT_ONCE_MAX]:
            path = self._folder / name
            try:
                if name not in self._done:
                    self._done[name] = await self._do(path)
                    new += 1
                path.with_suffix(".answer").write_bytes(msgspec.json.encode(self._done[name]))
                path.unlink()
            except OSError as exc:
                if name not in self._told:
                    state = "is done, but" if name in self._done else "cannot be read, and"
                    _LOG.warning("request %s %s stays where it lies: %s", name, state, exc)
                self._told.add(name)
        return new

    async def _do(self, path: Path) -> Answer:
        try:
            with path.open("rb") as file:
                request = msgspec.json.decode(file.read(_SIZE_MAX), type=Request)
            return Answer(done=True, text=await self._carry_out(request))
        except (AgentError, msgspec.DecodeError) as exc:
            return Answer(done=False, text=str(exc))


def ask(directory: Path, request: Request, *, wait_s: float) -> str | None:
    """The other side, for a command: leave a request and wait for its answer; None where none came in time.

    It is done then when the agent next starts. Raises InputError where it cannot be done, or there is no agent here.
    """
    folder = directory / _FOLDER
    path = folder / f"{os.urandom(8).hex()}.request"
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(request))
        fresh.chmod(0o644)  # of root, to be read by the agent's user; the folder lets nobody else in
        fresh.rename(path)
    except OSError as exc:
        raise InputError(f"{folder}: {exc.strerror}; has the agent run here yet, and may you write there?") from exc
    answered = path.with_suffix(".answer")
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        if answered.exists() and not path.exists():
            answer = msgspec.json.decode(answered.read_bytes(), type=Answer)
            answered.unlink(missing_ok=True)
            if not answer.done:
                raise InputError(answer.text)
            return answer.text
        time.sleep(_LOOK_S)
    return None
