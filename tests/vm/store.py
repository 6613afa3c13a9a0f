"""A check of the store on a file system that is really full."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .box import DEVICE, INSURER, KEYS, SCRATCH, expect, open_records, packaged, run

_SIZE_MIB = 48


def full_disk_loses_no_crash(_: Path) -> str:
    """On a small ext4: every crash record is there, and each record that is not was reported as let go."""
    with _small_disk() as disk:
        store = str(disk / "store")
        keys = str(KEYS / "device.pem"), str(INSURER / "insurer_encryption.pub.pem")
        said = run(*packaged(str(Path(__file__).with_name("fulldisk.py")), store, DEVICE, *keys))
        counts = json.loads(said.splitlines()[-1])
        found = open_records(store)
    expect(true=counts["refused"] and counts["dropped"] == 0, otherwise=f"the disk was not full: {said}")
    crashes = sorted(event["t_ns"] for _, _, kind, event in found if kind == "collision")
    expect(true=crashes == list(range(counts["crashes"])), otherwise=f"crash records {crashes}: {said}")
    expect(true=counts["crashes_while_full"] == counts["crashes"], otherwise=f"some had to wait: {counts}")
    expect(true=counts["shed"] == counts["shed_telemetry"] > 0, otherwise=f"not the lowest went: {counts}")
    missing = counts["sealed"] - len(found)
    told = [event for _, _, kind, event in found if kind == "records_shed"]
    reported = sum(event["records"] for event in told)
    expect(true=missing == counts["shed"], otherwise=f"{missing} are missing: {counts}")
    # The last report, at the end, may itself push out a record of which there is nobody left to tell.
    expect(true=0 <= missing - reported <= 1, otherwise=f"{missing} are missing, {reported} reported: {told}")
    return (
        f"{counts['crashes']} of {counts['crashes']} crash records there, the last {counts['late_crashes']} "
        f"written when others had left no byte; {missing} of {counts['sealed']} records let go, all telemetry, "
        f"{reported} reported"
    )


@contextmanager
def _small_disk() -> Iterator[Path]:
    image, disk = SCRATCH / "disk.img", SCRATCH / "disk"
    with image.open("wb") as file:
        file.truncate(_SIZE_MIB << 20)
    run("mkfs.ext4", "-q", "-m", "0", str(image))
    disk.mkdir()
    run("mount", "-o", "loop", str(image), str(disk))
    try:
        yield disk
    finally:
        run("umount", str(disk))
