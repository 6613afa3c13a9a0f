"""What the receiver's views say of chain and restore, beside the same said in plain Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.events import AgentStopped, Priority
from agent.core.records import GENESIS, Header, Told
from fleet.receiver.database import open_store
from fleet.receiver.store import Row, Store
from simulators.postgres import Postgres, find_postgres

Chain = Literal["verified", "waiting", "broken"]
_NAMES: Final = count()


@dataclass(frozen=True)
class Link:
    """A record as far as the chain is concerned. previous: index of the record it names; None: none, -1: an unknown."""

    boot: int
    sequence: int
    previous: int | None


@st.composite
def histories(draw: st.DrawFn) -> list[Link]:
    """A car's life: starts, records, shed ones, stores lost, backups restored. Places are unique, as in the table."""
    links: list[Link] = []
    boot, sequence, last = 1, 0, None
    taken: set[tuple[int, int]] = set()
    for what in draw(st.lists(st.sampled_from("rrrrrsbblxu"), max_size=14)):
        if what == "s":  # shed: the sequence has a gap, the chain goes over what is not there
            sequence += draw(st.integers(1, 2))
            last = -1
            continue
        if what == "b":
            boot, sequence = boot + draw(st.integers(1, 2)), 0
            continue
        if what == "l":  # store lost
            boot, sequence, last = boot + 1, 0, None
            continue
        if what == "x" and links:  # an older state restored
            last = draw(st.integers(0, len(links) - 1))
            boot, sequence = links[last].boot, links[last].sequence
            continue
        sequence += 1
        if (boot, sequence) in taken:
            continue
        taken.add((boot, sequence))
        links.append(Link(boot, sequence, -1 if what == "u" else last))
        last = len(links) - 1
    return links


def judge(index: int, links: list[Link], there: set[int]) -> Chain:
    """The rule of fleet/receiver/schema.py, as one would tell it."""
    link = links[index]
    if link.previous is None and link.sequence == 1:
        return "verified"
    if link.previous in there:
        named = links[link.previous or 0]
        follows = (named.boot, named.sequence + 1) == (link.boot, link.sequence)
        return "verified" if follows or (named.boot < link.boot and link.sequence == 1) else "broken"
    neighbour_is_another = any((links[i].boot, links[i].sequence + 1) == (link.boot, link.sequence) for i in there)
    return "broken" if neighbour_is_another else "waiting"


def count_forks(links: list[Link], there: set[int]) -> int:
    named = [_named(index, links) for index in there]
    return sum(named.count(each) * (named.count(each) - 1) // 2 for each in set(named))


def _digest(index: int) -> bytes:
    return b"d" + index.to_bytes(31)


def _named(index: int, links: list[Link]) -> bytes:
    previous = links[index].previous
    if previous is None:
        return GENESIS
    return b"?" + index.to_bytes(31) if previous == -1 else _digest(previous)


def _row(index: int, links: list[Link], device: str) -> Row:
    boot, sequence, event = links[index].boot, links[index].sequence, AgentStopped(t_ns=index, reason="x")
    header = Header(
        device=device, boot=boot, sequence=sequence, priority=Priority.TELEMETRY, previous=_named(index, links)
    )
    told = Told(v=1, agent="0", boot=boot, sequence=sequence, wall_ns=None, clock_synced=False, event=event)
    return Row(header, told, b"", _digest(index))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "postgres" and find_postgres() is None:
        pytest.skip("PostgreSQL is not installed")
    if request.param == "sqlite":
        opened = open_store(str(tmp_path_factory.mktemp("views") / "received.db"), create=True)
        yield opened
        opened.close()
        return
    with Postgres() as server:
        opened = open_store(server.create_database("views"), create=True)
        yield opened
        opened.close()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_chain_is_judged_as_one_would_tell_it_in_every_order_of_arrival(store: Store, data: st.DataObject) -> None:
    links = data.draw(histories())
    device = f"car-{next(_NAMES)}"
    order = data.draw(st.permutations(range(len(links))))
    there: set[int] = set()
    for index in order:
        store.put([_row(index, links, device)], [], received_ns=1)
        there.add(index)
        if data.draw(st.booleans()) or len(there) == len(links):
            said = {(row["boot"], row["sequence"]): row["chain"] for row in store.events(device)}
            assert said == {(links[i].boot, links[i].sequence): judge(i, links, there) for i in there}
            counts = store.counts(device)
            assert counts.received == len(there)
            assert counts.verified == sum(chain == "verified" for chain in said.values())
    restored = {row["device"]: row["restored"] for row in store.devices()}
    assert restored.get(device, 0) == count_forks(links, there)
