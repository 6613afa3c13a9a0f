"""What the vehicles answered to a pushed config, read from the receiver's database."""

import hashlib
from dataclasses import dataclass
from typing import Final

from agent.remote.apply import nameless
from fleet.receiver.store import Store

_KINDS: Final = ("config_applied", "config_rejected")


@dataclass(frozen=True, slots=True)
class Report:
    """One vehicle's answer."""

    device: str
    applied: bool
    text: str


def find_report(store: Store, bundle: str, blob: bytes, *, vehicle: str = "", since_ns: int = 0) -> Report | None:
    """Return the vehicle's (or with "", any vehicle's) answer to a bundle, None while there is none.

    A name may be used again for other content: a bundle that runs is known by its hash, and a refusal by name counts
    only after since_ns (see newest_ns). A vehicle that cannot believe a bundle cannot believe its name either, and
    names it by its hash. Raises StoreError.
    """
    sha256, by_hash = hashlib.sha256(blob).hexdigest(), nameless(blob)
    answers = sorted(store.events(vehicle or None, kinds=_KINDS), key=lambda row: row["received_ns"])
    for row in answers:
        event = row["event"]
        if event["kind"] == "config_applied":
            if event["sha256"] == sha256:
                return Report(row["device"], applied=True, text=f"runs {bundle}, version {event['config_version']}")
        elif event["bundle"] == by_hash or (event["bundle"] == bundle and row["received_ns"] > since_ns):
            return Report(row["device"], applied=False, text=f"refused {bundle}: {event['reason']}")
    return None


def newest_ns(store: Store) -> int:
    """When the receiver took its newest answer, by its own clock; 0 before the first. Raises StoreError."""
    return max((row["received_ns"] for row in store.events(kinds=_KINDS)), default=0)
