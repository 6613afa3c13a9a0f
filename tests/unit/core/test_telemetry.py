"""Columns of telemetry: what goes in comes out, and what is no telemetry is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.core.events import Telemetry
from agent.core.records import Position, decode_event, encode_event
from agent.core.telemetry import pack_columns, unpack_columns

steps = st.one_of(st.none(), st.integers(-(2**52), 2**52), st.integers(-3, 3))


def told(table: list[list[int | None]], **changes: object) -> Telemetry:
    values = {
        "t_ns": 5,
        "period_s": 1.0,
        "count": len(table[0]) if table else 0,
        "signals": [f"Vehicle.S{number}" for number in range(len(table))],
        "steps": [0.5] * len(table),
        "columns": pack_columns(table),
    }
    return Telemetry(**(values | changes))  # type: ignore[arg-type]  # each test changes what it means to


@given(st.integers(0, 40).flatmap(lambda n: st.lists(st.lists(steps, min_size=n, max_size=n), max_size=4)))
def test_what_goes_in_comes_out(columns: list[list[int | None]]) -> None:
    event = decode_event(
        encode_event(told(columns), position=Position(1, 1), wall_offset_ns=None, agent_version="1")
    ).event
    assert isinstance(event, Telemetry)
    wanted = [[math.nan if step is None else step * 0.5 for step in column] for column in columns]
    for column, values in zip(wanted, unpack_columns(event).values(), strict=True):
        np.testing.assert_array_equal(values, column)


def test_small_changes_take_a_byte_each() -> None:
    assert pack_columns([[100, 101, 101, 100, None, 163]]) == bytes([0xC9, 0x01, 3, 1, 2, 0, 127])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"columns": b""}, "0 numbers for 1 columns of 3"),
        ({"columns": b"\1\1\1\1"}, "4 numbers"),
        ({"columns": b"\1\1\x81"}, "cut off"),
        ({"columns": b"\xff" * 10 + b"\1"}, "more than 9 bytes"),
        ({"columns": b"\xfe" + b"\xff" * 7 + b"\x7f\1\1"}, "2\\^53"),
        ({"steps": []}, "1 signals, but 0 steps"),
        ({"count": 10**12}, "3 numbers"),
        ({"count": -1}, "3 numbers"),
    ],
)
def test_what_is_no_telemetry_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        unpack_columns(told([[1, 2, 3]], **changes))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(columns: bytes, count: int) -> None:
    event = told([[1], [2]], columns=columns, count=count)
    try:
        values = unpack_columns(event)
    except ProtocolError:
        return
    assert [len(column) for column in values.values()] == [count, count]
