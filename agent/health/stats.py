"""What the box says of itself: a small JSON file that `outrider status` reads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.core.errors import StoreError

STATUS_FILE: Final = "status.json"


def status_path(store_directory: str) -> Path:
    """Beside systemd's RUNTIME_DIRECTORY (memory, spares the SD card) where there is one, else in the store."""
    return Path(os.environ.get("RUNTIME_DIRECTORY") or store_directory) / STATUS_FILE


def write_status(path: Path, status: Mapping[str, Any]) -> None:
    """Replace the file in one step, so that a reader never sees half of it. Raises StoreError."""
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(status, order="sorted"), indent=1))
        fresh.replace(path)
    except OSError as exc:
        raise StoreError(f"{path}: {exc.strerror}") from exc
