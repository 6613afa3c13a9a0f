import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.erasure import Selection
from agent.core.errors import StoreError
from agent.core.events import Priority
from agent.core.records import SealedRecord
from agent.core.vault import read_vault
from agent.store import anew, erase
from agent.store.erase import Run
from agent.store.files import TABLES, bound_of
from agent.store.outbox import Outbox
from tests.unit.store.kit import make_chain

PURPOSES = ("claims", "service", "rights", "safety service")
EVERY = (Priority.CRASH, Priority.TELEMETRY, Priority.SERVICE, Priority.SAFETY)


def chain(count: int) -> list[SealedRecord]:
    """Records of all tables whose purposes go round, one a second."""
    made = make_chain(count, priorities=EVERY, size=300)
    return [
        replace(record, purposes=PURPOSES[at % 4], wall_ns=at * 10**9 if at % 8 else None)
        for at, record in enumerate(made)
    ]


async def opened(folder: Path, records: Sequence[SealedRecord] = ()) -> Outbox:
    outbox = await Outbox.open(folder, device="car-1", size_max_bytes=10**9)
    if records:
        await outbox.append(list(records), critical=False)
    return outbox


async def left(outbox: Outbox) -> list[SealedRecord]:
    return sorted(await outbox.peek(None, 10_000), key=lambda record: record.position)


async def erased(outbox: Outbox, selection: Selection) -> list[Run]:
    """What went."""
    return [run async for runs in outbox.erase(selection) for run in runs]


def databases(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("outbox*.db")]


def stored(folder: Path) -> Iterator[bytes]:
    """All bytes of all files."""
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "reserve")


async def test_what_waits_says_of_which_purposes_it_is(tmp_path: Path) -> None:
    outbox = await opened(tmp_path, chain(8))
    assert [record.purposes for record in await left(outbox)] == list(PURPOSES) * 2
    await outbox.close()


@pytest.mark.parametrize(
    ("selection", "stays"),
    [
        (Selection(frozenset({"service"})), lambda at: at % 4 in {0, 2}),
        (Selection(frozenset({"claims"})), lambda at: at % 4 != 0),
        (Selection(), lambda at: at % 4 == 2),
        (Selection(None, 10 * 10**9, 20 * 10**9), lambda at: at % 4 == 2 or not (at % 8 == 0 or 10 <= at < 20)),
        (Selection(frozenset({"feedback"})), lambda _: True),
    ],
)
@pytest.mark.parametrize("slice_rows", [1, 3, 64])
async def test_what_is_selected_goes_and_nothing_else(
    tmp_path: Path, selection: Selection, stays: object, slice_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "SLICE_ROWS", slice_rows)
    records = chain(40)
    outbox = await opened(tmp_path, records)
    runs = await erased(outbox, selection)
    kept = [record for at, record in enumerate(records) if stays(at)]  # type: ignore[operator]  # a lambda each
    assert await left(outbox) == kept
    assert await outbox.pending() == len(kept)
    assert sum(run.records for run in runs) == 40 - len(kept)
    gone = {record.position: record.digest for record in records if record not in kept}
    for run in runs:
        assert run.records == run.last.sequence - run.first.sequence + 1
        assert run.digest == gone[run.last]
    await outbox.append(make_chain(1, first=41, after=records[-1].digest), critical=False)
    await outbox.close()


async def test_no_byte_of_it_is_left_in_any_file(tmp_path: Path) -> None:
    """Nor of what a receipt had deleted before, which lies in free pages."""
    records = chain(400)
    outbox = await opened(tmp_path, records)
    vault = read_vault(tmp_path)
    assert vault is not None
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        rows = [db.execute(f"SELECT place, payload FROM {table.name}").fetchall() for table in TABLES]  # noqa: S608  # constants
    at_rest = {place: payload for table in rows for place, payload in table}
    assert all(payload in b"".join(stored(tmp_path)) for payload in at_rest.values())
    await erased(outbox, Selection(frozenset({"service"})))
    await outbox.write_anew()
    await outbox.shred_old_keys()
    everything = b"".join(stored(tmp_path))
    for record in records:
        assert record.payload not in everything, "never in clear"
        assert at_rest[record.boot << 32 | record.sequence] not in everything, "nothing under the old key"
    assert vault.keys[0].secret not in everything
    fresh = read_vault(tmp_path)
    assert fresh is not None
    assert len(fresh.keys) == 1
    assert len(await left(outbox)) == 200
    await outbox.close()
    outbox = await opened(tmp_path)
    assert await left(outbox) == [record for at, record in enumerate(records) if at % 4 in {0, 2}]
    assert vault.wrap(b"", bound=bound_of(1))[:5] not in everything
    await outbox.close()


@pytest.mark.parametrize("step", ["built", "moved", "renamed"])
async def test_a_power_cut_in_the_middle_is_made_good(tmp_path: Path, step: str) -> None:
    records = chain(20)
    outbox = await opened(tmp_path, records)
    await erased(outbox, Selection(frozenset({"claims"})))
    await outbox.close()
    path = tmp_path / "outbox.db"
    (tmp_path / "outbox.anew.db").write_bytes(path.read_bytes())
    if step in {"moved", "renamed"}:
        path.rename(tmp_path / "outbox.erased.db")
    if step == "renamed":
        (tmp_path / "outbox.anew.db").rename(path)
    (tmp_path / "outbox.corrupt-1.db").write_bytes(b"of older times")
    outbox = await opened(tmp_path)
    assert await left(outbox) == [record for at, record in enumerate(records) if at % 4]
    await outbox.close()
    assert databases(tmp_path) == ["outbox.db"]


async def test_a_disk_that_refuses_changes_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = chain(20)
    outbox = await opened(tmp_path, records)
    with monkeypatch.context() as full:
        full.setattr(anew, "wrap_row", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StoreError, match="No space left"):
            await outbox.write_anew()
    assert await left(outbox) == records
    await outbox.write_anew()
    await outbox.shred_old_keys()
    assert await left(outbox) == records
    await outbox.close()


async def test_rows_of_older_software_go_with_what_they_may_be(tmp_path: Path) -> None:
    records = [replace(record, purposes="") for record in chain(20)]
    outbox = await opened(tmp_path, records)
    await erased(outbox, Selection(frozenset({"claims"})))
    assert {record.priority for record in await left(outbox)} == set(EVERY) - {Priority.CRASH}
    await erased(outbox, Selection(frozenset({"feedback"})))
    assert await left(outbox) == []
    await outbox.close()
