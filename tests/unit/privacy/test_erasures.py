import pytest

from agent.core.best_time import Now
from agent.core.erasure import ErasureReceipt, Selection
from agent.core.errors import StoreError
from agent.privacy.erasures import DEADLINE_NS, Erasures
from tests.held_state import HeldState

NOW = Now(floor_ns=0, wall_ns=1_790_000_000 * 10**9)
LATER = Now(floor_ns=0, wall_ns=1_790_000_000 * 10**9 + DEADLINE_NS)
SERVICE = Selection(frozenset({"service"}), None, 5)


def test_a_request_is_kept_until_it_is_done_and_signed_for() -> None:
    memory = HeldState()
    Erasures(memory).add(SERVICE, request="r1", boot=4, by="page", now=NOW)
    erasures = Erasures(memory)
    (undone,) = erasures.undone()
    assert undone.selection == SERVICE
    event = undone.event(7)
    assert (event.request, event.of_purposes, event.until_ns, event.t_ns) == ("r1", ["service"], 5, 7)
    assert event.deadline_ns == LATER.wall_ns
    erasures.finish("r1", 12)
    assert erasures.undone() == []
    assert erasures.overdue(NOW) == []
    assert [each.request for each in erasures.overdue(LATER)] == ["r1"]
    assert erasures.take(ErasureReceipt("other", 1, 2), b"blob") is None
    signed = erasures.take(ErasureReceipt("r1", 30, 2), b"blob")
    assert signed is not None
    (kept,) = Erasures(memory).all()
    assert kept == signed
    assert (kept.receipt, kept.receipt_ns, kept.records_here, kept.records_there) == (b"blob", 2, 12, 30)
    assert erasures.overdue(LATER) == []


def test_without_a_clock_there_is_no_deadline() -> None:
    erasures = Erasures(None)
    erasures.add(Selection(), request="r1", boot=4, by="command", now=Now(floor_ns=0))
    assert erasures.all()[0].deadline_ns is None
    assert erasures.all()[0].selection == Selection()
    assert erasures.overdue(LATER) == []


def test_what_cannot_be_kept_is_not_begun() -> None:
    memory = HeldState()
    memory.refuses = True
    erasures = Erasures(memory)
    with pytest.raises(StoreError):
        erasures.add(SERVICE, request="r1", boot=4, by="page", now=NOW)
    assert erasures.all() == ()


def test_of_too_many_those_that_are_signed_for_go_first() -> None:
    memory = HeldState()
    erasures = Erasures(memory)
    for number in range(101):
        erasures.add(SERVICE, request=f"r{number}", boot=4, by="page", now=NOW)
        erasures.finish(f"r{number}", 0)
        if number == 50:
            erasures.take(ErasureReceipt("r50", 0, 0), b"blob")
    names = [each.request for each in Erasures(memory).all()]
    assert len(names) == 100
    assert "r50" not in names
    memory.state = b"damaged"
    assert Erasures(memory).all() == ()


def test_one_that_is_still_to_be_done_is_never_let_go() -> None:
    erasures = Erasures(HeldState())
    for number in range(100):
        erasures.add(SERVICE, request=f"r{number}", boot=4, by="page", now=NOW)
    with pytest.raises(StoreError, match="100 erasures are still to be done"):
        erasures.add(SERVICE, request="r100", boot=4, by="page", now=NOW)
    erasures.finish("r0", 1)
    erasures.finish("r7", 1)
    erasures.add(SERVICE, request="r101", boot=4, by="page", now=NOW)
    assert "r0" not in [each.request for each in erasures.all()]
    assert len(erasures.undone()) == 99
