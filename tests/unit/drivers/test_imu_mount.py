from pathlib import Path

import numpy as np
import pytest

from agent.core.vault import FILES, OVERHEAD
from drivers.imu_mount import FileMountStore, FixedMount


def test_what_was_saved_is_loaded_and_the_newest_wins(tmp_path: Path) -> None:
    store = FileMountStore(tmp_path)
    assert store.load() == b""
    store.save(b"old")
    store.save(b"new")
    assert FileMountStore(tmp_path).load() == b"new"
    assert {path.name for path in tmp_path.iterdir()} == {"mounting.json", *FILES}


def test_a_folder_that_refuses_is_no_error(tmp_path: Path) -> None:
    store = FileMountStore(tmp_path / "none")
    store.save(b"state")
    assert store.load() == b""
    (tmp_path / "mounting.json").mkdir()
    assert FileMountStore(tmp_path).load() == b""


def test_a_file_that_grew_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "mounting.json").write_bytes(bytes(1_000_000))
    assert len(FileMountStore(tmp_path).load()) == 65_536 + OVERHEAD


def test_a_told_mounting_turns_and_an_untold_one_says_that_it_knows_nothing() -> None:
    rows, t_ns = np.array([[1.0, 2.0, 3.0]]), np.zeros(1, np.int64)
    told = FixedMount([(0, 1, 0), (-1, 0, 0), (0, 0, 1)])
    assert told.accelerations(t_ns, rows).tolist() == [[2, -1, 3]]
    assert told.rotations(t_ns, rows).tolist() == [[2, -1, 3]]
    assert told.heading_error_deg < 10
    untold = FixedMount()
    assert untold.accelerations(t_ns, rows).tolist() == [[1, 2, 3]]
    assert untold.heading_error_deg == pytest.approx(180)
