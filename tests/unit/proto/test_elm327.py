from collections.abc import Mapping

import pytest

from agent.core.errors import SourceLost
from agent.proto import elm327, obd
from agent.proto.elm327 import EcuMessage, Elm327, Reply, Status
from agent.proto.elm327_lines import Filling, parse_with_headers, parse_without_headers

SPEED = obd.encode_request(1, [0x0D])
BITMAP = "7E8064100BE3EA813"
ANSWERS: Mapping[str, str] = {
    "ATI": "ATI\rELM327 v1.5\r\r>",
    "ATZ": "ATZ\r\r\rELM327 v1.5\r\r>",
    "ATE0": "ATE0\rOK\r\r>",
    "ATL0": "OK\r\r>",
    "ATS0": "OK\r\r>",
    "ATH1": "OK\r\r>",
    "ATSP0": "OK\r\r>",
    "0100": f"SEARCHING...\r{BITMAP}\r\r>",
    "ATDPN": "A6\r\r>",
}


def start(answers: Mapping[str, str] = ANSWERS) -> tuple[Elm327, list[str]]:
    dialogue = Elm327()
    sent: list[str] = []
    while dialogue.state == "starting" and len(sent) < 40:
        command = dialogue.take().decode().rstrip("\r")
        sent.append(command)
        dialogue.feed(answers[command].encode())
    return dialogue, sent


def ask(dialogue: Elm327, request: bytes, answer: str) -> list[Reply]:
    dialogue.request(request)
    assert dialogue.take() == request.hex().upper().encode() + b"\r"
    return dialogue.feed(answer.encode())


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


def test_several_ecus_and_several_frames() -> None:
    dialogue, _ = start()
    [reply] = ask(
        dialogue,
        obd.encode_request(9, [2]),
        "7E8101449020" + "14C5244\r" + "7E903490200\r" + "7E82154455354434152\r7E82230303030303037\r\r>",
    )
    assert reply.status is Status.OK
    vin, other = reply.messages
    assert other == EcuMessage(0x7E9, bytes.fromhex("490200"))
    assert obd.parse_vin(vin.data) == "LRDTESTCAR0000007"


def test_29_bit_identifiers_and_older_buses() -> None:
    dialogue, _ = start()
    [can] = ask(dialogue, SPEED, "18DAF110 03 41 0D 32\r\r>")
    kwp_dialogue, _ = start({**ANSWERS, "0100": "86F1104100BE3EA8137F\r\r>", "ATDPN": "A5\r\r>"})
    [kwp] = ask(kwp_dialogue, SPEED, "83F110410D3204\r\r>")
    vpw_dialogue, _ = start({**ANSWERS, "0100": "486B104100BE3EB811FA\r\r>", "ATDPN": "A2\r\r>"})
    [vpw] = ask(vpw_dialogue, SPEED, "486B10410D32BA\r\r>")
    assert can.messages == (EcuMessage(0x18DAF110, bytes.fromhex("410d32")),)
    assert kwp.messages == vpw.messages == (EcuMessage(0x10, bytes.fromhex("410d32")),)


def test_adapters_without_headers() -> None:
    dialogue, _ = start({**ANSWERS, "ATH1": "?\r\r>", "0100": "4100BE3EA813\r\r>"})
    assert dialogue.state == "ready"
    [reply] = ask(dialogue, obd.encode_request(9, [2]), "014\r0:4902014C5244\r1:54455354434152\r2:30303030303037\r\r>")
    assert obd.parse_vin(reply.messages[0].data) == "LRDTESTCAR0000007"
    [lost] = ask(dialogue, obd.encode_request(9, [2]), "014\r0:4902014C5244\r2:30303030303037\r\r>")
    assert lost.messages == ()
    assert dialogue.bad > 0


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


def test_headers_are_believed_when_seen_not_when_promised() -> None:
    dialogue, _ = start({**ANSWERS, "0100": "41 00 BE 3E A8 13 \r\r>"})
    assert dialogue.state == "ready"
    [reply] = ask(dialogue, SPEED, "410D32\r\r>")
    assert reply.messages == (EcuMessage(0, bytes.fromhex("410d32")),)
    [long] = ask(dialogue, SPEED, "410D3232\r\r>")
    assert long.messages == ()


