from pathlib import Path

import pytest

from agent.core.desk_state import DeskBook, load_book, protecting_rest, save_book
from agent.core.errors import StoreError
from agent.core.page_code import code_path
from agent.core.vault import FILES, add_key, shred_old_keys, wrap_anew
from drivers.hardware import _open_stores
from drivers.imu_mount import FileMountStore
from drivers.state_file import FileBusStore, FileConsentStore, FileDeskStore, FilePackStore, FileSceneStore, StateFile
from drivers.vehicle_cache import FileVehicleCache


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - set(FILES)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_packs_state_is_found_again_and_no_more_than_it_may_be_is_read(tmp_path: Path) -> None:
    FilePackStore(tmp_path).save(b"cells")
    assert FilePackStore(tmp_path).load() == b"cells"
    assert names(tmp_path) == {"pack.state"}
    assert b"cells" not in (tmp_path / "pack.state").read_bytes()
    assert StateFile(tmp_path / "pack.state", 3).load() == b""
    FilePackStore(tmp_path / "none").save(b"lost")
    assert FilePackStore(tmp_path / "none").load() == b""


def test_a_buss_state_lies_beside_it(tmp_path: Path) -> None:
    FileBusStore(tmp_path).save(b"habits")
    assert FileBusStore(tmp_path).load() == b"habits"
    assert names(tmp_path) == {"bus.state"}


def test_a_state_of_older_software_is_read_and_one_of_a_lost_key_is_not(tmp_path: Path) -> None:
    (tmp_path / "pack.state").write_bytes(b'{"in":"clear"}')
    store = FilePackStore(tmp_path)
    assert store.load() == b'{"in":"clear"}'
    store.save(b"new")
    for name in FILES:
        (tmp_path / name).unlink()
    assert store.load() == b""


def test_what_is_forgotten_is_not_written_again(tmp_path: Path) -> None:
    store = FilePackStore(tmp_path)
    store.forget()  # there is nothing yet
    store = FilePackStore(tmp_path)
    store.save(b"cells")
    store.forget()
    store.save(b"cells")  # by who still knows it
    assert (names(tmp_path), store.load()) == (set(), b"")


def test_damage_is_told_by_its_file_and_nothing_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FilePackStore(tmp_path)
    assert store.load() == b""
    assert not caplog.records
    store.save(b"cells")
    damage(tmp_path / "pack.state")
    assert store.load() == b""
    (record,) = caplog.records
    assert record.getMessage().endswith("pack.state cannot be read, and is learnt anew: it was altered where it lies")


@pytest.mark.parametrize("kind", [FileSceneStore, FileDeskStore])
def test_what_the_driver_wants_is_not_lost_without_a_word(
    tmp_path: Path, kind: type[FileSceneStore | FileDeskStore]
) -> None:
    with pytest.raises(StoreError, match="Not a directory"):
        kind(Path("/dev/full/x")).save(b"asked no more")
    store = kind(tmp_path / "new")
    assert store.load() == b""
    store.save(b"asked no more")
    assert kind(tmp_path / "new").load() == b"asked no more"
    (path,) = (tmp_path / "new").glob("*.state")
    damage(path)
    with pytest.raises(StoreError, match=rf"{path.name}: it was altered where it lies"):
        store.load()
    store.forget()
    assert names(tmp_path / "new") == set(), "damage keeps nothing from being erased"


def test_what_is_written_anew_outlives_the_key_before(tmp_path: Path) -> None:
    store = FileConsentStore(tmp_path)
    store.save(b"chosen")
    before = (tmp_path / "consent.state").read_bytes()
    add_key(tmp_path)
    list(wrap_anew(tmp_path))
    shred_old_keys(tmp_path)
    assert store.load() == b"chosen"
    assert names(tmp_path) == {"consent.state"}
    (tmp_path / "consent.state").write_bytes(before)
    with pytest.raises(StoreError, match="the key that it lies under is gone"):
        store.load()


def test_no_two_files_of_the_directory_are_first_written_under_one_name(tmp_path: Path) -> None:
    mounting, vehicles = FileMountStore(tmp_path), FileVehicleCache(tmp_path)
    kept = _open_stores(tmp_path, mounting, vehicles).values()
    stores = [mounting, vehicles.file, *(value for value in kept if isinstance(value, StateFile))]
    fresh = [store._path.with_suffix(".new") for store in stores]
    fresh.append(code_path(str(tmp_path)).with_suffix(".new"))
    assert len(fresh) == len(set(fresh)) > 7


def test_what_protects_the_driver_outlives_an_erasure_and_nothing_else(tmp_path: Path) -> None:
    """Else a message could be told again, and he would be asked what he wants to be asked no more."""
    book = DeskBook(seen={"ab": 5}, floor_ns=3, channel="call", points=7)
    desk, scenes = FileDeskStore(tmp_path), FileSceneStore(tmp_path)
    desk.save(save_book(book))
    scenes.save(b'{"silenced":["charge_slow"],"put":{"charge_slow":1.0}}')
    before = [(tmp_path / name).read_bytes() for name in ("desk.state", "scenes.state")]
    for _ in range(2):
        desk.forget()
        scenes.forget()
        assert load_book(desk.load()) == DeskBook(seen={"ab": 5}, floor_ns=3, channel="call")
        assert scenes.load() == b'{"silenced":["charge_slow"]}'
        assert names(tmp_path) == {"desk.state", "scenes.state"}
    assert [(tmp_path / name).read_bytes() for name in ("desk.state", "scenes.state")] != before
    book.seen["cd"] = 6
    desk.save(save_book(book))  # by who still knows all of it, and has heard more
    scenes.save(b'{"silenced":[],"put":{"charge_slow":1.0}}')
    assert load_book(desk.load()) == DeskBook(seen={"ab": 5, "cd": 6}, floor_ns=3, channel="call")


@pytest.mark.parametrize("state", [b"", b"no state", save_book(DeskBook(points=7))])
def test_where_nothing_protects_the_driver_nothing_is_left(tmp_path: Path, state: bytes) -> None:
    assert protecting_rest(state) == b""
    for store in (FileDeskStore(tmp_path), FileSceneStore(tmp_path)):
        store.save(state)
        store.forget()
    assert names(tmp_path) == set()


def test_an_erasure_of_everything_takes_the_wish_to_be_asked_no_more(tmp_path: Path) -> None:
    """It would bind the car's next owner; that no message is told twice protects him too."""
    desk, scenes = FileDeskStore(tmp_path), FileSceneStore(tmp_path)
    desk.save(save_book(DeskBook(seen={"ab": 5}, points=7)))
    scenes.save(b'{"silenced":["coach"]}')
    for store in (desk, scenes):
        store.forget(everything=True)
    assert load_book(desk.load()) == DeskBook(seen={"ab": 5})
    assert names(tmp_path) == {"desk.state"}
    scenes.save(b'{"silenced":["low_tyre"],"put":{"low_tyre":1.0}}')  # by the next one
    assert scenes.load() == b'{"silenced":["low_tyre"]}'


def test_a_wish_that_was_taken_back_after_an_erasure_is_not_there_at_the_next_start(tmp_path: Path) -> None:
    scenes = FileSceneStore(tmp_path)
    scenes.save(b'{"silenced":["coach"]}')
    scenes.forget()
    scenes.save(b'{"silenced":[]}')
    assert names(tmp_path) == set()
