"""The targets of `./run fuzz` accept their own seeds, and the small engine finds what it should."""

import pytest

from tests.fuzz.guided import fuzz
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_their_mutations_give_nothing_undocumented(name: str) -> None:
    target = TARGETS[name]
    report = fuzz(target, seconds=600, seed=7, executions_max=len(target.seeds) + 60)
    assert report.finding is None
    assert report.executions > len(target.seeds)
    assert report.covered > 20


def test_the_engine_finds_a_bug_behind_a_seed_and_says_where() -> None:
    def run(data: bytes) -> None:
        if data[:2] == b"ab" and len(data) > 2 and data[2] == 0xFF:
            raise ZeroDivisionError("planted")

    report = fuzz(Target("planted", run, [b"abc"]), seconds=600, seed=1, executions_max=50_000)
    assert report.finding is not None
    assert report.finding.startswith("ZeroDivisionError: planted on 6162ff")


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (fuzz(TARGETS["uds"], seconds=600, seed=3, executions_max=300) for _ in range(2))
    assert (first.executions, first.covered) == (second.executions, second.covered)
