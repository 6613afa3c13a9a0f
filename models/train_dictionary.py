"""Make firmware_config/zstd/events-N.dict anew: `python -m models.train_dictionary`. Seeded; takes a few minutes.

Trains on what the agent's rules tell of simulated drives, and on made-up events of every kind, for what no drive
shows. Then prints what a dictionary saves on drives and events that it has not seen. A dictionary that is in the field
is never replaced: give the new one the next number (agent/store/dictionary.py) and keep the file of the old one.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args, get_origin

import msgspec
import zstandard

from agent import __version__
from agent.core.events import AnyEvent, Event
from agent.core.paths import DICTIONARIES
from agent.core.records import Position, encode_event
from agent.store.dictionary import ID_CURRENT
from simulators.sweep import watch
from simulators.world import load_scenario, simulate, simulate_commute

SEED: Final = 20260915
SIZE: Final = 8_192
LEVEL: Final = 9
DRIVES: Final = (
    "crash_front",
    "crash_side_left",
    "crash_rear",
    "crash_chain",
    "battery_hot",
    "runaway",
    "cell_unbalanced",
    "cobbles",
    "kerb",
    "commute",
    "dc_charging",
    "weak_cell",
)
DRIVES_UNSEEN: Final = ("crash_offset", "crash_light", "battery_12v_flat", "pothole")
MADE_UP: Final = 60  # of each kind
SYNCED_NS: Final = 1_790_000_000_000_000_000
WORDS: Final = ("", "can0", "imu", "gnss", "elm327", "no data for 5 s", "drive", "ice_generic", "ev_generic", "0.1.0")


def main() -> None:
    """Train, write, say what it saves."""
    training: list[bytes | bytearray | memoryview[int]] = []
    training += _content(_drives(DRIVES, range(3)), seed=SEED)
    training += _content(_invent(SEED), seed=SEED)
    _seeded(SEED).shuffle(training)
    blob = zstandard.train_dictionary(
        SIZE, training, dict_id=ID_CURRENT, level=LEVEL, split_point=1.0, threads=0
    ).as_bytes()
    DICTIONARIES.mkdir(exist_ok=True)
    path = DICTIONARIES / f"events-{ID_CURRENT}.dict"
    path.write_bytes(blob)
    print(f"{path.name}: {len(blob)} bytes from {len(training)} events")
    _report("events of unseen drives", _content(_drives(DRIVES_UNSEEN, range(90, 92)), seed=SEED + 1), blob)
    _report("unseen made-up events", _content(_invent(SEED + 1), seed=SEED + 1), blob)


def _report(name: str, contents: Sequence[bytes], blob: bytes) -> None:
    dictionary = zstandard.ZstdCompressionDict(blob)
    plain = zstandard.ZstdCompressor()
    helped = zstandard.ZstdCompressor(LEVEL, dict_data=dictionary)
    before = sum(len(plain.compress(content)) for content in contents) / len(contents)
    after = sum(len(helped.compress(content)) for content in contents) / len(contents)
    raw = sum(map(len, contents)) / len(contents)
    print(f"{name}: {raw:.0f} bytes of CBOR, {before:.0f} by zstd alone, {after:.0f} with the dictionary (mean)")


def _drives(names: Iterable[str], seeds: range) -> Iterator[Event]:
    """Yield what the agent's rules tell of these scenarios, and of as many commutes.

    A crash's detail is left out: columns of samples have no words in common, and would fill the dictionary.
    """
    for seed in seeds:
        drives = [
            *(simulate(load_scenario(name), seed=seed) for name in names),
            simulate_commute(seed, duration_s=600.0),
        ]
        yield from (report.event for drive in drives for report in watch(drive) if not report.event.bulk)


def _invent(seed: int) -> Iterator[Event]:
    """Yield events of every kind with values made up by their types."""
    rng = _seeded(seed)
    for kind in get_args(AnyEvent):
        for _ in range(MADE_UP):
            fields = {field.name: _value(rng, field.type) for field in msgspec.structs.fields(kind)}
            yield msgspec.convert({"kind": kind.__struct_config__.tag, **fields}, kind, strict=False)


def _value(rng: random.Random, kind: Any) -> Any:
    options = get_args(kind)
    if get_origin(kind) is list:
        return [_value(rng, options[0]) for _ in range(rng.randint(1, 12))]
    if options:
        return rng.choice(options) if isinstance(options[0], str) else _value(rng, rng.choice(options))
    made = {
        int: rng.choice((rng.randint(0, 9), rng.randint(0, 5_000), rng.randint(10**9, 10**13))),
        float: round(rng.uniform(0, 100), rng.choice((0, 1, 2, 15))),
        str: rng.choice(WORDS),
        bool: rng.random() < 0.5,
        bytes: rng.randbytes(rng.randint(0, 60)),
    }
    return made.get(kind)


def _content(events: Iterable[Event], *, seed: int) -> list[bytes]:
    """Encode them as they would stand in a record: most of a box that knows the time, some of one that does not."""
    rng = _seeded(seed)
    return [
        encode_event(
            event,
            position=Position(rng.randint(1, 400), rng.randint(1, 20_000)),
            wall_offset_ns=None if rng.random() < 0.1 else SYNCED_NS + rng.randint(0, 10**16),
            agent_version=__version__,
        )
        for event in events
    ]


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # to be repeated, not to be secret


if __name__ == "__main__":
    main()
