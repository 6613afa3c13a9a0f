"""Which wires there are, and how a command line names them: WIRE[=WHERE]."""

from dataclasses import dataclass
from typing import Final

from agent.core.errors import InputError
from simulators.can import CHANNELS

_BUSES: Final = ("can", "ecus", "j1939")
_PORTS: Final = {"dongle": "pty", "gnss": "pty", "imu": "pty", "cloud": "tcp:8883"}
_INTERFACES: Final = ("udp_multicast", "socketcan")  # what another process can join


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire and where it is to be: INTERFACE[:CHANNEL] of a bus; pty or tcp:PORT of the others."""

    name: str
    where: str


def wire(text: str) -> Wire:
    """Parse WIRE[=WHERE]. Raises InputError, which names what is wrong."""
    name, _, where = text.partition("=")
    found = Wire(name, where or _PORTS.get(name, _INTERFACES[0]))
    if name in _BUSES:
        bus_of(found)
    elif name not in _PORTS:
        raise InputError(f"there is no wire {name!r}: {', '.join((*_BUSES, *_PORTS))}")
    elif tcp_port_of(found) is None and name == "cloud":
        raise InputError(f"cloud={where}: tcp:PORT is needed")
    return found


def bus_of(one: Wire) -> tuple[str, str]:
    """Interface and channel. Raises InputError."""
    interface, _, channel = one.where.partition(":")
    if interface not in _INTERFACES:
        raise InputError(f"{one.name}={one.where}: the interface is one of {', '.join(_INTERFACES)}")
    return interface, channel or CHANNELS[interface]


def tcp_port_of(one: Wire) -> int | None:
    """The port, 0 for any that is free; None for a pty. Raises InputError."""
    if one.where == "pty":
        return None
    kind, _, port = one.where.partition(":")
    if kind != "tcp" or not port.isdecimal() or int(port[:6]) > 65_535:
        raise InputError(f"{one.name}={one.where}: pty or tcp:PORT is needed")
    return int(port)
