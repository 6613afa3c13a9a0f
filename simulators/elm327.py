"""The chip of an ELM327-like adapter: command lines in, answers out. elm327_line.py gives it time and a bad line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, Protocol

from agent.core.config import Section
from agent.proto.ecus import FUNCTIONAL, is_wide
from simulators.elm327_bus import CanSettings, show_can, show_legacy

_COMMAND_MAX: Final = 128
_WIDE: Final = frozenset({"7", "9"})  # identifiers of 29 bits
_CAN: Final = {"6": "67", "7": "67", "8": "89", "9": "89"}  # and which protocols share the bit rate
SEARCHING: Final = b"SEARCHING..."
_SWITCHES: Final = {"E": "echo", "L": "linefeeds", "S": "spaces", "H": "headers"}
_TAKEN: Final = re.compile(r"AT[012]|CAF[01]|CFC[01]|AL|NL|ST[0-9A-F]{2}|M[01]|R[01]|D|RD|WS|PC|LP|TPA?[0-9A]")


class Answers(Protocol):
    """An ECU as the adapter sees it. One not asked at its reply_id - 8 has a request_id, and hears nothing else."""

    reply_id: int

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        ...


class Trouble(Section, frozen=True, kw_only=True):
    """What happens to some requests. rate: of all requests, 0 to 1.

    instead: only the text. after: the data, then the text. cut: the first half of the data with the text glued to it.
    unasked: the text as an answer of its own, before the right one. reset: the text, and all settings are gone.
    forget: they are gone without a word, and the answer comes as usual.
    """

    text: str
    rate: float
    how: Literal["instead", "after", "cut", "unasked", "reset", "forget"] = "instead"


class Traits(Section, frozen=True, kw_only=True):
    """What makes one adapter differ from the next."""

    name: str = "ELM327 v1.5"
    refused: frozenset[str] = frozenset()  # AT commands answered with "?", without the AT; * is any end
    ignored: frozenset[str] = frozenset()  # answered with OK, and nothing changes
    locked_by: frozenset[str] = frozenset()  # says nothing more after one of these, until it loses power
    echo_sticks: bool = False  # says OK to E0 and goes on echoing
    echo_start: int = 0  # so many characters at the beginning of the echo are missing
    silent_reset: bool = False  # ATZ answers with a bare prompt
    bare_settings: bool = False  # does what AT commands say without an OK
    request_bytes_max: int = 7  # shorter: refuses several PIDs in one request
    pids_max: int = 6  # more are passed over by the ECU
    protocol: str = "6"  # as in AT SP: 6 and 7 are CAN with 11 and 29 bits, 1 J1850 PWM, 2 VPW, 3 ISO 9141, 5 KWP
    padding: int | None = None  # the ECU fills its frames up to 8 bytes with this
    lower_case: bool = False
    glued_search: bool = False  # SEARCHING... and the data on one line
    search_s: float = 0.0
    searches_failed: int = 0  # so many searches end with UNABLE TO CONNECT
    interleaved: bool = False  # lines of several ECUs mixed
    shuffled: bool = False  # lines of one message out of order
    waits: float = 0.0  # rate of requests that the ECU first answers with "wait" (7F .. 78)
    troubles: Sequence[Trouble] = ()


@dataclass
class _Settings:
    echo: bool = True
    linefeeds: bool = True
    spaces: bool = True
    headers: bool = False
    can: CanSettings = field(default_factory=CanSettings)


class Elm327Chip:
    """One adapter in front of some ECUs. `answer` takes one command line and returns everything up to the prompt."""

    def __init__(self, ecus: Sequence[Answers], traits: Traits | None = None, *, random: Random | None = None) -> None:
        self.requests: list[bytes] = []  # all that went to the bus, for tests of silence
        self.ignition = True  # off: the bus does not answer
        self.supply_v = 14.1  # at the plug: an alternator or DC-DC converter at work
        self.troubles = 0  # how often one of the traits' troubles has struck
        self.locked = False
        self._ecus = ecus
        self._traits = traits or Traits()
        self._random = random or Random(0)
        self._settings = _Settings()
        self._last = ""
        self._protocol = ""  # as AT SP set it; empty: whatever the search finds
        self._searched = False
        self._searches_failed = 0

    def echo(self, data: bytes) -> bytes:
        """What comes back while a command is being typed."""
        if not (self._settings.echo or self._traits.echo_sticks):
            return b""
        return data[self._traits.echo_start :]

    def answer(self, line: bytes) -> bytes:
        """Return the answer to one command, prompt included. An empty line repeats the last one (data sheet)."""
        command = re.sub(r"\s", "", line.decode("ascii", "replace").upper()) or self._last
        self._last = command
        lines = self._run(command) if len(command) <= _COMMAND_MAX else ["?"]
        if self.locked:
            return b""
        return self._end(lines)

    def interrupted(self) -> bytes:
        """What it says to bytes that come before the prompt."""
        return b"STOPPED\r\r>"

    def greeting(self) -> bytes:
        """What it says when it has power."""
        return f"\r\r{self._traits.name}\r\r>".encode()

    def search_s(self, line: bytes) -> float:
        """How long this command will search through the buses first."""
        return 0.0 if self._searched or line[:2].upper() == b"AT" else self._traits.search_s

    def _end(self, lines: list[str]) -> bytes:
        end = "\r\n" if self._settings.linefeeds else "\r"
        return ("".join(text + end for text in lines) + end + ">").encode("ascii", "replace")

    def _run(self, command: str) -> list[str]:
        if command.startswith("AT"):
            return self._set(command[2:])
        if not re.fullmatch(r"[0-9A-F]{2,16}", command):
            return ["?"]
        if len(command) % 2:
            command = command[:-1]  # the last digit says how many answers to wait for
        request = bytes.fromhex(command)
        if len(request) > self._traits.request_bytes_max:
            return ["?"]
        for trouble in self._traits.troubles:
            if self._random.random() < trouble.rate:
                return self._trouble(trouble, request)
        return self._ask(request)

    def _trouble(self, trouble: Trouble, request: bytes) -> list[str]:
        self.troubles += 1
        if trouble.how == "instead":
            return [trouble.text]
        if trouble.how == "reset":
            self._reset()
            return [trouble.text]
        if trouble.how == "forget":
            self._settings = _Settings()
        lines = self._ask(request)
        if trouble.how == "forget":
            return lines
        if trouble.how == "after":
            return [*lines, trouble.text]
        if trouble.how == "unasked":
            return [trouble.text, "", ">" + lines[0], *lines[1:]]
        kept = lines[: len(lines) // 2 + 1]
        return [*kept[:-1], kept[-1][: len(kept[-1]) // 2] + trouble.text]

    def _reset(self) -> None:
        self._settings = _Settings()
        self._protocol = ""
        self._searched = False

    def _set(self, command: str) -> list[str]:
        if _matches(command, self._traits.locked_by):
            self.locked = True
        if _matches(command, self._traits.refused):
            return ["?"]
        if command == "Z":
            self._reset()
            return [] if self._traits.silent_reset else ["", "", self._traits.name]
        told = {
            "I": self._traits.name,
            "@1": "OBDII to RS232 Interpreter",
            "RV": f"{self.supply_v:.1f}V",
            "DPN": self._protocol or f"A{self._traits.protocol}",
            "DP": "AUTO, ISO 15765-4 (CAN 11/500)",
        }
        if command in told:
            return [told[command]]
        done = [] if self._traits.bare_settings else ["OK"]
        if _matches(command, self._traits.ignored):
            return done
        if len(command) == 2 and command[0] in _SWITCHES and command[1] in "01":
            setattr(self._settings, _SWITCHES[command[0]], command[1] == "1")
            return done
        if protocol := re.fullmatch(r"SP(A?[0-9A])", command):
            self._protocol = "" if protocol[1].startswith(("0", "A")) else protocol[1]
            self._searched = bool(self._protocol)
            return done
        taken = self._settings.can.take(command)
        if taken is not None:
            return done if taken else ["?"]
        return done if _TAKEN.fullmatch(command) else ["?"]

    def _ask(self, request: bytes) -> list[str]:
        self.requests.append(request)
        search = [] if self._searched else [SEARCHING.decode()]
        if search and self._searches_failed < self._traits.searches_failed:
            self._searches_failed += 1
            return [*search, "UNABLE TO CONNECT"]
        if not self.ignition:
            return [*search, "UNABLE TO CONNECT"] if search else ["NO DATA"]
        asked = request[: 1 + self._traits.pids_max] if request[0] == 1 else request
        replies = [(ecu, reply) for ecu in self._ecus if self._hears(ecu) and (reply := ecu.answer(asked)) is not None]
        replies = [(ecu, reply) for ecu, reply in replies if self._shows(ecu)]
        self._searched = self._searched or bool(replies)
        if not replies:
            return [*search, "NO DATA"]
        lines = self._show(request, replies)
        if search and self._traits.glued_search:
            return [search[0] + lines[0], *lines[1:]]
        return [*search, *lines]

    def _is_can(self) -> bool:
        return self._traits.protocol in _CAN

    def _identifiers(self, ecu: Answers) -> tuple[int, int]:
        """What an ECU is asked at on CAN, and what it answers with."""
        reply_id = ecu.reply_id
        if self._traits.protocol in _WIDE and not hasattr(ecu, "request_id"):
            number = 0x10 + reply_id - 0x7E8
            return 0x18DA00F1 | number << 8, 0x18DAF100 | number
        return getattr(ecu, "request_id", reply_id - 8), reply_id

    def _hears(self, ecu: Answers) -> bool:
        """Whether a request reaches it: by its identifier, or, as OBD has it, all of them."""
        if not self._is_can():
            return not hasattr(ecu, "request_id")
        request_id, reply_id = self._identifiers(ecu)
        protocol = self._protocol or self._traits.protocol
        wide = protocol in _WIDE
        if protocol not in _CAN[self._traits.protocol] or is_wide(reply_id) != wide:
            return False
        asked = self._settings.can.request_id(wide=wide)
        return asked == request_id or (asked in {FUNCTIONAL, 0x18DB33F1} and not hasattr(ecu, "request_id"))

    def _shows(self, ecu: Answers) -> bool:
        return not self._is_can() or self._settings.can.shows(self._identifiers(ecu)[1])

    def _show(self, request: bytes, replies: list[tuple[Answers, bytes]]) -> list[str]:
        messages: list[list[str]] = []
        for ecu, reply in replies:
            lines = self._lines(ecu, reply)
            if self._traits.shuffled and len(lines) > 2:
                start = len(lines) - (len(lines) - 1 if self._settings.headers else len(lines) - 2)
                rest = lines[start:]
                self._random.shuffle(rest)
                lines = lines[:start] + rest
            if self._random.random() < self._traits.waits:
                lines = self._lines(ecu, bytes([0x7F, request[0], 0x78])) + lines
            messages.append(lines)
        lines = _interleave(messages) if self._traits.interleaved else [line for lines in messages for line in lines]
        blank = " " if self._settings.spaces else ""
        lines = [line.replace(" ", blank) for line in lines]
        return [line.lower() for line in lines] if self._traits.lower_case else lines

    def _lines(self, ecu: Answers, reply: bytes) -> list[str]:
        headers = self._settings.headers
        if not self._is_can():
            return show_legacy(reply, self._traits.protocol, source=0x10 + ecu.reply_id - 0x7E8, headers=headers)
        request_id, reply_id = self._identifiers(ecu)
        whole = self._settings.can.continues(reply_id, request_id)
        return show_can(reply_id, reply, headers=headers, padding=self._traits.padding, whole=whole or len(reply) < 8)


def _interleave(messages: list[list[str]]) -> list[str]:
    return [lines[place] for place in range(max(map(len, messages))) for lines in messages if place < len(lines)]


def _matches(command: str, patterns: frozenset[str]) -> bool:
    return any(command == one or (one.endswith("*") and command.startswith(one[:-1])) for one in patterns)
