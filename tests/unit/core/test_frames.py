import numpy as np
import pytest

from agent.core.backoff import backoff_waits
from agent.core.frames import EXTENDED, Frame, batch_of, concatenate, empty_batch


def test_columns_hold_the_frames_in_order() -> None:
    batch = batch_of([Frame(5, 0x7E8, b"\x01\x02"), Frame(6, 0x18DAF110, bytes(range(64)), flags=EXTENDED)])
    assert batch.length.tolist() == [2, 64]
    assert batch.data[0].tolist() == [1, 2] + [0] * 62
    assert batch.data[1].tolist() == list(range(64))
    assert batch.keys().tolist() == [0x7E8, 0x98DAF110]


def test_too_long_payload_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        batch_of([Frame(0, 1, bytes(65))])


def test_slices_and_concatenation_lose_nothing() -> None:
    batch = batch_of([Frame(n, n, bytes([n])) for n in range(7)])
    again = concatenate([batch[:3], batch[3:]])
    assert np.array_equal(again.t_ns, batch.t_ns)
    assert np.array_equal(again.data, batch.data)
    assert len(concatenate([])) == len(empty_batch()) == 0


def test_waits_double_up_to_their_limit_and_never_vanish() -> None:
    longest = backoff_waits(lambda: 1.0, first_s=1.0, longest_s=5.0)
    assert [next(longest) for _ in range(5)] == pytest.approx([1, 2, 4, 5, 5])
    shortest = backoff_waits(lambda: 0.0, first_s=1.0, longest_s=5.0)
    assert [next(shortest) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.4])