@pytest.mark.parametrize(
    "lines",
    [
        "7E804410D32",  # a byte is missing
        "7E803410D3200",  # and one too many
        "7E803410D320000",
        "7E80341\r0D32",
    ],
)
def test_a_frame_of_the_wrong_length_is_not_believed(lines: str) -> None:
    dialogue, _ = start()
    [reply] = ask(dialogue, SPEED, f"{lines}\r\r>")
    assert (reply.status, reply.messages) == (Status.FAILED, ())


def test_an_ecu_that_fills_its_frames_up_sends_no_short_ones() -> None:
    padded = Filling()
    for _ in range(2):
        assert parse_with_headers(["7E803410D3255555555"], padded).messages
    assert not parse_with_headers(["7E806410D32555555"], padded).messages
    assert parse_with_headers(["7E903410D32"], padded).messages  # another ECU may
    for _ in range(3):
        parse_with_headers(["7E803410D32"], padded)
    assert parse_with_headers(["7E803410D32"], padded).messages  # a mistake wears off


def test_lines_out_of_order_are_sorted_where_their_numbers_are_all_there() -> None:
    dialogue, _ = start()
    vin = obd.encode_request(9, [2])
    [sorted_] = ask(dialogue, vin, "7E82230303030303037\r7E8101449020" + "14C5244\r7E82154455354434152\r\r>")
    assert obd.parse_vin(sorted_.messages[0].data) == "LRDTESTCAR0000007"
    [lost] = ask(dialogue, vin, "7E8101449020" + "14C5244\r7E82230303030303037\r\r>")
    assert lost.messages == ()


def test_segments_of_two_ecus_without_headers_are_not_put_together() -> None:
    first, second = ["014", "0:4902014C5244", "1:54455354434152", "2:30303030303037"], ["014", "0:4902014C5244"]
    second += ["1:58585858585858", "2:58585858585858"]
    one_by_one = parse_without_headers(first + second)
    assert [m.data[6:] for m in one_by_one.messages] == [b"TESTCAR0000007", b"X" * 14]
    mixed = [line for pair in zip(first, second, strict=True) for line in pair]
    assert parse_without_headers(mixed).messages == ()
    assert parse_without_headers(mixed).bad > 0


@pytest.mark.parametrize("line", ["86F1104100BE3EA81300", "82F1104100BE3EA8137F", "486B104100BE3EB81100"])
def test_the_checksum_of_older_buses_is_checked(line: str) -> None:
    assert parse_with_headers([line]).bad == 1


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


@pytest.mark.parametrize(
    ("request_hex", "whole", "cut"),
    [
        ("010c", "410C1AF8", "410C1A"),
        ("010c0d", "410C1AF80D00", "410CF80D00"),  # what follows would pass for another speed and filling
        ("0106", "", "410690"),  # one byte or two: nobody can tell
        ("020c00", "420C001AF8", "420C00F8"),
        ("03", "430201330134", "4302013301"),
    ],
)
def test_without_headers_an_answer_that_lost_a_byte_is_not_believed(request_hex: str, whole: str, cut: str) -> None:
    request = bytes.fromhex(request_hex)
    for answer in filter(None, (whole, cut)):
        dialogue, _ = start({**ANSWERS, "ATH1": "?\r\r>", "0100": "4100BE3EA813\r\r>"})
        assert not dialogue.shows_headers
        [reply] = ask(dialogue, request, f"{answer}\r\r>")
        assert [message.data.hex().upper() for message in reply.messages] == ([whole] if answer == whole else [])


def test_only_the_ecu_that_was_asked_is_credited() -> None:
    dialogue, _ = start()
    dialogue.request(b"\x22\x21\x01", 0x74C)
    dialogue.take()
    assert dialogue.feed(b"7EC056221010507\r\r>") == []  # right in all but its sender
    assert dialogue.feed(b"74C056221020507\r\r>") == []  # another data identifier
    [reply] = dialogue.feed(b"74C056221010507\r\r>")
    assert reply.messages == (EcuMessage(0x74C, b"\x62\x21\x01\x05\x07"),)
    assert dialogue.strays == 2
    [unknown] = ask(dialogue, SPEED, "74C03410D20\r\r>")
    assert (unknown.messages, dialogue.bad) == ((), 1)
    assert dialogue.is_lossy
