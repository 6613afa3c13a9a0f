"""The vehicle's end of one connection to a GB/T 32960.3 platform, without I/O: login, data, replies, logout.

Source: section on behaviour of both editions, from copies of the text: a login without an answer is tried again, after
three failures the vehicle waits 30 minutes; what the platform answers with an error is sent again once a minute, three
times. Platforms differ in whether they answer data at all: one that never did is believed to have what TCP carried.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.core.errors import LinkDown, ProtocolError
from agent.proto.gbt32960.frame import COMMAND, Command, Edition, Frame, FrameSplitter, encode_frame
from agent.proto.gbt32960.messages import (
    Login2016,
    Login2025,
    Logout,
    Realtime,
    Reply,
    encode_message,
    parse_message,
)

LOGINS_MAX: Final = 3
REST_S: Final = 1800.0
"""How long a vehicle stays away after three logins that failed."""

_AGAIN_S: Final = 60.0
_TRIES_MAX: Final = 3  # more after the first
_OK: Final = 1
_WINDOW: Final = 64  # data frames without an answer
_ERRORS: Final = {
    2: "error", 3: "VIN known twice", 4: "VIN unknown", 5: "signature", 6: "structure", 7: "decryption"
}  # fmt: skip


class LoginRefused(LinkDown):
    """Three logins failed: not again before REST_S have passed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logs in. iccid: 20 characters; packs: codes of 24 characters, told by the 2025 edition only."""

    edition: Edition
    vin: str
    iccid: str
    packs: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sent:
    data: bytes
    command: int
    time: datetime
    sent_s: float
    tries: int = 0
    refused: bool = False


class Session:
    """Give it what came (feed) and the time (poll); send what it returns. Times t_s are monotonic seconds."""

    def __init__(self, identity: Identity, *, answer_s: float = 10.0, quiet_s: float = 30.0) -> None:
        """answer_s: how long an answer may take; quiet_s: a heartbeat goes when nothing else did for so long."""
        self.online = False
        self.refused = 0  # data that the platform has not taken after all tries
        self._identity = identity
        self._answer_s = answer_s
        self._quiet_s = quiet_s
        self._splitter = FrameSplitter()
        self._login: bytes = b""
        self._logins = 0
        self._login_s = 0.0
        self._serial = 0
        self._last_s = 0.0
        self._confirms = False
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._done: list[int] = []

    def login(self, time: datetime, serial: int, t_s: float) -> bytes:
        """Begin. serial: which login of the day this is, from 1."""
        who = self._identity
        message: Login2016 | Login2025
        if who.edition is Edition.V2025:
            message = Login2025(time, serial, who.iccid, (who.packs,) if who.packs else ())
        else:
            message = Login2016(time, serial, who.iccid, 0, ("",))
        self._serial, self._login = serial, self._frame(Command.LOGIN, encode_message(message))
        self._logins, self._login_s, self._last_s = 1, t_s, t_s
        return self._login

    def logout(self, time: datetime) -> bytes:
        """Say goodbye; nothing waits for its answer."""
        self.online = False
        return self._frame(Command.LOGOUT, encode_message(Logout(time, self._serial)))

    @property
    def has_room(self) -> bool:
        """Whether data may be sent now."""
        return self.online and len(self._sent) < _WINDOW

    def send(self, key: int, message: Realtime, *, reissue: bool, t_s: float) -> bytes:
        """Data, named by a key of the caller's; only where there is room."""
        command = Command.REISSUE if reissue else Command.REALTIME
        data = self._frame(command, encode_message(message))
        self._sent[key] = _Sent(data, command, message.time, t_s)
        self._last_s = t_s
        return data

    def feed(self, data: bytes, t_s: float) -> None:
        """Take what the platform said. Raises LoginRefused."""
        for frame in self._splitter.feed(data):
            if frame.response == COMMAND:
                continue  # what a platform asks of a vehicle (80 to 82) is not for an insurer's box
            if frame.command == Command.LOGIN:
                self._on_login(frame.response, t_s)
            elif frame.command in {Command.REALTIME, Command.REISSUE}:
                self._on_data(frame, t_s)

    def poll(self, t_s: float) -> list[bytes]:
        """What is due: a login again, data again, a heartbeat. Raises LoginRefused."""
        if not self.online:
            if self._login and t_s - self._login_s >= self._answer_s:
                return [self._login_again("no answer", t_s)]
            return []
        due = [data for key in list(self._sent) if (data := self._again(key, t_s)) is not None]
        if not due and t_s - self._last_s >= self._quiet_s:
            due = [self._frame(Command.HEARTBEAT, b"")]
        if due:
            self._last_s = t_s
        return due

    def settled(self) -> list[int]:
        """Keys that are done with since the last call: taken by the platform, or refused for good."""
        done, self._done = self._done, []
        return done

    def unsettled(self) -> list[int]:
        """Keys of which nobody knows, oldest first: to be reissued on another connection."""
        return list(self._sent)

    def _on_login(self, response: int, t_s: float) -> None:
        if self.online:
            return
        if response == _OK:
            self.online = True
        else:
            self._login_s = t_s - self._answer_s  # the next poll tries again
            if self._logins >= LOGINS_MAX:
                raise LoginRefused(f"the platform refuses the login: {_ERRORS.get(response, f'{response:02X}')}")

    def _login_again(self, reason: str, t_s: float) -> bytes:
        if self._logins >= LOGINS_MAX:
            raise LoginRefused(f"{self._logins} logins failed: {reason}")
        self._logins += 1
        self._login_s = t_s
        return self._login

    def _on_data(self, frame: Frame, t_s: float) -> None:
        self._confirms = True
        key = self._find(frame)
        if key is None:
            return
        if frame.response == _OK:
            del self._sent[key]
            self._done.append(key)
        else:
            self._sent[key].refused = True
            self._sent[key].sent_s = t_s

    def _find(self, frame: Frame) -> int | None:
        """Which of the sent ones an answer is about: the oldest of its time, which it repeats, or of its command."""
        try:
            reply = parse_message(frame)
        except ProtocolError:
            return None
        time = reply.time if isinstance(reply, Reply) else None
        fitting = (
            key for key, sent in self._sent.items() if sent.command == frame.command and time in {None, sent.time}
        )
        return next(fitting, None)

    def _again(self, key: int, t_s: float) -> bytes | None:
        """A sent one whose time has come: again, or given up, or believed."""
        sent = self._sent[key]
        if t_s - sent.sent_s < (_AGAIN_S if sent.refused else self._answer_s):
            return None
        if not sent.refused and not self._confirms:
            self._settle(key)
            return None
        if sent.tries >= _TRIES_MAX:
            self.refused += 1
            self._settle(key)
            return None
        sent.tries += 1
        sent.sent_s = t_s
        return sent.data

    def _settle(self, key: int) -> None:
        del self._sent[key]
        self._done.append(key)

    def _frame(self, command: Command, data: bytes) -> bytes:
        return encode_frame(Frame(self._identity.edition, command, self._identity.vin, data))
