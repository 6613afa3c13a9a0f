"""However records come, an hour carries no more of what can wait than its budget."""

from hypothesis import given
from hypothesis import strategies as st

from agent.link.budget import Budget

_KB = 100
_BURST = _KB * 100


@given(st.lists(st.tuples(st.integers(1, _BURST), st.floats(0, 300), st.booleans()), max_size=200))
def test_no_hour_carries_more_than_the_budget(records: list[tuple[int, float, bool]]) -> None:
    """Each record has a size, a pause before it, and may be urgent: then it goes at once."""
    budget, now_s = Budget(_KB), 0.0
    went: list[tuple[float, int]] = []
    for size, pause_s, urgent in records:
        now_s += pause_s
        if not urgent:
            now_s += budget.wait_s(size, now_s)
            assert budget.wait_s(size, now_s) == 0
            went.append((now_s, size))
        budget.spend(size, now_s)
    for start_s, _ in went:
        assert sum(size for at_s, size in went if start_s <= at_s < start_s + 3600) <= _KB * 1000 + 1
    assert budget.spent_bytes == sum(size for size, _, _ in records)


@given(st.integers(1, 10**6), st.floats(0, 1e6))
def test_no_budget_is_no_limit(size: int, now_s: float) -> None:
    budget = Budget(0)
    budget.spend(size, now_s)
    assert budget.wait_s(size, now_s) == 0


@given(st.integers(1, 10 * _BURST))
def test_what_is_urgent_leaves_a_debt_that_the_others_pay(size: int) -> None:
    budget = Budget(_KB)
    budget.spend(_BURST + size, 0.0)
    assert budget.wait_s(1, 0.0) > 3600 * size / (_KB * 1000)


def test_a_record_larger_than_the_burst_goes_when_the_bucket_is_full() -> None:
    budget = Budget(1)
    assert budget.wait_s(5000, 0.0) == 0
    budget.spend(5000, 0.0)
    assert budget.wait_s(5000, 0.0) > 3600 * 4
