from collections.abc import Mapping

import pytest

from agent.core.errors import SourceLost
from agent.proto import elm327, obd
from agent.proto.elm327 import EcuMessage, Elm327, Status
from tests.unit.proto.elm327_talk import ANSWERS, BITMAP, SPEED, ask, start


def test_the_start_identifies_resets_sets_up_and_finds_the_bus() -> None:
    dialogue, sent = start()
    assert sent == ["ATI", "ATZ", "ATE0", "ATL0", "ATS0", "ATH1", "ATSP0", "0100", "ATDPN"]
    assert (dialogue.state, dialogue.adapter, dialogue.protocol) == ("ready", "ELM327 V1.5", "6")
    assert dialogue.is_can
    assert (dialogue.bad, dialogue.strays) == (0, 0)


def test_nothing_is_sent_before_the_prompt() -> None:
    dialogue = Elm327()
    assert dialogue.take() == b"ATI\r"
    assert dialogue.take() == b""
    dialogue.feed(b"ELM327 v1.5\r\r")
    assert dialogue.take() == b""
    dialogue.feed(b">")
    assert dialogue.take() == b"ATZ\r"


@pytest.mark.parametrize(
    "change",
    [
        {"ATL0": "?\r\r>", "ATS0": "?\r\r>", "ATSP0": "?\r\r>", "ATDPN": "?\r\r>"},
        {"ATI": "?\r\r>"},
        {"ATZ": "\r\r>"},
        {"ATE0": "OK\r\r>"},
        {"0100": f"SEARCHING...{BITMAP}\r\r>"},
        {"0100": f"SEARCHING: {BITMAP}\r\r>".replace(": ", "\r\n")},
        {"0100": "7E8 06 41 00 BE 3E A8 13 \r\r\r>"},
        {"0100": "\0\0SEARCHING...\r7E8\x00064100BE3EA813\r\r>"},
    ],
)
def test_clones_that_differ_still_come_up(change: Mapping[str, str]) -> None:
    dialogue, _ = start({**ANSWERS, **change})
    assert dialogue.state == "ready"
    assert dialogue.is_can


def test_an_echo_that_stays_is_no_answer() -> None:
    echoing = {command: answer if "AT" in answer else f"{command}\r{answer}" for command, answer in ANSWERS.items()}
    dialogue, _ = start(echoing)
    assert dialogue.state == "ready"
    [reply] = ask(dialogue, SPEED, "010D\r7E803410D32\r\r>")
    assert reply.messages == (EcuMessage(0x7E8, bytes.fromhex("410d32")),)
    assert dialogue.bad == 0


def test_a_car_that_is_off_fails_the_start_and_says_why() -> None:
    dialogue, sent = start({**ANSWERS, "0100": "SEARCHING...\rUNABLE TO CONNECT\r\r>"})
    assert dialogue.state == "failed"
    assert "UNABLE TO CONNECT" in dialogue.fault
    assert sent.count("0100") == 1
    assert dialogue.take() == b""


def test_a_bus_that_hesitates_is_asked_three_times() -> None:
    dialogue, sent = start({**ANSWERS, "0100": "STOPPED\r\r>"})
    assert dialogue.state == "failed"
    assert sent.count("0100") == 3


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("NO DATA\r\r>", Status.NO_DATA),
        ("STOPPED\r\r>", Status.STOPPED),
        ("?\r\r>", Status.REFUSED),
        ("BUFFER FULL\r\r>", Status.FAILED),
        ("CAN ERROR\r\r>", Status.FAILED),
        ("UNABLE TO CONNECT\r\r>", Status.UNABLE_TO_CONNECT),
        ("7E803410D32<DATA ERROR\r\r>", Status.FAILED),
        ("7E803410\r\r>", Status.FAILED),
        ("ERR94\r\r>", Status.FAILED),
        ("7E8037F0112\r\r>", Status.OK),
    ],
)
def test_what_an_adapter_says_instead_of_data(answer: str, status: Status) -> None:
    dialogue, _ = start()
    [reply] = ask(dialogue, SPEED, answer)
    assert reply.status is status


def test_wait_is_no_answer_where_one_follows() -> None:
    dialogue, _ = start()
    [reply] = ask(dialogue, SPEED, "7E8037F0178\r7E803410D32\r\r>")
    assert [m.data for m in reply.messages] == [bytes.fromhex("410d32")]


def test_a_late_answer_is_never_credited_to_another_pid() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.request(obd.encode_request(1, [0x0C]))
    dialogue.take()
    [given_up] = dialogue.give_up()
    assert given_up.status is Status.FAILED
    assert dialogue.take() == b"ATI\r"  # the barrier
    assert dialogue.feed(b"7E803410D32\r\r>") == []
    [name] = dialogue.feed(b"ELM327 v1.5\r\r>")
    assert name.command == "ATI"
    assert dialogue.take() == b"010C\r"
    assert dialogue.feed(b"7E803410D32\r\r>") == []
    [reply] = dialogue.feed(b"7E804410C1AF8\r\r>")
    assert reply.messages == (EcuMessage(0x7E8, bytes.fromhex("410c1af8")),)
    assert dialogue.strays == 2


def test_a_lost_prompt_costs_no_answer() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.take()
    assert dialogue.feed(b"7E803410D32\r\r") == []
    [reply] = dialogue.give_up()
    assert reply.messages == (EcuMessage(0x7E8, bytes.fromhex("410d32")),)


