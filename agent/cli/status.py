"""`outrider status`: what the running agent last wrote of itself."""

import json
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from agent.core.config import load_config
from agent.core.errors import InputError
from agent.health.stats import status_path

SERVICE_CONFIG: Final = Path("/etc/outrider/outrider.toml")
SERVICE_STATUS: Final = Path("/run/outrider/status.json")
_OLD_AFTER_S: Final = 10.0


def show_status(config_path: Path) -> int:
    """Print the status; exit code 1 where the agent has not written for a while."""
    config = load_config(config_path)
    path = _find_status(config.store.directory, service=config_path == SERVICE_CONFIG)
    try:
        status: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        age_s = time.time() - path.stat().st_mtime
    except OSError as exc:
        raise InputError(f"no status at {path}: is the agent running? ({exc.strerror})") from exc
    except ValueError as exc:
        raise InputError(f"{path}: not a status file: {exc}") from exc
    Console().print(_table(status, age_s))
    return 0 if age_s < _OLD_AFTER_S else 1


def _find_status(directory: str, *, service: bool) -> Path:
    """The service writes to its RUNTIME_DIRECTORY, which this process does not have."""
    return SERVICE_STATUS if service and SERVICE_STATUS.exists() else status_path(directory)


def _table(status: dict[str, Any], age_s: float) -> Table:
    table = Table(title=f"{status.get('device')}: {age_s:.0f} s ago", show_header=False)
    for key, value in status.items():
        if isinstance(value, dict):
            for name, inner in value.items():
                table.add_row(f"{key}.{name}", json.dumps(inner))
        else:
            table.add_row(key, json.dumps(value))
    return table
