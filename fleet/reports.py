"""What the vehicles answered to a pushed config, read from the receiver's database."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.remote.apply import nameless

_QUERY: Final = """
SELECT device, kind, event FROM events
WHERE kind IN ('config_applied', 'config_rejected') AND json_extract(event, '$.bundle') IN (?1, ?2)
  AND (?3 = '' OR device = ?3)
ORDER BY received_ns LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Report:
    """One vehicle's answer."""

    device: str
    applied: bool
    text: str


def find_report(database: Path, bundle: str, blob: bytes, *, vehicle: str = "") -> Report | None:
    """Return the vehicle's (or with "", any vehicle's) answer to a bundle, None while there is none.

    A vehicle that cannot believe a bundle cannot believe its name either, and names it by its hash.
    Raises sqlite3.Error where the file is no receiver's database.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        row = connection.execute(_QUERY, (bundle, nameless(blob), vehicle)).fetchone()
    if row is None:
        return None
    device, kind, text = row
    event = json.loads(text)
    if kind == "config_applied":
        return Report(device, applied=True, text=f"runs {bundle}, version {event['config_version']}")
    return Report(device, applied=False, text=f"refused {bundle}: {event['reason']}")
