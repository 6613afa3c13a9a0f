import math
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto.nmea import SENTENCE_MAX, NmeaParser, encode_sentence, parse_sentence

FIELD = st.one_of(
    st.sampled_from(
        ["", "A", "V", "N", "S", "E", "W", "1", "0", "5213.1439", "02100.6511", "093802.00", "160305", "-3.5"]
    ),
    st.text("0123456789.+-ANSEWVx ", max_size=8),
)
BODY = st.builds(
    lambda kind, fields: ",".join([kind, *fields]),
    st.sampled_from(["GPRMC", "GNGGA", "GPVTG", "GPGSA", "GPGSV", "PGRME", ""]),
    st.lists(FIELD, max_size=20),
)
STREAM = st.lists(
    st.one_of(
        BODY.map(encode_sentence),
        st.binary(max_size=30),
        st.just(b"$GP"),
        st.just(b"$" + b"A" * 200),
        st.just(encode_sentence("GPRMC,093802.00,A,5213.1439,N,02100.6511,E,010.0,226.0,160305,004.2,E,D")),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(STREAM, st.data())
def test_any_bytes_split_anyhow_give_the_same_fixes_and_never_raise(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    results = []
    for chunks in ([stream], parts, [bytes([byte]) for byte in stream]):
        parser = NmeaParser()
        fixes = []
        for chunk in chunks:
            fixes += parser.feed(chunk)
            assert parser._line is None or len(parser._line) <= SENTENCE_MAX
        results.append((fixes, parser.sentences, parser.bad))
    assert results[0] == results[1] == results[2]
    for fix in results[0][0]:
        assert fix.latitude is None or abs(fix.latitude) <= 90
        assert fix.longitude is None or abs(fix.longitude) <= 180
        assert fix.speed_kmh is None or (fix.speed_kmh >= 0 and math.isfinite(fix.speed_kmh))


@settings(deadline=None)
@given(st.binary(max_size=130))
def test_any_bytes_are_a_sentence_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        parse_sentence(data)


@settings(deadline=None)
@given(BODY)
def test_what_is_encoded_parses(body: str) -> None:
    assert parse_sentence(encode_sentence(body).rstrip()) == body.split(",")
