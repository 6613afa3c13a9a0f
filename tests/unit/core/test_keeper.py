import logging

import msgspec
import pytest

from agent.core.errors import StoreError
from agent.core.keeper import Keeper
from tests.held_state import HeldState

S = 10**9


class Damaged(HeldState):
    def load(self) -> bytes:
        raise StoreError("scenes.state: it was altered where it lies")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_disk_that_refuses_is_told_once_an_outage_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    store, wish = HeldState(refuses=True), [b"one"]
    keeper = Keeper(store, "wishes", lambda: wish[0])
    for _ in range(2):
        keeper.save()
        keeper.look(60 * S)
    assert lines(caplog) == ["wishes: not kept yet, tried again: full"]
    store.refuses = False
    keeper.look(119 * S)
    assert store.state == b"", "a minute has not passed"
    keeper.look(120 * S)
    assert store.state == b"one"
    store.refuses = True
    wish[0] = b"two"
    keeper.save()
    assert lines(caplog) == ["wishes: not kept yet, tried again: full"] * 2, "another outage"
    store.refuses = False
    wish[0] = b"three"
    keeper.save()
    assert store.state == b"three"


def test_what_is_kept_already_is_not_written_again() -> None:
    store = HeldState()
    keeper = Keeper(store, "wishes", lambda: b"one")
    for t_ns in range(0, 600 * S, 60 * S):
        keeper.save()
        keeper.look(t_ns)
    assert store.saves == 1
    Keeper(None, "wishes", lambda: b"one").save()


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (Damaged(), "scenes.state: it was altered where it lies"),
        (HeldState(b'"'), "Input data was truncated"),
        (HeldState(b'"\xff"'), "'utf-8' codec can't decode"),
        (HeldState(b'["a"]'), "Expected `str`, got `array`"),
    ],
)
def test_damage_is_one_clear_line(caplog: pytest.LogCaptureFixture, store: HeldState, reason: str) -> None:
    with caplog.at_level(logging.WARNING):
        assert Keeper(store, "wishes", bytes).load(lambda data: msgspec.json.decode(data, type=str)) is None
    (line,) = lines(caplog)
    assert line.startswith(f"wishes: cannot be read, begun anew: {reason}")
    assert "\n" not in line


def test_what_was_kept_is_found_again_and_nothing_is_no_damage(caplog: pytest.LogCaptureFixture) -> None:
    assert Keeper(HeldState(b"7"), "wishes", bytes).load(msgspec.json.decode) == 7
    for nothing in (HeldState(), None):
        assert Keeper(nothing, "wishes", bytes).load(msgspec.json.decode) is None
    assert lines(caplog) == []
