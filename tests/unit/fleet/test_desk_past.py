"""What a desk makes of what was there before it started, and of rows that it cannot read."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import fleet.desk.claims
import fleet.desk.store
from fleet.desk.claims import ClaimsDesk
from tests.unit.fleet.desk_kit import CRASH, FAULT, Office


def test_a_start_reads_the_past_page_by_page_in_the_order_in_which_it_came(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        office.now_ns += 10**9
        office.come(CRASH if number % 2 else FAULT, device=f"car-{number % 3}")
        office.desk.acts.close(office.store.tickets()[-1], "settled")
    at_once = [(case.number, case.kind, case.outcome, case.notes) for case in office.desk.claims.tickets]
    rows_max, run = 0, office.receiver.run_desk

    def watched(query: str, *args: object) -> list[Any]:
        nonlocal rows_max
        rows: list[Any] = run(query, *args)
        rows_max = max(rows_max, len(rows))
        return rows

    monkeypatch.setattr(office.receiver, "run_desk", watched)
    monkeypatch.setattr(fleet.desk.store, "PAGE", 2)
    office.open()
    assert rows_max == 2
    office.desk.step()
    assert [(case.number, case.kind, case.outcome, case.notes) for case in office.desk.claims.tickets] == at_once


def test_the_oldest_closed_cases_are_let_go_and_open_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.desk.claims, "_TICKETS_MAX", 2)
    desk = ClaimsDesk()
    desk.take("car-1", 1, CRASH)
    desk.take("car-2", 1, CRASH)
    desk.close(2, "settled")
    desk.take("car-2", 1, FAULT)
    assert [case.number for case in desk.tickets] == [1, 3]
    desk.take("car-3", 1, CRASH)
    assert [case.number for case in desk.tickets] == [3, 4], "all are open: the oldest"
    desk.take("car-2", 1, FAULT)
    assert [(case.number, len(case.notes)) for case in desk.tickets] == [(3, 2), (4, 1)]


def test_a_message_that_cannot_be_read_is_named_once_and_the_others_go(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    office.come(CRASH, FAULT)
    office.desk.acts.answer(office.store.tickets()[0], ("答", "Answer."))
    broken = office.store.due(office.now_ns)[0].note.id
    office.receiver.run_desk("UPDATE ticket_messages SET note = ? WHERE id = ?", b"\x00", broken)
    assert [sent.note.what for sent in office.store.due(office.now_ns)] == ["ticket_opened", "answer"]
    assert [record.getMessage() for record in caplog.records] == [
        f"message {broken} of ticket 1 is left out: not a desk message: Expected `object`, got `int`"
    ]
    office.store.due(office.now_ns)
    assert len(caplog.records) == 1
    assert office.said() == ["answer"]


@pytest.mark.parametrize("event", ['{"kind": "collision"}', '{"kind": ["collision"]}', '{"no": "kind"}', "{}"])
def test_an_event_that_cannot_be_read_is_named_once_and_the_desk_goes_on(
    office: Office, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    office.come(CRASH, FAULT, work=False)
    office.receiver.run_desk("UPDATE events SET event = ? WHERE sequence = 1", event)
    office.desk.step()
    office.desk.step()
    office.open()
    assert [ticket.kind for ticket in office.store.tickets()] == ["charging"]
    (record,) = caplog.records
    assert record.getMessage().startswith("car-1, boot 1, sequence 1 is left out: ")


def test_a_file_whose_events_are_no_json_is_no_end_of_the_desk(tmp_path: Path) -> None:
    office = Office(str(tmp_path / "received.db"))
    with closing(office.receiver):
        office.come(CRASH, FAULT, work=False)
        office.receiver.run_desk("UPDATE events SET event = 'x' WHERE sequence = 1")
        office.open()
        office.desk.step()
        assert [ticket.kind for ticket in office.store.tickets()] == ["charging"]
