"""Fragments of a crash record: in any order they give the record back, and what no recorder writes is refused."""

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import vss
from agent.core.crash import FRAGMENTS_MAX, IMU_PATHS, assemble
from agent.core.crash_columns import TIME, pack_samples, unpack_samples
from agent.core.crash_events import CrashRecord
from agent.core.errors import ProtocolError
from agent.core.records import Position, decode_event, encode_event
from agent.core.signals import Series

T0_NS = 12_345_678_901
STEPS = dict.fromkeys(IMU_PATHS, 0.01) | {vss.SPEED: 0.1}

times_us = st.lists(st.integers(-20_000_000, 20_000_000), min_size=1, max_size=40, unique=True).map(sorted)
values = st.one_of(st.floats(-2000, 2000), st.floats(), st.floats(-1, 1))


def series(at_us: list[int], value: list[float]) -> Series:
    return Series(np.array(at_us, np.int64) * 1000 + T0_NS, np.array(value, np.float64))


def fragment(number: int = 0, samples: dict[str, Series] | None = None, **changes: object) -> CrashRecord:
    signals, steps, counts, columns = pack_samples(T0_NS, samples or {}, STEPS)
    fields = {
        "t_ns": T0_NS,
        "record": 1,
        "fragment": number,
        "part": "imu",
        "from_ns": T0_NS,
        "until_ns": T0_NS,
        "signals": signals,
        "steps": steps,
        "counts": counts,
        "columns": columns,
    }
    return CrashRecord(**(fields | changes))  # type: ignore[arg-type]  # each test changes what it means to


def a_record() -> list[CrashRecord]:
    """Four fragments that overlap, as a recorder writes them."""
    at_us = [-2500, 0, 2500, 5000]
    axes = {path: series(at_us, [column + k / 100 for k in range(4)]) for column, path in enumerate(IMU_PATHS)}
    early = {path: Series(s.t_ns[:3], s.value[:3]) for path, s in axes.items()}
    return [
        fragment(0, early, part="trigger"),
        fragment(1, axes, part="table", elements='{"clipped": null, "speed_kmh_5s": [50, null]}'),
        fragment(2, {vss.SPEED: series([-100_000, 0], [50.0, 49.9])}, part="signals"),
        fragment(3, part="end", complete=True, elements='{"clipped": true}'),
    ]


@given(times_us, st.data())
def test_samples_come_back_to_within_half_a_step(at_us: list[int], data: st.DataObject) -> None:
    sent = {
        path: series(at_us, data.draw(st.lists(values, min_size=len(at_us), max_size=len(at_us))))
        for path in (*IMU_PATHS[:2], vss.SPEED)
    }
    told = decode_event(
        encode_event(fragment(samples=sent), position=Position(1, 1), wall_offset_ns=None, agent_version="1")
    ).event
    assert isinstance(told, CrashRecord)
    assert told.signals.count(TIME) == 1
    for path, found in unpack_samples(told).items():
        np.testing.assert_array_equal(found.t_ns, sent[path].t_ns)
        wanted = np.where(np.isfinite(sent[path].value), sent[path].value, np.nan)
        np.testing.assert_array_equal(np.isnan(found.value), np.isnan(wanted))
        limit = 2**40 * STEPS[path]
        np.testing.assert_allclose(found.value, np.clip(wanted, -limit, limit), rtol=1e-12, atol=STEPS[path] * 0.51)


def test_signals_with_times_of_their_own_bring_them_along() -> None:
    sent = {vss.SPEED: series([0, 7], [1.0, 2.0]), IMU_PATHS[0]: series([1, 2, 3], [0.0, 0.0, 0.0])}
    packed = fragment(samples=sent)
    assert packed.signals == [TIME, vss.SPEED, TIME, IMU_PATHS[0]]
    assert [len(found) for found in unpack_samples(packed).values()] == [2, 3]


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=4))
def test_any_order_and_duplicates_give_the_same_record(order: list[int], again: list[int]) -> None:
    fragments = a_record()
    found = assemble([fragments[k] for k in [*order, *again]])
    assert (found.record, found.t0_ns, found.complete, found.withdrawn, found.missing) == (1, T0_NS, True, False, ())
    assert found.elements == {"clipped": True}
    assert found.imu.t_ns.tolist() == [T0_NS + us * 1000 for us in (-2500, 0, 2500, 5000)]
    np.testing.assert_allclose(found.imu.values[3], np.arange(6) + 0.03)
    np.testing.assert_allclose(found.signals[vss.SPEED].values, [[50.0], [49.9]])


