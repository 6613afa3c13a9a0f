from pathlib import Path

from drivers.state_file import FileBusStore, FilePackStore, StateFile


def test_a_packs_state_is_found_again_and_no_more_than_it_may_be_is_read(tmp_path: Path) -> None:
    FilePackStore(tmp_path).save(b"cells")
    assert FilePackStore(tmp_path).load() == b"cells"
    assert [path.name for path in tmp_path.iterdir()] == ["pack.state"]
    assert StateFile(tmp_path / "pack.state", 3).load() == b"cel"
    FilePackStore(tmp_path / "none").save(b"lost")
    assert FilePackStore(tmp_path / "none").load() == b""


def test_a_buss_state_lies_beside_it(tmp_path: Path) -> None:
    FileBusStore(tmp_path).save(b"habits")
    assert FileBusStore(tmp_path).load() == b"habits"
    assert [path.name for path in tmp_path.iterdir()] == ["bus.state"]
