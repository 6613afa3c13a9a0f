import stat
import threading
from pathlib import Path

import pytest

from agent.core.errors import SealError
from agent.core.vault import (
    FILES,
    KEYS_MAX,
    OVERHEAD,
    Vault,
    add_key,
    open_vault,
    read_vault,
    read_wrapped,
    shred_old_keys,
    wrap_anew,
)
from drivers.state_file import FileConsentStore


def test_what_is_wrapped_is_unwrapped_where_it_belongs_only(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    blob = vault.wrap(b"a place", bound=b"row 1")
    assert len(blob) == len(b"a place") + OVERHEAD
    assert b"place" not in blob
    assert blob != vault.wrap(b"a place", bound=b"row 1")
    assert open_vault(tmp_path).unwrap(blob, bound=b"row 1") == b"a place"
    for wrong in (blob[:-1], blob[:-1] + bytes([blob[-1] ^ 1]), blob[:20]):
        with pytest.raises(SealError):
            vault.unwrap(wrong, bound=b"row 1")
    with pytest.raises(SealError):
        vault.unwrap(blob, bound=b"row 2")
    assert vault.unwrap(b"\x87 of older software", bound=b"") == b"\x87 of older software"


def test_a_shredded_key_is_nowhere_and_opens_nothing(tmp_path: Path) -> None:
    old = open_vault(tmp_path)
    blob = old.wrap(b"x", bound=b"")
    both = add_key(tmp_path)
    assert both.unwrap(blob, bound=b"") == b"x"
    assert not both.is_current(blob)
    fresh = both.wrap(b"y", bound=b"")
    files = [(tmp_path / name) for name in FILES]
    inodes = [path.stat().st_ino for path in files]
    alone = shred_old_keys(tmp_path)
    with pytest.raises(SealError, match="gone"):
        alone.unwrap(blob, bound=b"")
    assert alone.unwrap(fresh, bound=b"") == b"y"
    assert [path.stat().st_ino for path in files] == inodes, "overwritten where it lay"
    assert all(old.keys[0].secret not in path.read_bytes() for path in files)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


@pytest.mark.parametrize("damage", [b"", b"OVK1", b"\0" * 128, None])
@pytest.mark.parametrize("which", [0, 1])
def test_either_file_alone_keeps_the_keys(tmp_path: Path, which: int, damage: bytes | None) -> None:
    keys = open_vault(tmp_path).keys
    path = tmp_path / FILES[which]
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert open_vault(tmp_path).keys == keys
    assert path.read_bytes() == (tmp_path / FILES[1 - which]).read_bytes()


def test_power_cut_between_the_two_files_loses_no_key(tmp_path: Path) -> None:
    open_vault(tmp_path)
    before = (tmp_path / FILES[1]).read_bytes()
    added = add_key(tmp_path)
    (tmp_path / FILES[1]).write_bytes(before)
    assert open_vault(tmp_path).keys == added.keys
    alone = shred_old_keys(tmp_path)
    assert open_vault(tmp_path).keys == alone.keys == added.keys[-1:]


def test_keys_do_not_pile_up(tmp_path: Path) -> None:
    assert read_vault(tmp_path) is None
    for _ in range(10):
        vault = add_key(tmp_path)
    assert len(vault.keys) == KEYS_MAX


def test_every_file_under_a_key_is_written_anew_and_no_other(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    blob = vault.wrap(b"pairing", bound=b"page.state")
    (tmp_path / "page.state").write_bytes(blob)
    (tmp_path / "moved.state").write_bytes(blob)  # under another name it cannot be read
    (tmp_path / "old.state.aside").write_bytes(blob)  # a power cut left it
    (tmp_path / "boot").write_bytes(b"7")
    (tmp_path / "config").mkdir()
    add_key(tmp_path)
    list(wrap_anew(tmp_path))
    shred_old_keys(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"page.state", "moved.state", "boot", "config", *FILES}
    assert read_wrapped(tmp_path / "page.state", 100) == b"pairing"
    assert (tmp_path / "boot").read_bytes() == b"7"


def test_what_is_saved_while_files_are_written_anew_is_neither_undone_nor_lost_with_the_key(tmp_path: Path) -> None:
    store = FileConsentStore(tmp_path)
    store.save(b"0")
    saved = 0
    ended = threading.Event()

    def erase() -> None:
        try:
            for _ in range(20):
                add_key(tmp_path)
                list(wrap_anew(tmp_path))
                shred_old_keys(tmp_path)
        finally:
            ended.set()

    erasing = threading.Thread(target=erase)
    erasing.start()
    while not ended.is_set():
        saved += 1
        store.save(str(saved).encode())
        assert store.load() == str(saved).encode()
    erasing.join()
    assert store.load() == str(saved).encode()


def test_what_is_written_anew_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileConsentStore(tmp_path)
    store.save(b"agreed")

    def erased_before_the_keys_are_read(directory: Path) -> Vault | None:
        monkeypatch.undo()
        add_key(directory)
        list(wrap_anew(directory))
        shred_old_keys(directory)
        return read_vault(directory)

    monkeypatch.setattr("agent.core.vault.read_vault", erased_before_the_keys_are_read)
    assert store.load() == b"agreed"
