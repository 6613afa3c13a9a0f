"""What a registered car may sign though no database can hold it: buried with the reason, and nothing else suffers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.cose import encode_cbor
from agent.core.events import Priority
from agent.core.records import GENESIS, Header
from agent.link.wire import parse_receipt
from agent.store.seal import Sealer
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake, Outcome
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Store
from tests.unit.store.kit import KEYS

NOW_NS = 1_790_000_000_000_000_000
_INTEGERS = st.one_of(
    st.sampled_from([0, 2**31, 2**60, 2**60 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**63) - 1, -(2**64)]),
    st.integers(-(2**64), 2**64 - 1),
)
_NUMBERS = st.one_of(st.floats(), _INTEGERS, st.booleans(), st.none())
_TEXTS = st.one_of(st.sampled_from(["", "\0", "a\0b", "\\u0000", "\x1b[2J\n", '"}', "\ufeff", "x" * 20_000]), st.text())
_NESTED = st.recursive(st.just(0), lambda inner: st.lists(inner, max_size=2), max_leaves=20)
_TELEMETRY = st.fixed_dictionaries(
    {
        "kind": st.just("telemetry"),
        "t_ns": _INTEGERS,
        "period_s": _NUMBERS,
        "count": _INTEGERS,
        "signals": st.lists(_TEXTS, max_size=3),
        "steps": st.lists(_NUMBERS, max_size=3),
        "columns": st.binary(max_size=20),
    }
)
_EVENTS = st.one_of(
    _TELEMETRY,
    st.fixed_dictionaries(
        {"kind": st.just("agent_started"), "t_ns": _INTEGERS, "agent_version": _TEXTS, "profile": _TEXTS}
        | {"config_version": _INTEGERS}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("road_impact"), "t_ns": _INTEGERS, "peak_mps2": _NUMBERS, "speed_kmh": _NUMBERS}
    ),
    st.fixed_dictionaries({"kind": _TEXTS, "t_ns": _NESTED}),
    _NESTED,
)


@dataclass
class Bench:
    """A receiver, and a car that signs whatever it is told to, each time under a name of its own."""

    keys: ReceiverKeys
    store: Store
    intake: Intake
    names: Iterator[int]

    def new_device(self) -> str:
        device = f"car-{next(self.names)}"
        self.keys.register(device, KEYS.device.public_key)
        return device

    def seal(self, device: str, sequence: int, event: object, *, wall_ns: object = None, agent: str = "0") -> bytes:
        previous = GENESIS if sequence == 1 else bytes([sequence]) * 32
        header = Header(device=device, boot=1, sequence=sequence, priority=Priority.TELEMETRY, previous=previous)
        content = {"v": 1, "agent": agent, "boot": 1, "sequence": sequence, "wall_ns": wall_ns, "event": event}
        content["clock_synced"] = wall_ns is not None
        sealer = Sealer(KEYS.device, [self.keys.encryption_key.public_key()])
        return sealer.seal(encode_cbor(content), header).payload

    def receipted(self, device: str) -> list[tuple[int, int]]:
        public = self.keys.receipt_public.read_bytes()
        ranges = [r for _, blob in self.intake.receipts([device]) for r in parse_receipt(blob, public, device)]
        return [(each.first, each.last) for each in ranges]


@pytest.fixture
def bench(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Bench]:
    keys = ReceiverKeys.create(tmp_path)
    store = open_store(new_database(), create=True)
    yield Bench(keys, store, Intake(keys, store, now_ns=lambda: NOW_NS), count())
    store.close()


def stopped(t_ns: object = 5, reason: str = "x") -> dict[str, Any]:
    return {"kind": "agent_stopped", "t_ns": t_ns, "reason": reason}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=_EVENTS, wall_ns=st.one_of(st.none(), _INTEGERS), agent=_TEXTS)
def test_content_that_no_database_holds_is_buried_and_stops_nothing(
    bench: Bench, event: object, wall_ns: int | None, agent: str
) -> None:
    device = bench.new_device()
    hostile = bench.seal(device, 2, event, wall_ns=wall_ns, agent=agent)
    outcomes = bench.intake.take(
        [bench.seal(device, 1, stopped(), wall_ns=7), hostile, bench.seal(device, 3, stopped())]
    )
    first, odd, last = outcomes
    assert (first.status, last.status) == ("accepted", "accepted")
    assert odd.status in ("accepted", "dead")
    assert odd.reason.isprintable()
    assert bool(odd.reason) == (odd.status == "dead")
    assert bench.receipted(device) == ([(1, 3)] if odd.status == "accepted" else [(1, 1), (3, 3)])
    rows = list(bench.store.events(device))
    assert [row["sequence"] for row in rows] == [1, 2, 3] if odd.status == "accepted" else [1, 3]
    assert all(row["wall_ns"] is None or isinstance(row["wall_ns"], int) for row in rows)
    assert {row["device"]: row["events"] for row in bench.store.devices()}[device] == len(rows)


@pytest.mark.parametrize("t_ns", [2**60 + 1, -(2**60) - 1, 2**63, -(2**64)])
def test_a_time_that_no_clock_shows_is_named(bench: Bench, t_ns: int) -> None:
    device = bench.new_device()
    (outcome,) = bench.intake.take([bench.seal(device, 1, stopped(t_ns))])
    assert (outcome.status, outcome.reason) == ("dead", "a time that no clock shows")


def test_the_furthest_times_that_are_taken_can_be_added(bench: Bench) -> None:
    device = bench.new_device()
    dated = bench.seal(device, 1, stopped(-(2**60)), wall_ns=2**62)
    undated = bench.seal(device, 2, stopped(2**60))
    assert [outcome.status for outcome in bench.intake.take([dated, undated])] == ["accepted"] * 2
    assert [row["wall_ns"] for row in bench.store.events(device)] == [2**62, 2**62 + 2**61]


def test_a_zero_byte_in_a_text_is_named(bench: Bench) -> None:
    device = bench.new_device()
    cases = [
        bench.seal(device, 1, stopped(reason="a\0b")),
        bench.seal(device, 2, stopped(), agent="\0"),
        bench.seal(device, 3, stopped(reason="\\u0000")),
    ]
    outcomes = bench.intake.take(cases)
    assert [outcome.reason for outcome in outcomes] == ["a text holds a zero byte"] * 2 + [""]


def test_a_value_that_only_the_database_refuses_takes_no_other_record_with_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should we ever let one through: without this a worker would ask for the same batch for ever."""
    monkeypatch.setattr("fleet.receiver.intake._check", lambda _: None)
    device = bench.new_device()
    good = [bench.seal(device, sequence, stopped()) for sequence in (1, 3)]
    bad = bench.seal(device, 2, stopped(2**63))
    outcomes = bench.intake.take([good[0], bad, b"noise", bad, good[1]])
    assert [outcome.status for outcome in outcomes] == ["accepted", "dead", "dead", "dead", "accepted"]
    assert "the database takes it not" in outcomes[1].reason
    assert bench.receipted(device) == [(1, 1), (3, 3)]
    assert [(name, times) for name, _, times in bench.store.dead_letters()] == [("", 1), (device, 2)]
    assert [outcome.status for outcome in bench.intake.take([bad, good[0]])] == ["dead", "duplicate"]


def test_what_a_stranger_sends_writes_no_line_of_its_own_into_the_log(bench: Bench) -> None:
    device = bench.new_device()
    lie = bench.seal(device, 1, {"kind": "x\naccepted car-9 1/1 collision\x1b[A", "t_ns": 1})
    outcome: Outcome = bench.intake.take([lie])[0]
    assert outcome.status == "dead"
    assert outcome.reason.isprintable()
    assert len(outcome.reason) <= 300
