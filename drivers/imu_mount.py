"""How the box lies in the car where config tells it, and the file in which a learnt mounting outlives a boot."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.ports import Rows
from agent.core.signals import SignalWindow

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


class FileMountStore:
    """A MountStore: one small file in the store directory, replaced as a whole."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "mounting.json"

    def load(self) -> bytes:
        """What was saved last; empty where there is nothing to read."""
        try:
            with self._path.open("rb") as file:
                return file.read(_SIZE_MAX)
        except OSError:
            return b""

    def save(self, state: bytes) -> None:
        """Keep it. A full disk costs ten minutes of learning next time, no more."""
        with suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(state)
            fresh.replace(self._path)
