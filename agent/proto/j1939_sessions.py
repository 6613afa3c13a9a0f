"""Messages of SAE J1939 that are still on their way, one for each pair of addresses."""

from typing import Generic, Protocol, TypeVar

Pair = tuple[int, int]  # source and destination


class Session(Protocol):
    """What a table must know of a message: its PGN, and when something was last heard of it."""

    pgn: int
    last_ns: int


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """At most sessions_max of them: a new one pushes out that which has been silent for longest."""

    def __init__(self, sessions_max: int, timeout_s: float) -> None:
        self.ignored = 0  # packets without their beginning: whoever starts listening in the middle sees them
        self.aborted = 0  # ended by either side, replaced by a new one, or pushed out
        self.expired = 0
        self._sessions_max = sessions_max
        self._timeout_ns = round(timeout_s * 1e9)
        self._sessions: dict[Pair, S] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def expire(self, t_ns: int) -> None:
        """Drop sessions that have been silent for longer than the timeout."""
        late = [key for key, session in self._sessions.items() if t_ns - session.last_ns > self._timeout_ns]
        for key in late:
            del self._sessions[key]
        self.expired += len(late)

    def _begin(self, key: Pair, session: S) -> None:
        if len(self._sessions) >= self._sessions_max:
            self._abort(min(self._sessions, key=lambda k: self._sessions[k].last_ns), None)
        self._sessions[key] = session

    def _hear(self, key: Pair, pgn: int, t_ns: int) -> None:
        """The other side has spoken: the session lives on."""
        session = self._sessions.get(key)
        if session is not None and session.pgn == pgn:
            session.last_ns = t_ns

    def _abort(self, key: Pair, pgn: int | None) -> None:
        """End a session that is there, of this PGN or (None) of any."""
        session = self._sessions.get(key)
        if session is not None and pgn in {None, session.pgn}:
            del self._sessions[key]
            self.aborted += 1
