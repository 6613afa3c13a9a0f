import pytest

from agent.proto import obd
from agent.proto.elm327 import EcuMessage, Status
from agent.proto.elm327_lines import Filling, parse_with_headers, parse_without_headers
from tests.unit.proto.elm327_talk import ANSWERS, SPEED, ask, start


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
