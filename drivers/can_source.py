"""The right driver for a configured bus."""

from collections.abc import Collection

from agent.core.config import Bus
from agent.core.ports import Clock, FrameSource
from drivers.python_can import PythonCanSource
from drivers.socketcan import SocketCanSource


def open_can_source(bus: Bus, clock: Clock, *, index: int = 0, can_ids: Collection[int] | None = None) -> FrameSource:
    """`socketcan` is read by our own driver, everything else by python-can. index is the bus number of its frames.

    can_ids, as FrameBatch.keys(): what the kernel lets through; None is everything. Only our own driver filters.
    """
    if bus.interface == "socketcan":
        return SocketCanSource(bus, clock, index=index, can_ids=can_ids)
    return PythonCanSource(bus, clock, index=index)
