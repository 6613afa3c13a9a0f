"""The short version of `./run torture crash`."""

from pathlib import Path

import pytest

from tests.torture.crash import run_trial

KILLS = 24


@pytest.mark.parametrize("seed", range(KILLS))
def test_what_was_promised_of_a_crash_is_there_after_a_kill(tmp_path: Path, seed: int) -> None:
    result = run_trial(seed, tmp_path)
    assert (result.lost, result.problems) == (0, [])
    assert result.promised >= 3  # trigger, notice, table
