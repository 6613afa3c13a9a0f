"""The scorer's matching is one to one and as large as any, against brute force."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.events import Collision
from simulators.score import NS, Report, judge
from simulators.world import Truth

WINDOW_NS = 300_000_000
instants = st.lists(st.integers(0, 20).map(lambda step: 10 * NS + step * NS // 10), max_size=5)


def crash(t_ns: int) -> Report:
    event = Collision(t_ns=t_ns, delta_v_kmh=20, duration_ms=100, peak_mps2=100, stationary=False)
    return Report(event, t_ns)


def most_pairs(truths: list[int], reports: list[int]) -> int:
    fewer, more = sorted([truths, reports], key=len)
    return max(sum(abs(a - b) <= WINDOW_NS for a, b in zip(fewer, order, strict=False)) for order in permutations(more))


@settings(max_examples=150, deadline=None)
@given(truths=instants, reports=instants)
def test_as_many_pairs_as_possible_and_nothing_twice(truths: list[int], reports: list[int]) -> None:
    outcome = judge(
        "crash", "x", 60, [Truth("collision", t_ns, {}) for t_ns in truths], [crash(t_ns) for t_ns in reports]
    )
    assert len(outcome.found) == most_pairs(truths, reports)
    assert all(abs(truth.t_ns - report.event.t_ns) <= WINDOW_NS for truth, report in outcome.found)
    assert sorted([truth.t_ns for truth, _ in outcome.found] + [t.t_ns for t in outcome.missed]) == sorted(truths)
    told = [report.event.t_ns for _, report in outcome.found] + [report.event.t_ns for report in outcome.false]
    assert sorted(told) == sorted(reports)
