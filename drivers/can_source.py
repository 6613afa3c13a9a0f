"""The right driver for a configured bus."""

from agent.core.config import Bus
from agent.core.ports import Clock, FrameSource
from drivers.python_can import PythonCanSource
from drivers.socketcan import SocketCanSource


def open_can_source(bus: Bus, clock: Clock, *, index: int = 0) -> FrameSource:
    """`socketcan` is read by our own driver, everything else by python-can. index is the bus number of its frames."""
    if bus.interface == "socketcan":
        return SocketCanSource(bus, clock, index=index)
    return PythonCanSource(bus, clock, index=index)