def test_leftovers_before_the_start_do_not_shift_the_answers() -> None:
    dialogue = Elm327()
    dialogue.take()
    assert dialogue.feed(b"7E804410C1AF8\r\r>NO DATA\r\r>") == []
    assert dialogue.feed(ANSWERS["ATI"].encode())[0].command == "ATI"
    assert dialogue.strays == 2


def test_bytes_nobody_asked_for_are_stray() -> None:
    dialogue, _ = start()
    assert dialogue.feed(b"ACT ALERT\r\r>") == []
    assert dialogue.strays == 1


def test_memory_is_bounded_and_a_flood_fails_its_request() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.take()
    for _ in range(100):
        dialogue.feed(b"7E803410D32\r" * 100)
        assert len(bytes(dialogue._block)) <= elm327.BLOCK_MAX
    [reply] = dialogue.feed(b">")
    assert reply.status is Status.FAILED
    for _ in range(elm327.QUEUE_MAX):
        dialogue.request(SPEED)
    with pytest.raises(ValueError, match="waiting already"):
        dialogue.request(SPEED)


def test_patience_lasts_longer_during_reset_and_search() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.take()
    assert dialogue.allowance_s == 0
    dialogue.feed(b"SEARCH")
    assert dialogue.allowance_s == 0
    dialogue.feed(b"ING...")
    assert dialogue.allowance_s > 1
    dialogue = Elm327()
    dialogue.take()
    dialogue.feed(ANSWERS["ATI"].encode())
    dialogue.take()
    assert dialogue.allowance_s > 0


def test_only_reads_are_asked_for_and_only_when_ready() -> None:
    dialogue, _ = start()
    with pytest.raises(obd.RequestRefused):
        dialogue.request(b"\x04")
    with pytest.raises(ValueError, match="starting"):
        Elm327().request(SPEED)


def test_an_adapter_that_says_it_started_anew_is_set_up_again() -> None:
    dialogue, _ = start()
    [stopped] = ask(dialogue, SPEED, "\r\rELM327 v1.5\r\r>")
    assert stopped.status is Status.STOPPED
    sent = []
    while command := dialogue.take().decode().rstrip("\r"):
        sent.append(command)
        dialogue.feed(ANSWERS[command].encode())
    assert sent == ["ATE0", "ATL0", "ATS0", "ATH1", "ATSP0", "0100", "ATDPN"]
    assert (dialogue.state, dialogue.resets) == ("ready", 1)
    [reply] = ask(dialogue, SPEED, "7E803410D32\r\r>")
    assert reply.status is Status.OK


@pytest.mark.parametrize("answer", ["LV RESET\r\r>", "ERR94\r\r>", "010D\r\n41 0D 32 \r\n\r\n>"])
def test_lost_settings_are_set_again(answer: str) -> None:
    dialogue, _ = start()
    [reply] = ask(dialogue, SPEED, answer)
    assert reply.messages == ()
    assert dialogue.take() == b"ATE0\r"


def test_an_adapter_that_keeps_starting_anew_is_given_up() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    for _ in range(100):
        if dialogue.state == "failed":
            break
        command = dialogue.take().decode().rstrip("\r")
        dialogue.feed(ANSWERS.get(command, "LV RESET\r\r>").encode())
        if not dialogue._queue and dialogue.state == "ready":
            dialogue.request(SPEED)
    assert dialogue.fault == "keeps losing its settings"
    with pytest.raises(SourceLost, match="keeps losing"):
        dialogue.request(SPEED)


def test_no_request_goes_out_before_a_barrier_was_answered() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.request(SPEED)
    dialogue.take()
    dialogue.give_up()
    sent = []
    while dialogue.state == "ready":
        sent.append(dialogue.take())
        dialogue.give_up()
    assert sent == [b"ATI\r", b"ATE0\r", b"ATDPN\r", b"ATI\r"]  # never one whose late answer passes for the next's
    assert "out of step" in dialogue.fault
    assert dialogue.take() == b""


@pytest.mark.parametrize("answer", ["STOPPED\r\r>", "?\r\r>", "7E803410\r\r>", "ACT ALERT\r\r>"])
def test_a_barrier_comes_after_whatever_may_put_us_out_of_step(answer: str) -> None:
    dialogue, _ = start()
    ask(dialogue, SPEED, answer)
    assert dialogue.take() == b"ATI\r"


def test_a_name_that_a_barrier_still_owed_is_no_restart() -> None:
    dialogue, _ = start()
    dialogue.request(SPEED)
    dialogue.take()
    dialogue.give_up()
    assert dialogue.take() == b"ATI\r"
    dialogue.give_up()
    assert dialogue.take() == b"ATE0\r"
    assert dialogue.feed(b"ELM327 v1.5\r\r>") == []
    assert dialogue.feed(b"OK\r\r>")[0].command == "ATE0"
    assert dialogue.take() == b""
    assert dialogue.resets == 0


def test_the_adapter_itself_is_asked_in_step() -> None:
    dialogue, _ = start()
    dialogue.ask_adapter("ATRV")
    assert dialogue.take() == b"ATRV\r"
    assert dialogue.feed(b"7E803410D32\r\r>") == []
    [reply] = dialogue.feed(b"12.4V\r\r>")
    assert (reply.command, reply.status, reply.text) == ("ATRV", Status.OK, ("12.4V",))
    dialogue.ask_adapter("ATIGN")
    dialogue.take()
    [refused] = dialogue.feed(b"?\r\r>")
    assert refused.status is Status.REFUSED
