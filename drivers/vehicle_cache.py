"""What was learnt about a vehicle, kept across restarts: one small JSON file in the store directory."""

import hashlib
import json
from pathlib import Path
from typing import Final

import msgspec

from drivers.state_file import FileVehicles

VEHICLES_MAX: Final = 16


class FileVehicleCache:
    """A VehicleCache of the last VEHICLES_MAX vehicles. The VIN itself is not written, only a hash of it.

    A file that cannot be read or does not make sense counts as empty: everything in it can be learnt again. file: to
    be erased.
    """

    def __init__(self, directory: Path) -> None:
        self.file = FileVehicles(directory)

    def load(self, vin: str) -> frozenset[int] | None:
        """PIDs of service 01 that the car supports; None where it is not known."""
        pids = self._read().get(_name(vin))
        return None if pids is None else frozenset(pids)

    def save(self, vin: str, pids: frozenset[int]) -> None:
        """Remember them as the newest; the oldest vehicle beyond VEHICLES_MAX is forgotten."""
        known = self._read()
        known.pop(_name(vin), None)
        known[_name(vin)] = sorted(pids)
        newest = dict(list(known.items())[-VEHICLES_MAX:])
        self.file.save(json.dumps(newest).encode())

    def _read(self) -> dict[str, list[int]]:
        try:
            return msgspec.json.decode(self.file.load(), type=dict[str, list[int]])
        except msgspec.MsgspecError:
            return {}


def _name(vin: str) -> str:
    return hashlib.sha256(vin.encode("ascii", "replace")).hexdigest()[:16]
