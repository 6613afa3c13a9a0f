"""Any minimum set of data comes back as it went in; any bytes are one or a ProtocolError."""

from contextlib import suppress
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto.msd import PROPULSIONS, SIZE_MAX, Category, Msd, decode_msd, encode_msd

_DELTA = st.integers(-512, 511)
_PLACES = st.tuples(st.integers(-324_000_000, 324_000_000), st.integers(-648_000_000, 648_000_000))
_SETS = st.builds(
    Msd,
    vin=st.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=17, max_size=17),
    category=st.sampled_from(get_args(Category)),
    propulsion=st.frozensets(st.sampled_from(PROPULSIONS)),
    timestamp_s=st.integers(0, 2**32 - 1),
    place=st.none() | _PLACES,
    trusted=st.booleans(),
    direction_deg=st.none() | st.integers(0, 179).map(lambda steps: 2 * steps),
    recent=st.lists(st.tuples(_DELTA, _DELTA), max_size=2).map(tuple),
    passengers=st.none() | st.integers(0, 255),
    automatic=st.booleans(),
    test=st.booleans(),
    message_id=st.integers(0, 255),
    additional=st.none() | st.tuples(st.binary(max_size=8), st.binary(max_size=60)),
)


@given(_SETS)
def test_what_is_written_is_read_again(msd: Msd) -> None:
    encoded = encode_msd(msd)
    assert len(encoded) <= SIZE_MAX
    assert decode_msd(encoded) == msd


@given(st.binary(max_size=SIZE_MAX + 10))
def test_any_bytes_are_an_msd_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        decode_msd(data)


@given(_SETS, st.lists(st.tuples(st.integers(0, SIZE_MAX), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes_are_an_msd_or_refused(msd: Msd, damage: list[tuple[int, int]]) -> None:
    data = bytearray(encode_msd(msd))
    for place, value in damage:
        data[place % len(data)] = value
    with suppress(ProtocolError):
        assert len(encode_msd(decode_msd(bytes(data)))) <= SIZE_MAX
