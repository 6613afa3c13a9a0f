"""What was learnt about a vehicle, kept across restarts: one small JSON file in the store directory."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

VEHICLES_MAX: Final = 16
_SIZE_MAX: Final = 65_536


class FileVehicleCache:
    """A VehicleCache of the last VEHICLES_MAX vehicles. The VIN itself is not written, only a hash of it.

    A file that cannot be read or does not make sense counts as empty: everything in it can be learnt again.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "vehicles.json"

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
        with suppress(OSError):  # a full disk costs a few requests next time, no more
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(newest), encoding="ascii")
            fresh.replace(self._path)

    def _read(self) -> dict[str, list[int]]:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_SIZE_MAX), type=dict[str, list[int]])
        except (OSError, msgspec.MsgspecError):
            return {}


def _name(vin: str) -> str:
    return hashlib.sha256(vin.encode("ascii", "replace")).hexdigest()[:16]
