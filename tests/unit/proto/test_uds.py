import pytest

from agent.core.errors import ProtocolError
from agent.proto import uds
from agent.proto.obd import RequestRefused


def positive(message: str, request: bytes) -> uds.Positive:
    answer = uds.parse_answer(bytes.fromhex(message), request)
    assert isinstance(answer, uds.Positive)
    return answer


def test_requests() -> None:
    assert uds.encode_read_dids([0xF190]).hex() == "22f190"
    assert uds.encode_read_dids([0xF190, 0x0101]).hex() == "22f1900101"
    assert uds.encode_read_dtcs(0x2F).hex() == "19022f"
    assert uds.encode_read_dtcs(0xFF, kind=uds.COUNT_BY_STATUS).hex() == "1901ff"
    assert uds.encode_read_dtc_record(uds.EXTENDED_BY_DTC, 0xD12800).hex() == "1906d12800ff"


@pytest.mark.parametrize(
    "request_hex",
    ["", "10", "1003", "11", "1101", "14ffffff", "27", "2701", "28", "2e", "2ef190", "2f", "31", "34", "36", "37", "3d",
     "3e00", "85", "01", "22", "22f1", "22f19001", "22" + "f190" * 17, "19", "1902", "1902ffff", "1982ff", "1905",
     "1905ff", "1917ff", "190aff", "1942", "62f190"],
)  # fmt: skip
def test_what_is_no_plain_read_is_refused(request_hex: str) -> None:
    with pytest.raises(RequestRefused):
        uds.check_request(bytes.fromhex(request_hex))


def test_no_service_outside_the_list_passes_whatever_follows() -> None:
    passed = set()
    for service in range(256):
        for size in range(8):
            for filling in (b"\x01", b"\x02", b"\x06", b"\x0a"):
                try:
                    passed.add(uds.check_request(bytes([service]) + filling * size)[0])
                except RequestRefused:
                    continue
    assert passed == {0x19, 0x22}


def test_asking_twice_for_the_same_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        uds.encode_read_dids([1, 1])


def test_dtcs_with_their_status() -> None:
    request = uds.encode_read_dtcs(0xFF)
    dtcs = uds.parse_dtcs(positive("59 02 ff d12800 af 561487 2f", request))
    assert [dtc.text for dtc in dtcs] == ["U1128-00", "C1614-87"]
    status = uds.DtcStatus
    assert dtcs[1].status == (
        status.TEST_FAILED | status.TEST_FAILED_THIS_CYCLE | status.PENDING | status.CONFIRMED
        | status.FAILED_SINCE_CLEAR
    )  # fmt: skip
    assert dtcs[0].status & status.WARNING_INDICATOR
    assert uds.parse_dtcs(positive("59 02 ff", request)) == []


def test_the_number_of_dtcs_and_the_records_of_one() -> None:
    request = uds.encode_read_dtcs(0x08, kind=uds.COUNT_BY_STATUS)
    assert uds.parse_dtc_count(positive("59 01 ff 01 0003", request)) == 3
    request = uds.encode_read_dtc_record(uds.SNAPSHOT_BY_DTC, 0xD12800)
    dtc, record = uds.parse_dtc_record(positive("59 04 d12800 2f 01 01 f446 50", request))
    assert (dtc.text, record.hex()) == ("U1128-00", "0101f44650")


@pytest.mark.parametrize("message", ["59 02", "59 02 ff d128", "59 02 ff d12800 af 00"])
def test_broken_lists(message: str) -> None:
    with pytest.raises(ProtocolError, match="no list"):
        uds.parse_dtcs(positive(message, uds.encode_read_dtcs(0xFF)))


@pytest.mark.parametrize("message", ["", "7f", "7f1912", "7f22", "7f221200", "5904d12800", "41"])
def test_what_answers_another_question(message: str) -> None:
    with pytest.raises(ProtocolError):
        uds.parse_answer(bytes.fromhex(message), uds.encode_read_dids([1]))


@pytest.mark.parametrize("message", ["", "7f2212", "62", "59", "5904d12800", "5901ff010003"])
def test_what_answers_another_question_about_dtcs(message: str) -> None:
    with pytest.raises(ProtocolError):
        uds.parse_answer(bytes.fromhex(message), uds.encode_read_dtcs(0xFF))


def test_an_answer_is_not_read_as_another_kind() -> None:
    for parse in (uds.parse_dtcs, uds.parse_dtc_count, uds.parse_dtc_record):
        for answer in (uds.Positive(0x22, b"\x02\xff"), uds.Positive(0x19, b""), uds.Positive(0x19, b"\x03")):
            with pytest.raises(ProtocolError):
                parse(answer)
    with pytest.raises(ProtocolError):
        uds.parse_dids(uds.Positive(0x19, b"\x02\xff"), [1], {})


@pytest.mark.parametrize(
    ("code", "advice", "text"),
    [
        (0x78, uds.Advice.WAIT, "response pending"),
        (0x21, uds.Advice.REPEAT, "busy, repeat the request"),
        (0x22, uds.Advice.LATER, "conditions not correct"),
        (0x7F, uds.Advice.LATER, "service not supported in this session"),
        (0x88, uds.Advice.LATER, "code 88"),
        (0x31, uds.Advice.NEVER, "request out of range"),
        (0x33, uds.Advice.NEVER, "security access denied"),
    ],
)
def test_a_refusal_is_a_value_with_advice(code: int, advice: uds.Advice, text: str) -> None:
    answer = uds.parse_answer(bytes([0x7F, 0x22, code]), uds.encode_read_dids([0xF190]))
    assert answer == uds.Negative(0x22, code)
    assert (answer.advice, answer.text) == (advice, text)


def test_one_identifier_may_have_any_length_and_several_need_theirs() -> None:
    answer = positive("62 f190 4c5244", uds.encode_read_dids([0xF190]))
    assert uds.parse_dids(answer, [0xF190], {}) == {0xF190: b"LRD"}
    asked = [0x0101, 0xF190, 0x2001]
    answer = positive("62 0101 62f1 f190 4c", uds.encode_read_dids(asked))
    assert uds.parse_dids(answer, asked, {0x0101: 2, 0xF190: 1, 0x2001: 9}) == {0x0101: b"\x62\xf1", 0xF190: b"L"}
    for lengths in ({0x0101: 2}, {0x0101: 1, 0xF190: 1}, {0x0101: 4, 0xF190: 1}):
        with pytest.raises(ProtocolError):
            uds.parse_dids(answer, asked, lengths)


def test_what_was_not_asked_for_never_comes_out() -> None:
    for message in ("62 f191 4c", "62 f190", "62", "62 f190 4c f190 4c"):
        with pytest.raises(ProtocolError):
            uds.parse_dids(positive(message, b"\x22\xf1\x90"), [0xF190], {0xF190: 1})
