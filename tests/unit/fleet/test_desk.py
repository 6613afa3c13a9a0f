"""The desk over either database: tickets, their clock, what is said to cars and when it goes again."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import fleet.desk.desk
import fleet.desk.store
from agent.core.desk_events import DeskMessage
from agent.core.errors import InputError
from agent.core.events import Feedback
from fleet.__main__ import main
from fleet.desk.store import RESEND_NS
from fleet.desk.ticket import ANSWER_NS, SOLUTION_NS
from fleet.desk.words import both
from simulators.desk_person import DeskPerson
from tests.unit.fleet.desk_kit import CRASH, FAULT, START_NS, Office


def test_a_need_opens_a_ticket_at_once_and_the_driver_hears_its_number(office: Office) -> None:
    office.come(CRASH, FAULT)
    crash, charge = office.store.tickets()
    assert (crash.number, crash.kind, crash.severity, crash.state, crash.sequence) == (1, "collision", 2, "open", 1)
    assert (charge.number, charge.kind, charge.about_ns) == (2, "charging", FAULT.t_ns)
    assert office.said() == ["ticket_opened"]
    note = office.store.messages(1)[0].note
    assert (note.zh, note.en) == both("opened_collision", number=1)
    assert (note.device, note.boot, note.sequence, note.about_ns) == ("car-1", 1, 1, CRASH.t_ns)
    assert office.told == ["1 opened", "2 opened"]


def test_from_answer_over_not_helped_to_helped(office: Office) -> None:
    office.come(CRASH)
    acts = office.desk.acts
    acts.answer(office.store.tickets()[0], ("答", "Answer."))
    office.take()
    assert office.store.messages(1)[-1].taken_ns == office.now_ns
    office.now_ns += 10**12
    office.answer("no")
    ticket = office.store.tickets()[0]
    assert (ticket.state, ticket.reopened, ticket.clock_ns) == ("reopened", 1, office.now_ns)
    acts.answer(ticket, ("又答", "Again."))
    office.answer("yes")
    closed = office.store.tickets()[0]
    assert (closed.state, closed.outcome, closed.reopened) == ("closed", "helped", 1)
    assert office.said() == ["ticket_opened", "answer", "answer"]
    assert [line for line in office.told if "taken" not in line] == ["1 opened", "1 reopened", "1 helped"]
    assert office.desk.claims.tickets[0].outcome == "helped"
    office.open()
    assert office.desk.claims.tickets[0].outcome == "helped", "also for a desk that starts again"


def test_the_clock_warns_once_a_term_and_the_driver_hears_it_once(office: Office) -> None:
    office.come(CRASH)
    for after_ns, warned in ((ANSWER_NS - 1, 0), (ANSWER_NS, 1), (SOLUTION_NS - 1, 1), (SOLUTION_NS, 2)):
        office.now_ns = START_NS + after_ns
        office.desk.step()
        office.desk.step()
        assert office.store.tickets()[0].warned == warned
    assert office.said() == ["ticket_opened", "overdue"]
    assert office.told == ["1 opened", "1 overdue", "1 overdue"]


def test_who_was_asked_and_says_nothing_for_three_days_is_content(office: Office) -> None:
    office.come(CRASH)
    office.desk.acts.answer(office.store.tickets()[0], ("答", "Answer."))
    office.now_ns += SOLUTION_NS
    office.desk.step()
    assert office.store.tickets()[0].outcome == "no_word"


def test_a_surveyor_is_told_in_both_languages_and_counts_as_the_first_answer(office: Office) -> None:
    office.come(CRASH)
    office.desk.acts.announce_surveyor(
        office.store.tickets()[0], ("15点40分", "at 15:40"), ("您停车的地方", "where your car stands")
    )
    note = office.store.messages(1)[-1].note
    assert (note.what, note.zh, note.en) == (
        "surveyor", "查勘员15点40分到您停车的地方。", "The surveyor comes at 15:40, to where your car stands."
    )  # fmt: skip
    ticket = office.store.tickets()[0]
    assert (ticket.state, ticket.asked_ns) == ("answered", None)
    assert ticket.missed(START_NS + ANSWER_NS) == 0
    assert ticket.missed(START_NS + SOLUTION_NS) == 1


def test_no_car_speaks_of_anothers_ticket(office: Office) -> None:
    office.come(CRASH)
    office.desk.acts.answer(office.store.tickets()[0], ("答", "Answer."))
    for intent in ("yes", "no"):
        office.answer(intent, device="car-2")
    assert office.store.tickets()[0].state == "answered"


def test_a_desk_that_starts_again_goes_on_where_it_was_and_says_nothing_twice(office: Office) -> None:
    office.come(CRASH)
    office.come(FAULT, work=False)  # came while no desk ran
    office.open()
    office.desk.step()
    assert [ticket.number for ticket in office.store.tickets()] == [1, 2]
    assert [len(office.said(number)) for number in (1, 2)] == [1, 1]
    assert [case.number for case in office.desk.claims.tickets] == [1, 2]
    office.open()
    assert office.desk.step() == 0
    assert len(office.told) == 2


def test_what_is_old_opens_no_ticket_any_more(office: Office) -> None:
    office.come(CRASH, work=False)
    office.now_ns += 9 * 86_400 * 10**9
    office.open()
    office.desk.step()
    assert [ticket.outcome for ticket in office.store.tickets()] == ["from_before"]
    assert office.said() == []


def test_a_message_goes_again_until_the_car_has_it_and_not_for_ever(office: Office) -> None:
    office.come(CRASH)
    for wait_ns in RESEND_NS:
        (sent,) = office.store.due(office.now_ns)
        office.store.went(sent, office.now_ns)
        assert office.store.due(office.now_ns) == []
        office.now_ns += wait_ns
    (sent,) = office.store.due(office.now_ns)
    office.store.went(sent, office.now_ns)
    assert office.store.due(office.now_ns + 10**18) == []
    assert sent.sends == len(RESEND_NS)


def test_what_the_car_has_or_what_has_expired_does_not_go(office: Office) -> None:
    office.come(CRASH)
    assert office.store.due(START_NS + 10**18) == [], "expired"
    office.take()
    assert office.store.due(START_NS) == []
    office.desk.forget()
    office.now_ns += 10**18
    office.desk.forget()
    assert office.store.messages(1) == []


@pytest.mark.parametrize("text", ["", "x" * 601, "two\nlines", "bell\a"])
def test_what_no_car_would_take_is_refused_at_the_desk(office: Office, text: str) -> None:
    office.come(CRASH)
    with pytest.raises(InputError, match="a text for a driver"):
        office.desk.acts.answer(office.store.tickets()[0], ("好", text))


def test_the_command_line_lists_answers_shows_and_closes(
    new_database: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    address = new_database()
    office = Office(address)
    office.come(CRASH)
    office.receiver.close()

    def run(*args: str) -> list[Any]:
        assert main(["tickets", *args, "--database", address]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [json.loads(line) if line.startswith("{") else line for line in lines]

    assert [line["state"] for line in run("list", "--open")] == ["open"]
    assert run("answer", "1", "--zh", "好了", "--en", "Done.") == ["ticket 1: answered"]
    place = ("--place-zh", "家", "--place-en", "home")
    assert run("surveyor", "1", "--time-zh", "九点", "--time-en", "at nine", *place) == ["ticket 1: answered"]
    assert run("thank", "1", "--points", "50") == ["ticket 1: answered"]
    assert run("close", "1", "--outcome", "repaired") == ["ticket 1: closed"]
    ticket, *said = run("show", "1")
    assert ticket["outcome"] == "repaired"
    assert [line["what"] for line in said] == ["ticket_opened", "answer", "surveyor", "thanks", "closed"]
    assert said[3]["points"] == 50
    assert run("list", "--open") == []
    assert main(["tickets", "show", "9", "--database", address]) == 2
    assert "there is no ticket 9" in capsys.readouterr().err


WORDS = Feedback(
    t_ns=4 * 10**9, question="service", about="partner_visit", about_ns=10**9, intent="fine", transcript="words",
    confidence=1, language="en", asked_ns=7,
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kind", "severity"),
    [
        ({"intent": "bad"}, "feedback", 1),
        ({"question": "lamp_felt", "intent": "smoke"}, "feedback", 3),
        ({"topic": "brake_noise", "sentiment": "negative", "urgency": "soon"}, "feedback", 2),
        ({"wish": "request"}, "feedback", 1),
        ({"wish": "suggestion", "urgency": "now"}, "idea", 1),
        ({"topic": "premium", "sentiment": "positive", "wish": "praise"}, "", 0),
        ({}, "", 0),
        ({"about": "desk_message", "wish": "complaint"}, "", 0),
    ],
)
def test_what_a_driver_says_opens_a_ticket_where_something_is_asked_of_the_desk(
    office: Office, said: dict[str, Any], kind: str, severity: int
) -> None:
    office.come(msgspec.structs.replace(WORDS, **said))
    assert [(ticket.kind, ticket.severity) for ticket in office.store.tickets()] == ([(kind, severity)] if kind else [])
    assert office.said() == (["ticket_opened"] if kind else [])


def test_every_shipped_answer_that_promises_the_insurers_ear_opens_a_ticket(office: Office) -> None:
    for number, intent in enumerate(("quality", "price", "waiting")):
        office.come(
            msgspec.structs.replace(WORDS, t_ns=10**9 * (5 + number), question="service_trouble", intent=intent)
        )
    assert len(office.store.tickets()) == 1, "of each kind one open ticket a car"
    assert len(office.desk.claims.tickets[0].notes) == 3


def test_who_wants_to_be_called_is_marked_whichever_way_the_desk_learns_of_it(office: Office) -> None:
    office.come(CRASH, FAULT)
    office.desk.acts.answer(office.store.tickets()[0], ("答", "Answer."))
    office.answer("call_me")
    note = office.store.messages(2)[-1].note
    told = DeskMessage(t_ns=5, id=note.id, what=note.what, ticket=2, created_ns=note.created_ns, channel="call")
    office.come(told)
    assert [ticket.call_back for ticket in office.store.tickets()] == [1, 1]
    person = DeskPerson(office.store, now_ns=lambda: office.now_ns)
    assert [person.act(), person.act(), person.act()] == [*office.store.tickets(), None]
    assert [ticket.outcome for ticket in office.store.tickets()] == ["called", "called"]


def test_the_simulated_person_tells_of_the_surveyor_answers_and_thanks(office: Office) -> None:
    office.come(CRASH, FAULT, msgspec.structs.replace(WORDS, wish="suggestion"))
    person = DeskPerson(office.store, now_ns=lambda: office.now_ns, seed=3)
    done = [person.act() for _ in range(4)]
    assert [ticket.number for ticket in done if ticket] == [1, 1, 2, 3]
    assert person.act() is None
    assert [office.said(number) for number in (1, 2, 3)] == [
        ["ticket_opened", "surveyor", "answer"], ["ticket_opened", "thanks"], ["ticket_opened", "answer"]
    ]  # fmt: skip
    surveyor = office.store.messages(1)[1].note
    assert re.fullmatch(r"查勘员\d\d:\d\d到您停车的地方(，到了给您打电话)?。", surveyor.zh)
    assert re.match(r"The surveyor comes at \d\d:\d\d, to where your car stands", surveyor.en)


def test_a_second_need_a_moment_after_the_first_was_settled_is_a_ticket_of_its_own(office: Office) -> None:
    idea = msgspec.structs.replace(WORDS, wish="suggestion")
    office.come(idea)
    DeskPerson(office.store, now_ns=lambda: office.now_ns).act()  # as another process would
    office.now_ns += 10**10
    office.come(msgspec.structs.replace(idea, t_ns=idea.t_ns + 10**10))
    assert [ticket.state for ticket in office.store.tickets()] == ["closed", "open"]
    office.open()
    assert [(case.number, case.is_open) for case in office.desk.claims.tickets] == [(1, False), (2, True)]


def test_what_waits_behind_a_page_of_graver_events_opens_its_ticket_too(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fleet.desk.store, fleet.desk.desk):
        monkeypatch.setattr(module, "PAGE", 1)
    office.come(FAULT, work=False)
    office.now_ns += 3_600 * 10**9
    office.come(CRASH, work=False)
    while office.desk.step():
        pass
    assert {ticket.kind for ticket in office.store.tickets()} == {"collision", "charging"}
