"""The gather and the small path give what cantools gives, over generated databases and frames."""

import math
from pathlib import Path

import numpy as np
from cantools.database import DecodeError
from cantools.database.can import Database, Message, Signal
from cantools.database.conversion import BaseConversion
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.frames import ERROR_FRAME, EXTENDED, OWN, REFUSED, REMOTE, Frame, batch_of
from agent.core.signals import Quality, SignalCatalog
from agent.decode.columns import SignalTable
from agent.decode.compiler import compile_graph
from agent.decode.dbc import add_all_messages
from agent.decode.decode import decode_large
from agent.decode.layout import Graph
from agent.decode.small import Decoded

LENGTHS = [1, 2, 3, 5, 7, 8, 8, 8, 8, 12, 16, 20, 24, 32, 48, 64]
SCALES = [(1, 0), (1, 0), (2, -3), (0.1, 0), (0.5, -40), (-1.5, 7.25), (1e-3, 0), (1e30, 0)]


def table_of(messages: list[Message]) -> tuple[SignalTable, SignalCatalog]:
    graph, catalog = Graph(), SignalCatalog()
    add_all_messages(graph, {Path("generated.dbc"): Database(messages)}, catalog)
    return compile_graph(graph), catalog


def bits_of(start: int, length: int, big_endian: bool) -> range | None:  # noqa: FBT001 - three facts of one geometry
    """Positions taken in the bit map of their own counting: LSB first, or MSB first for big endian."""
    first = 8 * (start // 8) + 7 - start % 8 if big_endian else start
    return range(first, first + length)


def payload_bits(places: range, big_endian: bool) -> set[int]:  # noqa: FBT001 - three facts of one geometry
    return {8 * (place // 8) + 7 - place % 8 for place in places} if big_endian else set(places)


@st.composite
def signals(
    draw: st.DrawFn, name: str, size: int, taken: set[int], parent: tuple[str, list[int]] | None = None
) -> Signal | None:
    """A signal somewhere in what is free of `size` bytes; None where the place drawn is taken."""
    is_float = draw(st.integers(0, 5)) == 0
    length = draw(st.sampled_from([16, 32, 64]) if is_float else st.integers(1, 64))
    big_endian = draw(st.booleans())
    start = draw(st.integers(0, size * 8 - 1))
    places = bits_of(start, length, big_endian)
    if places is None or places.stop > size * 8 or payload_bits(places, big_endian) & taken:
        return None
    taken |= payload_bits(places, big_endian)
    scale, offset = draw(st.sampled_from(SCALES))
    return Signal(
        name,
        start,
        length,
        "big_endian" if big_endian else "little_endian",
        is_signed=draw(st.booleans()) and not is_float,
        conversion=BaseConversion.factory(scale, offset, None, is_float),
        multiplexer_ids=parent[1] if parent else None,
        multiplexer_signal=parent[0] if parent else None,
    )


def selector(name: str, start: int, length: int, parent: tuple[str, list[int]] | None = None) -> Signal:
    return Signal(
        name,
        start,
        length,
        is_multiplexer=True,
        multiplexer_ids=parent[1] if parent else None,
        multiplexer_signal=parent[0] if parent else None,
    )


@st.composite
def messages(draw: st.DrawFn, can_id: int) -> Message:
    """Plain, multiplexed, or with a multiplexer inside a multiplexer, or with two side by side."""
    size = draw(st.sampled_from(LENGTHS))
    shape = draw(st.sampled_from(["plain", "plain", "multiplexed", "nested", "two"])) if size >= 5 else "plain"
    taken: set[int] = set()
    found: list[Signal | None] = []
    if shape != "plain":
        found.append(selector("Mux", 0, 3))
        taken |= set(range(3))
    if shape == "two":
        found.append(selector("Other", 3, 2))
        taken |= {3, 4}
    found += [draw(signals(f"P{number}", size, taken)) for number in range(draw(st.integers(1, 6)))]
    ids = st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True)
    for number in range(draw(st.integers(1, 5)) if shape != "plain" else 0):
        found.append(draw(signals(f"M{number}", size, taken, ("Mux", draw(ids)))))
    if shape == "two":
        found += [draw(signals(f"O{number}", size, taken, ("Other", draw(st.just([number]))))) for number in range(3)]
    if shape == "nested" and not {8, 9} & taken:
        taken |= {8, 9}
        found.append(selector("Inner", 8, 2, ("Mux", draw(ids))))
        found += [draw(signals(f"N{number}", size, taken, ("Inner", [number, 3]))) for number in range(3)]
    extended = can_id >= 0x800
    return Message(can_id, f"X{can_id:X}", size, [s for s in found if s], is_extended_frame=extended, is_fd=size > 8)


@st.composite
def cases(draw: st.DrawFn, *, damaged: bool) -> tuple[list[Message], list[Frame]]:
    """Messages and frames; damaged: also short, long, unknown, remote and error frames."""
    ids = draw(st.lists(st.sampled_from([0, 1, 0x123, 0x7FF, 0x800, 0x18FEF100, 0x1FFFFFFF]), min_size=1, unique=True))
    those = [draw(messages(can_id)) for can_id in ids]
    frames = []
    for t_ns in range(draw(st.integers(1, 24))):
        message = draw(st.sampled_from(those))
        size = message.length if not damaged else draw(st.sampled_from([message.length, message.length, *LENGTHS, 0]))
        data = draw(st.binary(min_size=size, max_size=size))
        can_id = message.frame_id if not damaged else draw(st.sampled_from([message.frame_id, message.frame_id, 0x55]))
        flags = EXTENDED if message.is_extended_frame else 0
        if damaged:
            flags |= draw(st.sampled_from([0, 0, 0, 0, REMOTE, ERROR_FRAME, OWN]))
        frames.append(Frame(t_ns, can_id, data, flags))
    return those, frames


def given_of(decoded: Decoded, catalog: SignalCatalog, t_ns: int) -> dict[str, tuple[float, int]]:
    samples = decoded.samples
    rows = np.flatnonzero(samples.t_ns == t_ns)
    assert len({int(samples.signal[row]) for row in rows}) == len(rows), "a signal came twice from one frame"
    return {
        catalog.specs[samples.signal[row]].path.partition(".")[2]: (samples.value[row], samples.quality[row])
        for row in rows
    }


def assert_same(message: Message, name: str, value: float, expected: float) -> None:
    signal = message.get_signal_by_name(name)
    expected = float(expected)
    if math.isnan(expected) or signal.length <= 50 or signal.is_float:
        assert value == expected or (math.isnan(value) and math.isnan(expected)), (name, value, expected)
    else:  # cantools computes with integers of any size: beyond 2**53 a float64 has to round
        size = abs(signal.scale) * 2.0**signal.length + abs(signal.offset)
        assert math.isclose(value, expected, abs_tol=4e-16 * size), (name, value, expected)


@settings(max_examples=150, deadline=None)
@given(cases(damaged=False))
def test_equal_to_cantools(case: tuple[list[Message], list[Frame]]) -> None:
    those, frames = case
    table, catalog = table_of(those)
    with np.errstate(invalid="ignore", over="ignore"):
        decoded = decode_large(table, batch_of(frames))
    by_id = {message.frame_id: message for message in those}
    for frame in frames:
        message = by_id[frame.can_id]
        got = given_of(decoded, catalog, frame.t_ns)
        try:
            expected = message.decode_simple(frame.data, decode_choices=False)
        except DecodeError:  # a selector's value of which the DBC says nothing: what does not hang from it is given
            plain = Message(
                message.frame_id,
                message.name,
                message.length,
                [signal for signal in message.signals if not signal.multiplexer_ids and not signal.is_multiplexer],
                is_extended_frame=message.is_extended_frame,
            )
            expected = plain.decode_simple(frame.data, decode_choices=False)
            assert set(expected) < set(got)
            got = {name: got[name] for name in expected}
        assert set(got) == set(expected)
        for name, (value, quality) in got.items():
            assert_same(message, name, value, expected[name])  # type: ignore[arg-type] # choices are off: numbers
            assert quality == (Quality.VALID if math.isfinite(value) else Quality.IMPLAUSIBLE)


@settings(max_examples=100, deadline=None)
@given(cases(damaged=True))
def test_frames_of_any_length_give_what_cantools_finds_whole(case: tuple[list[Message], list[Frame]]) -> None:
    those, frames = case
    table, catalog = table_of(those)
    with np.errstate(invalid="ignore", over="ignore"):
        decoded = decode_large(table, batch_of(frames))
    by_key = {(message.frame_id, message.is_extended_frame): message for message in those}
    for frame in frames:
        message = by_key.get((frame.can_id, bool(frame.flags & EXTENDED)))
        got = given_of(decoded, catalog, frame.t_ns)
        if message is None or frame.flags & REFUSED:
            assert not got
            continue
        try:
            expected = message.decode_simple(frame.data, decode_choices=False, allow_truncated=True)
        except DecodeError:
            continue
        assert set(got) == set(expected)
        for name, (value, _) in got.items():
            assert_same(message, name, value, expected[name])  # type: ignore[arg-type] # choices are off: numbers


@settings(max_examples=150, deadline=None)
@given(cases(damaged=True), st.integers(0, 24))
def test_both_paths_and_any_split_give_the_same(case: tuple[list[Message], list[Frame]], cut: int) -> None:
    those, frames = case
    table, _ = table_of(those)
    batch = batch_of(frames)
    with np.errstate(invalid="ignore", over="ignore"):
        large = decode_large(table, batch)
        parts = [decode_large(table, batch[:cut]), decode_large(table, batch[cut:])]
    small = table.small.decode(batch)
    for other in ([small], parts):
        assert sum(part.decoded for part in other) == large.decoded
        assert sum(part.unknown for part in other) == large.unknown
        assert sum(part.bad for part in other) == large.bad
        for column in ("t_ns", "signal", "quality"):
            ours = np.concatenate([getattr(part.samples, column) for part in other])
            np.testing.assert_array_equal(ours, getattr(large.samples, column))
            assert ours.dtype == getattr(large.samples, column).dtype
        values = np.concatenate([part.samples.value for part in other])
        nan = np.isnan(values)
        np.testing.assert_array_equal(nan, np.isnan(large.samples.value))
        np.testing.assert_array_equal(values[~nan].view(np.int64), large.samples.value[~nan].view(np.int64))
