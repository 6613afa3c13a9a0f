"""The silent guard: the one place through which every request to the car passes. Pure; time is an argument.

Three rules, all compiled in. The constructor takes nothing, so no config, profile or pushed bundle can widen them:

1. Only reads (docs/sources.md 5): services 01 02 03 07 09 0A, UDS 22 and the reading sub-functions of 19, in their
   plain shape; to an adapter only settings that put nothing on the bus and leave the shape of a request alone, and only
   diagnostic identifiers as a header (of 29 bits, priority and header together).
2. At most BURST requests at once and RATE_PER_S a second over time; one in DOZE_NS where only the supply says that the
   car is on.
3. None while the car sleeps: see ignition.py. Where nothing has been observed yet, START_REQUESTS requests may ask;
   that happens once, when the agent starts, and once for an adapter that cannot measure the voltage and was plugged in
   again within REPLUG_NS of a sign that the car is on.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from agent.core.errors import AgentError
from agent.proto.ignition import Ignition
from agent.proto.obd import RequestRefused

__all__ = ["Guard", "RequestRefused", "SilentNow", "check_command", "check_request"]

RATE_PER_S: Final = 50
BURST: Final = 32
DOZE_NS: Final = 2_000_000_000
START_REQUESTS: Final = 6
START_NS: Final = 30_000_000_000  # a first search through the buses takes many seconds
REPLUG_NS: Final = 60_000_000_000

_PIDS_MAX: Final = 6
_DIDS_MAX: Final = 16
# Service 19: the sub-functions that read, and how many bytes follow. Bit 7 ("do not answer") is never set.
_DTC_PARAMETERS: Final[Mapping[int, int]] = {
    0x01: 1, 0x02: 1, 0x03: 0, 0x04: 4, 0x06: 4, 0x07: 2, 0x08: 2, 0x09: 3, 0x0A: 0, 0x0B: 0, 0x0C: 0, 0x0D: 0,
    0x0E: 0, 0x14: 0, 0x15: 0,
}  # fmt: skip
# Adapter settings that put nothing on the bus. RTR, FI, SI, SW, WM, PP, BRD and their kind are not here; nor is what
# makes another request of the same digits: raw frames (CAF0, the protocols A to C) have 04, to clear the codes, in
# 01 04, and an extended address (CEA) pushes the length to where a service is expected.
_SETTING: Final = re.compile(
    r"AT(?:Z|D|I|WS|PC|LP|RV|IGN|AL|NL|AR|DPN?|DESC|CS|@[12]|BI"
    r"|[ELSHMRVDJ][01]|AT[012]|ST[0-9A-F]{2}|CAF1|CFC[01]|CSM[01]|KW[01]"
    r"|[ST]PA?[0-9]|CRA[0-9A-FX]{0,8}|C[FM][0-9A-F]{3,8}|CEA|FCSM[012]|FCSD30[0-9A-F]{4}"
    r"|(?P<kind>SH|FCSH)(?P<header>[0-9A-F]{3,8})|CP(?P<priority>[0-9A-F]{2}))"
)
# Of 29 bits a header has the lower 24 (its priority is told by CP), that of the flow control all of them.
_HEADERS: Final = {
    "SH": re.compile(r"7..|D[AB]..F1|FC00.."),
    "FCSH": re.compile(r"7..|18D[AB]..F1|17FC00.."),
}
_LINE: Final = re.compile(rb"[0-9A-Za-z@ ]*\r")  # a carriage return more would have the last request sent again


class SilentNow(AgentError):
    """The request is a good one, but not now: the car sleeps (until_ns is None), or too many went before it."""

    def __init__(self, reason: str, until_ns: int | None = None) -> None:
        super().__init__(reason)
        self.until_ns = until_ns


class Guard:
    """Says yes or no to every request to one car. Lives as long as the agent: reconnecting does not reset it."""

    def __init__(self) -> None:
        self.ignition = Ignition()
        self._tokens = float(BURST)
        self._tokens_ns: int | None = None
        self._start_left = START_REQUESTS
        self._start_ns: int | None = None
        self._start_mark: int | None = None  # Ignition.on_until_ns at which the start requests were granted
        self._asleep = False
        self._priority = "18"  # the first two digits of a header of 29 bits, as the adapter was told
        self._headless = False  # it was told another priority since, and no header to go with it
        self._counts: Counter[str] = Counter(admitted=0, refused=0, asleep=0, slowed=0)

    def admit(self, request: bytes, t_ns: int) -> bytes:
        """Return the request if it may go out at t_ns. Raises RequestRefused (never), SilentNow (not now)."""
        try:
            check_request(request)
        except RequestRefused:
            self._counts["refused"] += 1
            raise
        if self.holds_back(t_ns):
            raise SilentNow("the car sleeps: nothing is asked")
        self._take_token(t_ns)
        if not self.ignition.is_on(t_ns):
            self._start_ns = t_ns if self._start_ns is None else self._start_ns
            self._start_left -= 1
        self._counts["admitted"] += 1
        return request

    def admit_line(self, line: bytes, t_ns: int) -> bytes:
        """Return an adapter's command line, with its carriage return, if it may go out. Raises as admit does."""
        text = line.decode("ascii", "replace").upper().replace(" ", "").removesuffix("\r")
        if _LINE.fullmatch(line) is None:
            self._counts["refused"] += 1
            raise RequestRefused(f"command {text!r}: not one line")
        if re.fullmatch(r"[0-9A-F]+", text):
            even = text[: len(text) // 2 * 2]  # an odd last digit says how many answers to wait for
            if self._headless:
                self._counts["refused"] += 1
                raise RequestRefused(f"request {even}: the header does not go with priority {self._priority}")
            self.admit(bytes.fromhex(even), t_ns)
            return line
        try:
            self._follow(check_command(text))
        except RequestRefused:
            self._counts["refused"] += 1
            raise
        return line

    def _follow(self, text: str) -> None:
        """Hold a header of 29 bits against the priority told before it: the adapter puts the two together."""
        if text in {"ATZ", "ATD", "ATWS"}:
            self._priority, self._headless = "18", False
        elif text.startswith("ATCP"):
            self._headless = self._headless or text[4:] != self._priority
            self._priority = text[4:]
        elif text.startswith("ATSH"):
            needed = {"D": "18", "F": "17"}.get(text[4]) if len(text) == 10 else None
            if needed not in {None, self._priority}:
                raise RequestRefused(f"command {text}: goes with priority {needed}, not {self._priority}")
            self._headless = False

    def may_ask(self, t_ns: int) -> bool:
        """Whether the sleep rule lets a request out at t_ns."""
        if self.ignition.is_on(t_ns):
            return True
        in_time = self._start_ns is None or t_ns - self._start_ns <= START_NS
        return self.ignition.on_until_ns == self._start_mark and self._start_left > 0 and in_time

    def holds_back(self, t_ns: int) -> bool:
        """Whether nothing may be asked because the car sleeps; counted once each time it is found asleep."""
        asleep = not self.may_ask(t_ns)
        self._counts["asleep"] += asleep and not self._asleep
        self._asleep = asleep
        return asleep

    def reconnect(self, t_ns: int, *, measures: bool) -> None:
        """Tell that the adapter was plugged in again; measures: it can tell the voltage or the ignition itself."""
        last_ns = self.ignition.on_until_ns
        if measures or last_ns is None or last_ns == self._start_mark or t_ns - last_ns > REPLUG_NS:
            return
        self._start_mark, self._start_left, self._start_ns = last_ns, START_REQUESTS, None

    def counters(self) -> Mapping[str, int]:
        """Requests admitted, refused, put off for the rate; how often the car was found asleep; wake loops."""
        return {**self._counts, "wake_loops": self.ignition.wake_loops}

    def ready_ns(self, t_ns: int) -> int:
        """When the rate lets the next request out; t_ns where it does now."""
        if self._tokens_ns is not None and t_ns < self._tokens_ns + DOZE_NS and self.ignition.dozes(t_ns):
            return self._tokens_ns + DOZE_NS
        tokens = self._tokens_at(t_ns)
        return t_ns if tokens >= 1 else t_ns + round((1 - tokens) * 1e9 / RATE_PER_S) + 1

    def _tokens_at(self, t_ns: int) -> float:
        passed_ns = 0 if self._tokens_ns is None else max(0, t_ns - self._tokens_ns)
        return min(float(BURST), self._tokens + passed_ns * RATE_PER_S / 1e9)

    def _take_token(self, t_ns: int) -> None:
        ready_ns = self.ready_ns(t_ns)
        if ready_ns > t_ns:
            self._counts["slowed"] += 1
            raise SilentNow("too many requests one after the other", ready_ns)
        self._tokens = self._tokens_at(t_ns) - 1
        self._tokens_ns = t_ns if self._tokens_ns is None else max(t_ns, self._tokens_ns)


def check_request(request: bytes) -> bytes:
    """Return the request if it is a read of the allow-list, in its plain shape. Raises RequestRefused."""
    if not request:
        raise RequestRefused("request (empty): only services that read are sent")
    service, parameters = request[0], request[1:]
    match service:
        case 0x01:
            good = 1 <= len(parameters) <= _PIDS_MAX
        case 0x02:
            good = len(parameters) in {2, 4, 6}
        case 0x03 | 0x07 | 0x0A:
            good = not parameters
        case 0x09:
            good = len(parameters) == 1
        case 0x19:
            good = bool(parameters) and _DTC_PARAMETERS.get(parameters[0]) == len(parameters) - 1
        case 0x22:
            good = len(parameters) % 2 == 0 and 1 <= len(parameters) // 2 <= _DIDS_MAX
        case _:
            raise RequestRefused(f"request {request.hex(' ')}: only services that read are sent")
    if not good:
        raise RequestRefused(f"request {request.hex(' ')}: service {service:02X} does not look like this")
    return request


def check_command(text: str) -> str:
    """Return an adapter command (upper case, no blanks) if it puts nothing on the bus. Raises RequestRefused.

    A header (SH, FC SH, CP) must be diagnostic: 7xx, DAxxF1 and DBxxF1 with 18, FC00xx with 17 (as VW has it).
    """
    match = _SETTING.fullmatch(text)
    if match is None:
        raise RequestRefused(f"command {text or '(empty)'}: not one of the settings that keep the bus silent")
    header, priority = match["header"], match["priority"]
    if header is not None and not _HEADERS[match["kind"]].fullmatch(header):
        raise RequestRefused(f"command {text}: {header} is no diagnostic identifier")
    if priority is not None and priority not in {"17", "18"}:
        raise RequestRefused(f"command {text}: diagnostics have priority 18 or 17")
    return text
