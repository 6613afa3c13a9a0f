"""What the vehicles answered to a pushed config, read from the receiver's database."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.remote.apply import nameless

_QUERY: Final = """
SELECT device, kind, event FROM events
WHERE (kind = 'config_applied' AND json_extract(event, '$.sha256') = :sha256
    OR kind = 'config_rejected' AND json_extract(event, '$.bundle') = :hash
    OR kind = 'config_rejected' AND json_extract(event, '$.bundle') = :name AND received_ns > :since_ns)
  AND (:vehicle = '' OR device = :vehicle)
ORDER BY received_ns LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Report:
    """One vehicle's answer."""

    device: str
    applied: bool
    text: str


def find_report(database: Path, bundle: str, blob: bytes, *, vehicle: str = "", since_ns: int = 0) -> Report | None:
    """Return the vehicle's (or with "", any vehicle's) answer to a bundle, None while there is none.

    A name may be used again for other content: a bundle that runs is known by its hash, and a refusal by name counts
    only after since_ns (see newest_ns). A vehicle that cannot believe a bundle cannot believe its name either, and
    names it by its hash. Raises sqlite3.Error where the file is no receiver's database.
    """
    wanted = {
        "sha256": hashlib.sha256(blob).hexdigest(),
        "hash": nameless(blob),
        "name": bundle,
        "since_ns": since_ns,
        "vehicle": vehicle,
    }
    with closing(_open(database)) as connection:
        row = connection.execute(_QUERY, wanted).fetchone()
    if row is None:
        return None
    device, kind, text = row
    event = json.loads(text)
    if kind == "config_applied":
        return Report(device, applied=True, text=f"runs {bundle}, version {event['config_version']}")
    return Report(device, applied=False, text=f"refused {bundle}: {event['reason']}")


def newest_ns(database: Path) -> int:
    """When the receiver took its newest event, by its own clock; 0 before the first. Raises sqlite3.Error."""
    with closing(_open(database)) as connection:
        newest: int = connection.execute("SELECT IFNULL(MAX(received_ns), 0) FROM events").fetchone()[0]
    return newest


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
