"""What an ELM327 adapter must be told before a request goes to one ECU, and how it gets back to asking them all. Pure.

ECUs at 7E0-7E7 and 18DAxxF1 need a header (AT SH) only: an adapter shows 7E8-7EF and 18DAF1xx by itself and sends the
flow control they wait for. Any other one needs its answers let in (AT CRA) and flow control of its own (AT FC SH, SD,
SM), or a long answer ends with its first frame. Identifiers of the other width (VW asks 17FC00xx beside 7DF) need
another protocol as well (AT SP, AT CP), and are believed reached only once AT DPN confirms it: a header of 29 bits on a
bus of 11 would be cut to an identifier of somebody else. Source: the ELM327 data sheet as widely quoted.

Clones refuse any of these. What was refused twice is not tried again, and its ECU not asked, on this connection.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from agent.proto.ecus import FUNCTIONAL, is_obd_reply, is_wide, reply_of
from agent.proto.elm327 import Reply
from agent.proto.elm327_lines import Status

_ORDER: Final = ("SP", "CP", "SH", "CRA", "FCSH", "FCSD", "FCSM")
_FLOW: Final = "300000"  # go on, without blocks and without pause
_OTHER_WIDTH: Final = {"6": "7", "7": "6", "8": "9", "9": "8"}
_CHECK: Final = "ATDPN"
_UNDONE_BY: Final = {"SP": ("CP", "SH", "DPN"), "CP": ("SH",)}  # a header belongs to one priority and protocol
_MISSES_MAX: Final = 2


class Addressing:
    """The settings of one adapter as far as it has confirmed them.

    protocol is what AT DPN said of the bus that was found ("" where it does not tell), wide whether its identifiers
    have 29 bits. Ask `next` for a command and tell `settle` how it ended, until there is none left; then see `reaches`.
    """

    def __init__(self, protocol: str, *, wide: bool) -> None:
        self.lost = False  # it does not confirm the way back either: reset it
        self._protocol = protocol
        self._wide = wide
        self._told: dict[str, str] = dict(self._factory())
        self._misses: Counter[tuple[str, str]] = Counter()
        self._only_functional = False

    def next(self, ecu: int, reply: int | None) -> str | None:
        """The next command on the way to this ECU; None where it is reached, or cannot be."""
        wanted = self._wanted(ecu, reply)
        if wanted is None or self.lost:
            return None
        needed = [(key, wanted[key]) for key in _ORDER if key in wanted and self._told.get(key) != wanted[key]]
        if any(self._misses[setting] >= _MISSES_MAX for setting in needed):
            self.lost = ecu == FUNCTIONAL
            return None
        if needed:
            return "AT{}{}".format(*needed[0])
        return None if self._told.get("DPN") == wanted["SP"] else _CHECK

    def settle(self, command: str, reply: Reply) -> None:
        """Learn how a command ended."""
        good = reply.status is Status.OK
        if command == _CHECK:
            key, value = "SP", self._told["SP"]
            good = good and reply.text[-1].removeprefix("A") == value
            self._told |= {"DPN": value} if good else {}
        else:
            key, value = _split(command)
        for gone in _UNDONE_BY.get(command[2:4], ()):
            self._told.pop(gone, None)
        if good:
            self._told[key] = value
            if command[2:4] != "SP":  # an OK to a protocol means little before it is confirmed
                self._misses.pop((key, value), None)
            return
        self._misses[key, value] += 1
        self._told.pop(key, None)
        self.forget()  # a plain no may mean that what must come first was lost

    def reaches(self, ecu: int, reply: int | None) -> bool:
        """Whether a request goes to this ECU now, and its answer comes back."""
        wanted = self._wanted(ecu, reply)
        return wanted is not None and not self.lost and wanted.items() <= self._told.items()

    def forget(self) -> None:
        """It may have started anew, unnoticed: whatever is not the factory's setting is to be said again."""
        factory = self._factory()
        self._told = {key: value for key, value in self._told.items() if factory.get(key) == value}

    def start_over(self) -> None:
        """It was reset because it did not confirm the way back: from now on all are asked, and no single one."""
        self._told, self.lost, self._only_functional = dict(self._factory()), False, True
        self._misses.clear()

    def _factory(self) -> Mapping[str, str]:
        header = {"CP": "18", "SH": "DB33F1"} if self._wide else {"SH": f"{FUNCTIONAL:X}"}
        return {"SP": self._protocol, "DPN": self._protocol, "CRA": "", "FCSM": "0", **header}

    def _wanted(self, ecu: int, reply: int | None) -> Mapping[str, str] | None:
        """The settings for this ECU; None where there is no way to it."""
        if ecu == FUNCTIONAL:
            return self._factory()
        wide = is_wide(ecu)
        protocol = self._protocol if wide == self._wide else _OTHER_WIDTH.get(self._protocol)
        if protocol is None or reply is None or self._only_functional:
            return None
        wanted = {"SP": protocol, "DPN": protocol}
        wanted |= {"CP": f"{ecu >> 24:02X}", "SH": f"{ecu & 0xFFFFFF:06X}"} if wide else {"SH": f"{ecu:03X}"}
        if is_obd_reply(reply) and reply == reply_of(ecu):
            return wanted | {"CRA": "", "FCSM": "0"}
        digits = 8 if wide else 3
        return wanted | {"CRA": f"{reply:0{digits}X}", "FCSH": f"{ecu:0{digits}X}", "FCSD": _FLOW, "FCSM": "1"}


def _split(command: str) -> tuple[str, str]:
    """A command as its setting and value: ATFCSH744 -> (FCSH, 744)."""
    key = next(key for key in _ORDER if command.startswith(f"AT{key}"))
    return key, command.removeprefix(f"AT{key}")
