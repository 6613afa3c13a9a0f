"""A backlog of a million must cost no more than one of a hundred: every statement finds its rows by their key."""

from pathlib import Path

import pytest

from agent.core.events import Priority
from agent.core.records import Position, Range
from agent.store.database import Database
from agent.store.files import TABLES
from tests.unit.store.kit import make_chain


@pytest.mark.parametrize("what", ["head", "behind", "behind bulk", "receipt", "lookup"])
def test_no_statement_reads_a_whole_table_of_records(tmp_path: Path, what: str) -> None:
    database = Database(tmp_path, device="car-1", size_max_bytes=10**9, now_ns=lambda: 0)
    records = make_chain(100, priorities=tuple(Priority))
    records += make_chain(20, first=101, after=records[-1].digest, priorities=(Priority.CRASH,), bulk=True)
    database.append(records, may_use_reserve=False)
    said: list[str] = []
    database._db.set_trace_callback(said.append)
    if what == "head":
        assert len(database.peek((-1, Position(0, 0)), 60)) == 60
    elif what == "behind":
        assert len(database.peek((3, Position(1, 3)), 60)) == 49
    elif what == "behind bulk":
        assert len(database.peek((2, Position(1, 101)), 100)) == 19 + 50
    elif what == "receipt":
        assert database.forget([Range(1, 1, 40, records[39].digest)]) == (40, 0)
    else:
        assert database.table_of(Position(1, 4)) == len(TABLES) - 1
    database._db.set_trace_callback(None)
    asked = [statement for statement in said if statement.startswith(("SELECT", "DELETE")) and "_records" in statement]
    plans = [row[3] for statement in asked for row in database._db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    database.close()
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]
