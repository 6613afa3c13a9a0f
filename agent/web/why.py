"""Why there is no data, or not all of it: the first question of every fleet, answered on the box. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Weight = Literal["bad", "note"]


@dataclass(frozen=True, slots=True)
class Reason:
    """key: of the words, `why_` before it; places: what stands in them; weight: bad where something must be done."""

    key: str
    weight: Weight = "note"
    places: Mapping[str, object] = field(default_factory=dict)


def find_reasons(status: Mapping[str, Any], purposes: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """From `outrider status` and how each purpose stands; in the order of the data's own way, from bus to insurer."""
    return [
        *_from_the_car(status),
        *_of_the_voice(status),
        *_in_the_box(status, purposes),
        *_to_the_insurer(status),
    ]


def _from_the_car(status: Mapping[str, Any]) -> Iterator[Reason]:
    if not status.get("sources"):
        yield Reason("no_source", "bad")
    elif not status.get("frames") and not status.get("samples"):
        yield Reason("silent", "bad")
    elif status.get("frames") and not status.get("decoded"):
        yield Reason("unknown_car", "bad", {"frames": status["frames"]})


def _of_the_voice(status: Mapping[str, Any]) -> Iterator[Reason]:
    """Whoever cannot hear the box, or is not heard, gives no answers."""
    for device in ("speaker", "microphone"):
        if trouble := status.get("voice", {}).get(f"{device}_trouble"):
            yield Reason(device, "bad", {"trouble": trouble})


def _in_the_box(status: Mapping[str, Any], purposes: Sequence[Mapping[str, Any]]) -> Iterator[Reason]:
    if not any(purpose["in_force"] for purpose in purposes):
        yield Reason("no_consent")
    withheld = sum(purpose["withheld"] for purpose in purposes)
    if withheld:
        yield Reason("withheld", places={"count": withheld})
    store = status.get("store", {})
    lost = store.get("dropped", 0) + store.get("shed", 0)
    if lost:
        yield Reason("full", "bad", {"count": lost})
    if not status.get("clock_synced", True):
        yield Reason("no_clock")


def _to_the_insurer(status: Mapping[str, Any]) -> Iterator[Reason]:
    link, waiting = status.get("link", {}), status.get("waiting", 0)
    if not link:
        yield Reason("no_insurer", places={"waiting": waiting})
    elif link.get("trouble"):
        yield Reason("offline", "bad", {"waiting": waiting, "trouble": link["trouble"]})
    elif waiting:
        yield Reason("on_the_way", places={"waiting": waiting})
