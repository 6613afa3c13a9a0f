from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto import uds
from agent.proto.obd import RequestRefused, encode_dtc

DIDS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=uds.DIDS_PER_REQUEST, unique=True)
dtcs = st.builds(uds.Dtc, st.integers(0, 0xFFFFFF), st.integers(0, 255).map(uds.DtcStatus))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_read_or_refused(request: bytes) -> None:
    with suppress(RequestRefused):
        assert uds.check_request(request)[0] in {0x19, 0x22}
        assert request[0] == 0x22 or request[1] < 0x80


@given(st.binary(max_size=60), DIDS)
def test_any_answer_gives_what_was_asked_for_or_a_protocol_error(body: bytes, dids: list[int]) -> None:
    lengths = {did: did % 7 for did in dids}
    for message in (body, b"\x62" + body, b"\x62" + dids[0].to_bytes(2, "big") + body, b"\x7f\x22" + body):
        with suppress(ProtocolError):
            answer = uds.parse_answer(message, uds.encode_read_dids(dids))
            if isinstance(answer, uds.Negative):
                assert answer.text
                continue
            found = uds.parse_dids(answer, dids, lengths)
            assert set(found) <= set(dids)
            assert sum(map(len, found.values())) + 2 * len(found) == len(answer.body)


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4, 6, 0x0A]))
def test_any_answer_about_dtcs_is_read_or_a_protocol_error(body: bytes, kind: int) -> None:
    for message in (body, bytes([0x59, kind]) + body):
        answer = None
        with suppress(ProtocolError):
            answer = uds.parse_answer(message, bytes([0x19, kind, 0xFF]))
        if isinstance(answer, uds.Positive):
            with suppress(ProtocolError):
                assert all(
                    encode_dtc(dtc.text[:5]) == dtc.code.to_bytes(3, "big")[:2] for dtc in uds.parse_dtcs(answer)
                )
            with suppress(ProtocolError):
                assert 0 <= uds.parse_dtc_count(answer) <= 0xFFFF
            with suppress(ProtocolError):
                assert len(uds.parse_dtc_record(answer)[1]) == len(answer.body) - 5


@given(st.lists(dtcs, max_size=40))
def test_a_list_of_dtcs_goes_round(listed: list[uds.Dtc]) -> None:
    answer = uds.parse_answer(uds.encode_dtcs(listed), uds.encode_read_dtcs(0xFF))
    assert isinstance(answer, uds.Positive)
    assert uds.parse_dtcs(answer) == listed


@given(st.dictionaries(st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_several_identifiers_come_apart_as_they_were_put_together(data: dict[int, bytes], draw: st.DataObject) -> None:
    supported = draw.draw(st.lists(st.sampled_from(sorted(data)), min_size=1, unique=True))
    body = b"".join(did.to_bytes(2, "big") + data[did] for did in supported)
    lengths = {did: len(value) for did, value in data.items()}
    found = uds.parse_dids(uds.Positive(0x22, body), list(data), lengths)
    assert found == {did: data[did] for did in supported}