@pytest.mark.parametrize(
    ("gone", "missing"), [(0, (0,)), (1, (1,)), (2, (2,)), (3, ())], ids=["trigger", "table", "signals", "end"]
)
def test_what_is_missing_is_named_and_the_rest_is_read(gone: int, missing: tuple[int, ...]) -> None:
    fragments = a_record()
    del fragments[gone]
    found = assemble(fragments)
    assert (found.complete, found.missing) == (False, missing)
    assert found.elements == ({"clipped": None, "speed_kmh_5s": [50, None]} if gone == 3 else {"clipped": True})


def test_a_channel_that_is_silent_is_nan_beside_the_others() -> None:
    slow = {vss.ACCELERATION_LATERAL: series([0, 2], [1.0, 3.0]), vss.YAW_RATE: series([1], [5.0])}
    found = assemble([fragment(samples=slow)])
    np.testing.assert_array_equal(found.imu.values[:, 1], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(found.imu.values[:, 5], [np.nan, 5.0, np.nan])


def test_a_withdrawn_record_is_not_complete() -> None:
    found = assemble([fragment(0, part="trigger"), fragment(1, part="withdrawn", complete=True)])
    assert (found.withdrawn, found.complete, len(found.imu.t_ns), found.elements) == (True, False, 0, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": []}, "0 steps"),
        ({"counts": [1, 1]}, "counts of 2"),
        ({"counts": [-1, 3]}, "counts of 2"),
        ({"counts": [10**30, 2]}, "counts of 1000"),
        ({"signals": [vss.SPEED, TIME]}, "has no time"),
        ({"signals": [TIME, TIME]}, "in steps of 0.1"),
        ({"steps": [1e-6, 0.0]}, "a step that is none"),
        ({"steps": [1e-6, float("nan")]}, "a step that is none"),
        ({"steps": [1e-3, 0.1]}, "in steps of 0.001"),
        ({"columns": b"\0\1\1\1"}, "missing"),
        ({"columns": b"\3\2\1\1"}, "go back"),
        ({"columns": b"\xff\xff\xff\xff\xff\xff\1\1\1\1"}, "too far"),
        ({"columns": b"\xff" * 12}, "more than 9 bytes"),
        ({"columns": b"\1\1\1\xff"}, "cut off"),
        ({"t_ns": 2**80}, "T0 of"),
        ({"elements": "{"}, "elements"),
        ({"elements": '{"a": {}}'}, "elements"),
        ({"elements": '{"a": 1e999}'}, "elements"),
        ({"elements": "\ud800"}, "elements"),
        ({"elements": f'{{"a": {[0] * 1025}}}'}, "more than anybody"),
    ],
)
def test_what_no_recorder_writes_is_refused(changes: dict[str, object], reason: str) -> None:
    hostile = fragment(0, {vss.SPEED: series([0, 1], [1.0, 2.0])}, **changes)
    with pytest.raises(ProtocolError, match=reason):
        assemble([hostile])


def test_fragments_that_do_not_belong_together_are_refused() -> None:
    first = fragment(0)
    for other, reason in (
        (fragment(1, record=2), "several records"),
        (fragment(1, t_ns=T0_NS + 1), "several records"),
        (fragment(0, part="table"), "two fragments of number 0"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            assemble([first, other])
    with pytest.raises(ProtocolError, match="behind its end"):
        assemble([fragment(0, part="end"), fragment(1)])
    for number in (-1, FRAGMENTS_MAX):
        with pytest.raises(ProtocolError, match=f"a fragment of number {number}"):
            assemble([fragment(number)])
    with pytest.raises(ProtocolError, match="no fragment"):
        assemble([])


@given(st.integers(0, 2**32), st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_any_columns_are_read_or_refused(seed: int, columns: bytes, counts: list[int]) -> None:
    rng = random.Random(seed)  # noqa: S311  # a seeded test
    signals = [rng.choice([TIME, vss.SPEED, *IMU_PATHS]) for _ in counts]
    steps = [1e-6 if path == TIME else 0.01 for path in signals]
    hostile = msgspec.structs.replace(
        fragment(), signals=[TIME, *signals], steps=[1e-6, *steps], counts=[len(counts), *counts], columns=columns
    )
    try:
        found = assemble([hostile])
    except ProtocolError:
        return
    assert found.imu.values.shape == (len(found.imu.t_ns), 6)
