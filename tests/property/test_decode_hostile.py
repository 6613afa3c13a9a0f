"""Damaged databases end in InputError; gated and ranged signals are the same on both paths."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.errors import InputError
from agent.core.frames import ERROR_FRAME, EXTENDED, Frame, batch_of
from agent.core.signals import SignalCatalog
from agent.decode.columns import SignalTable
from agent.decode.decode import decode_batch, decode_large
from agent.decode.profile import Mapping, Profile
from agent.decode.table import build_table

DBC = """VERSION ""

NS_ :

BS_:

BU_: ECU

BO_ 256 A: 8 ECU
 SG_ Mux M : 0|3@1+ (1,0) [0|0] "" ECU
 SG_ Valid : 3|1@1+ (1,0) [0|0] "" ECU
 SG_ Accuracy : 15|8@0- (0.5,0) [0|0] "m" ECU
 SG_ X m1 : 16|12@1- (0.25,-3) [0|0] "" ECU
 SG_ F m2 : 32|32@1- (1,0) [0|0] "" ECU
 SG_ Inner m3M : 16|4@1+ (1,0) [0|0] "" ECU
 SG_ Deep m0 : 31|16@0+ (1,0) [0|0] "" ECU

BO_ 2147483904 B: 64 ECU
 SG_ Wide : 443|64@1+ (1,0) [0|0] "" ECU
 SG_ Far : 100|13@0- (0.1,0) [0|0] "" ECU

SIG_VALTYPE_ 256 F : 1;
SG_MUL_VAL_ 256 Inner Mux 3-3;
SG_MUL_VAL_ 256 Deep Inner 2-9;
"""
GATES = ["Valid == 1", "Accuracy <= 10", "Accuracy > -20", "Mux != 7"]
MAPPINGS = [
    Mapping(message="A", signal="X", path="X", factor=-2, minimum=-50, maximum=800, sentinels=[-1, 0, 1], gates=GATES),
    Mapping(message="A", signal="F", path="F", gates=["Valid == 1"]),
    Mapping(message="A", signal="Deep", path="Deep", maximum=60_000, gates=["Accuracy >= 0", "Inner < 9"]),
    Mapping(message="A", signal="Accuracy", path="Accuracy", sentinels=[127]),
    Mapping(message="B", signal="Wide", path="Wide", sentinels=[0, 2**64 - 1]),
    Mapping(message="B", signal="Far", path="Far", gates=["Wide != 0"]),
]


@pytest.fixture(scope="module")
def table() -> SignalTable:
    return build(DBC, MAPPINGS)


def build(text: str, mappings: list[Mapping]) -> SignalTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "car.dbc"
        path.write_text(text, encoding="cp1252")
        return build_table(Profile(name="x", signals=mappings), [path], SignalCatalog())


BYTES = st.one_of(st.binary(max_size=8), st.binary(min_size=8, max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 64]))
FRAMES = st.builds(
    Frame,
    st.integers(0, 99),
    st.just(256),
    st.one_of(BYTES, st.binary(min_size=60, max_size=64)),
    st.sampled_from([0, 0, 0, EXTENDED, EXTENDED, ERROR_FRAME]),
)


@given(st.lists(FRAMES, min_size=1, max_size=40))
def test_gates_ranges_and_sentinels_are_the_same_on_both_paths(table: SignalTable, frames: list[Frame]) -> None:
    batch = batch_of(frames)
    with np.errstate(invalid="ignore", over="ignore"):
        large = decode_large(table, batch)
    for other in (table.small.decode(batch), decode_batch(table, batch)):
        for column in ("t_ns", "signal", "value", "quality"):
            np.testing.assert_array_equal(getattr(other.samples, column), getattr(large.samples, column))
        assert (other.decoded, other.unknown, other.bad) == (large.decoded, large.unknown, large.bad)


EDITS = st.tuples(
    st.integers(0, len(DBC) - 1),
    st.integers(0, 3),
    st.sampled_from(["", "0", "9", "-", "|", "M", "m1 ", "\n", "é", "1e9"]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, min_size=1, max_size=3), st.booleans())
def test_a_damaged_dbc_is_refused_or_read(edits: list[tuple[int, int, str]], mapped: bool) -> None:  # noqa: FBT001 - drawn
    logging.getLogger("cantools").setLevel(logging.CRITICAL)
    text = DBC
    for place, gone, put in edits:
        text = text[:place] + put + text[place + gone :]
    try:
        table = build(text, MAPPINGS if mapped else [])
    except InputError:
        return
    batch = batch_of([Frame(0, 256, bytes(range(64))), Frame(0, 256, bytes(64), EXTENDED)])
    with np.errstate(invalid="ignore", over="ignore"):
        assert decode_large(table, batch).samples.signal.tolist() == table.small.decode(batch).samples.signal.tolist()
