"""After an erasure the whole image of the file system is searched, free blocks and all: what was there is not found."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.vault import read_vault
from agent.privacy.door import Erase
from tests.scenario.consent_car import car

SECRET = b"the cells of this very car, as they were learnt: "
SIZE_BYTES = 40 << 20  # the store's reserve is 16 MB of it


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An ext4 image, and where it is mounted."""
    if os.geteuid() != 0 or shutil.which("mke2fs") is None:
        pytest.skip("needs root and mke2fs")
    path, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with path.open("wb") as file:
        file.truncate(SIZE_BYTES)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(path)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(path), str(folder)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine mounts no image")
    try:
        yield path, folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)


def search(path: Path, folder: Path, needles: list[bytes]) -> list[int]:
    """Numbers of the needles that the image holds, once the file system is no longer mounted."""
    subprocess.run(["umount", str(folder)], check=True)
    content = path.read_bytes()
    return [number for number, needle in enumerate(needles) if needle in content]


async def test_nothing_of_it_is_on_the_disk(image: tuple[Path, Path]) -> None:
    path, folder = image
    needles: list[bytes] = []
    async with car(folder, "service", "diagnostics") as one:
        for number in range(6):
            one.pack.save(SECRET + bytes([number]) * 4000)
            await one.drive(3)
        one.pack.save(SECRET * 100)
        vault = read_vault(one.directory)
        assert vault is not None
        needles += [envelope[-48:] for envelope in one.waiting()[::8]]
        needles += [SECRET, vault.keys[-1].secret]
        assert len(needles) > 10
        one.leave(Erase())
        await one.clock.advance(1.0)
        await one.drive(3)
        fresh = read_vault(one.directory)
        assert fresh is not None
        assert len(fresh.keys) == 1
    assert search(path, folder, needles) == []


async def test_the_search_would_find_what_lies_there(image: tuple[Path, Path]) -> None:
    """The key before it is destroyed, and what was written beside the vault: so finding nothing says something."""
    path, folder = image
    async with car(folder, "service") as one:
        await one.drive(1)
        (one.directory / "beside").write_bytes(SECRET)
        os.sync()  # else it never reaches the image
        vault = read_vault(one.directory)
        assert vault is not None
        (one.directory / "beside").unlink()
    assert search(path, folder, [vault.keys[-1].secret, SECRET]) == [0, 1]
