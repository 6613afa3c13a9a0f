"""The short version of `./run torture store`."""

from pathlib import Path

import pytest

pytest.importorskip("apsw", reason="the disk that lies is an SQLite VFS of apsw")

from tests.torture.trial import KINDS, Kind, run_trial

TRIALS = 17  # of each kind: a hundred and two together


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_committed_is_lost_and_nothing_invented(tmp_path: Path, kind: Kind) -> None:
    committed = 0
    for seed in range(TRIALS):
        directory = tmp_path / str(seed)
        directory.mkdir()
        result = run_trial(kind, seed, directory)
        assert (result.lost, result.invented, result.problems) == (0, 0, []), f"seed {seed}"
        committed += result.committed
    assert committed > TRIALS


def test_without_syncs_the_bad_disk_does_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instrument shows something."""
    monkeypatch.setattr("tests.torture.disk.SYNCHRONOUS", "NORMAL")
    lost = 0
    for seed in range(8):
        directory = tmp_path / str(seed)
        directory.mkdir()
        lost += run_trial("reordered", seed, directory).lost
    assert lost > 0
