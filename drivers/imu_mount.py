"""How the box lies in the car where config tells it, and the file in which a learnt mounting outlives a boot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.ports import Rows
from agent.core.signals import SignalWindow
from drivers.state_file import StateFile

_SIZE_MAX: Final = 65_536
_TOLD_DEG: Final = 2.0  # what an installer who measures is believed


class FixedMount:
    """A Mount that config tells: forward, left and up as the chip sees them. Without rows the chip's axes are taken."""

    def __init__(self, rows: Sequence[Sequence[float]] | None = None) -> None:
        self._matrix = np.eye(3) if rows is None else np.array(rows, np.float64)
        self.heading_error_deg = 180.0 if rows is None else _TOLD_DEG

    def accelerations(self, t_ns: npt.NDArray[np.int64], rows: Rows) -> Rows:  # noqa: ARG002  # the port's signature
        """Turn specific force, float64[n, 3] in m/s^2."""
        return np.asarray(rows @ self._matrix.T)

    def rotations(self, t_ns: npt.NDArray[np.int64], rows: Rows) -> Rows:  # noqa: ARG002  # the port's signature
        """Turn turning rates, float64[n, 3] in degrees/s."""
        return np.asarray(rows @ self._matrix.T)

    def observe(self, window: SignalWindow) -> None:
        """Nothing is learnt."""


class FileMountStore(StateFile):
    """The learnt mounting, in the store directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "mounting.json", _SIZE_MAX)
