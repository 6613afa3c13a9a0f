"""decode_batch against cantools on the same frames.

Database: the real DBC files beside the project that cantools reads as they are (five cars' and loggers' files, some 90
messages with 650 signals, both byte orders); without them a generated one of 100 messages. Frames: each message equally
often, in random order, with random payloads.
Peer: cantools.Database.decode_message per frame, numbers instead of choices. For the signals of interest the peer skips
the frames that hold none of them and picks its values from the rest. Both are timed in turns; the median of the
ratios of neighbours counts.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from cantools.database.can import Database

from agent.core.frames import EXTENDED, EXTENDED_KEY, Frame, FrameBatch, batch_of
from agent.core.signals import SignalCatalog
from agent.decode.dbc import load_dbc
from agent.decode.decode import decode_batch
from agent.decode.profile import Mapping, Profile
from agent.decode.table import build_table

_DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
_REAL: Final = (
    "can_log_formats/ThinkCity.dbc",
    "can_log_formats/LeafPowertrainBus.dbc",
    "can_log_formats/bms.dbc",
    "canedge_mf4/canmod-gps.dbc",
    "kona_ev_can/dbc/comp_can.dbc",
)
_OF_INTEREST: Final = 20
_REPEATS: Final = 51


def run() -> dict[str, object]:
    """Measure; the counts of values on both sides must be the same."""
    with TemporaryDirectory() as folder:
        paths = [_DATA / name for name in _REAL if (_DATA / name).is_file()]
        kind = "real" if paths else "generated"
        if not paths:
            paths = [_generate(Path(folder) / "generated.dbc")]
        messages = [message for path in paths for message in load_dbc(path).messages if message.signals]
        database = Database(messages)
        result: dict[str, object] = {"name": "decode"}
        for count in (256, 1024):
            result[f"ratio_{count}"] = _ratio_all(database, paths, count)
        result["ratio_20_signals"] = _ratio_of_interest(database, paths, 1024)
        result["database"] = f"{kind}: {len(messages)} messages, {sum(len(m.signals) for m in messages)} signals"
        return result


def _ratio_all(database: Database, paths: list[Path], count: int) -> float:
    table = build_table(Profile(name="bench"), paths, SignalCatalog())
    frames, batch = _frames(database, count)

    def peer() -> int:
        decode = database.decode_message
        return sum(len(decode(can_id, data, decode_choices=False)) for can_id, data in frames)

    return _ratio(peer, lambda: len(decode_batch(table, batch).samples))


def _ratio_of_interest(database: Database, paths: list[Path], count: int) -> float:
    signals = [(message, signal) for message in database.messages for signal in message.signals]
    chosen = signals[:: len(signals) // _OF_INTEREST][:_OF_INTEREST]
    mappings = [
        Mapping(message=message.name, signal=signal.name, path=f"S{place}", minimum=-1e12, maximum=1e12)
        for place, (message, signal) in enumerate(chosen)
    ]
    table = build_table(Profile(name="bench", signals=mappings), paths, SignalCatalog())
    wanted: dict[int, list[str]] = {}
    for message, signal in chosen:
        wanted.setdefault(message.frame_id, []).append(signal.name)
    frames, batch = _frames(database, count)

    def peer() -> int:
        decode, found = cast("Callable[..., dict[str, float]]", database.decode_message), 0
        for can_id, data in frames:
            names = wanted.get(can_id)
            if names is not None:
                values = decode(can_id, data, decode_choices=False)
                found += len([values[name] for name in names])
        return found

    return _ratio(peer, lambda: len(decode_batch(table, batch).samples))


def _frames(database: Database, count: int) -> tuple[list[tuple[int, bytes]], FrameBatch]:
    rng = random.Random(count)  # noqa: S311 - payloads to measure with, no secret
    messages = database.messages
    chosen = [messages[place % len(messages)] for place in range(count)]
    rng.shuffle(chosen)
    payloads = [rng.randbytes(message.length) for message in chosen]
    batch = batch_of(
        [
            Frame(place, message.frame_id, payload, EXTENDED if message.is_extended_frame else 0)
            for place, (message, payload) in enumerate(zip(chosen, payloads, strict=True))
        ]
    )
    return [(message.frame_id, payload) for message, payload in zip(chosen, payloads, strict=True)], batch


def _ratio(peer: Callable[[], int], ours: Callable[[], int]) -> float:
    if peer() != ours():
        raise RuntimeError(f"the peer gives {peer()} values, decode_batch {ours()}: not the same work")
    return round(statistics.median(_time(peer, 1) / _time(ours, 10) for _ in range(_REPEATS)), 1)


def _time(side: Callable[[], int], rounds: int) -> float:
    start = time.perf_counter()
    for _ in range(rounds):
        side()
    return (time.perf_counter() - start) / rounds


def _generate(path: Path) -> Path:
    """Write a DBC like a car's: 8-byte messages of 2 to 14 signals of 1 to 16 bits, half of them big endian."""
    path.write_text("\n".join(_generated_lines(random.Random(7))) + "\n", encoding="ascii")  # noqa: S311 - no secret
    return path


def _generated_lines(rng: random.Random) -> Iterator[str]:
    yield 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n'
    for number in range(100):
        can_id = (0x18FF0000 + number) | EXTENDED_KEY if number % 10 == 0 else 0x100 + number
        yield f"\nBO_ {can_id} M{number}: 8 ECU"
        big_endian, bit, signal = number % 2, 0, 0
        while bit < 64 and signal < 14:
            length = min(64 - bit, rng.choice([1, 1, 2, 4, 8, 8, 10, 12, 16, 16]))
            start = 8 * (bit // 8) + 7 - bit % 8 if big_endian else bit
            sign = rng.choice("+-") if length > 1 else "+"
            scale, offset = rng.choice([(1, 0), (0.1, 0), (0.5, -40), (0.01, 0)])
            yield f' SG_ S{signal} : {start}|{length}@{1 - big_endian}{sign} ({scale},{offset}) [0|0] "" ECU'
            bit, signal = bit + length + rng.choice([0, 0, 0, 1, 4]), signal + 1
