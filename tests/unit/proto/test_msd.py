"""The minimum set of data against a public vector (docs/sources.md), and what it must refuse."""

import dataclasses

import pytest

from agent.core.errors import ProtocolError
from agent.proto.msd import NO_VIN, SIZE_MAX, Msd, decode_msd, degrees_of, describe_msd, encode_msd, place_of, recent_of

VECTOR = bytes.fromhex("02251C0680E30A51439E2955D43800800437F80A3105669023F8A71166932185B004150043C040")
EXAMPLE = Msd(
    vin="ECALLEXAMPLE02013",
    category="M1",
    propulsion=frozenset({"gasoline"}),
    timestamp_s=1_367_878_452,
    place=(18_859_320, 187_996_428),
    trusted=True,
    direction_deg=90,  # 45 steps of 2 degrees
    recent=((0, 10), (0, 30)),
    passengers=2,
)


def test_the_vector_says_what_is_known_of_it() -> None:
    assert len(VECTOR) == 39
    assert decode_msd(VECTOR) == EXAMPLE


def test_defaults_are_left_out_which_is_shorter_and_read_as_well() -> None:
    encoded = encode_msd(EXAMPLE)
    assert len(encoded) == 38
    assert encoded[:6].hex() == "02241c0680e3"
    assert decode_msd(encoded) == EXAMPLE


def test_an_encoder_that_writes_defaults_out_gives_the_vector() -> None:
    """Six more presence bits and values at the place of the propulsion: the only difference between the two forms."""
    bits, short = (f"{int.from_bytes(part):0{8 * len(part)}b}" for part in (VECTOR[2:], encode_msd(EXAMPLE)[2:]))
    start = 6 + 8 + 3 + 5 + 17 * 6 + 1  # preamble, identifier, control, VIN, no extension
    assert bits[start : start + 14] == "1111111" + "1000000"
    assert short[start : start + 8] == "1000000" + "1"
    assert bits[:start] == short[:start]
    assert bits[start + 14 :].startswith(short[start + 8 :].rstrip("0"))


def test_what_nobody_knows_is_told_as_unknown() -> None:
    nothing = decode_msd(encode_msd(Msd()))
    assert nothing == Msd()
    assert (nothing.vin, nothing.place, nothing.trusted, nothing.timestamp_s) == (NO_VIN, None, False, 0)
    assert nothing.test is False


def test_padding_is_taken_and_anything_else_behind_the_end_is_not() -> None:
    encoded = encode_msd(EXAMPLE)
    assert decode_msd(encoded.ljust(SIZE_MAX, b"\0")) == EXAMPLE
    with pytest.raises(ProtocolError, match="behind its end"):
        decode_msd(encoded + b"\1")


def test_nothing_beyond_140_bytes_is_written_or_read() -> None:
    room = SIZE_MAX - len(encode_msd(dataclasses.replace(EXAMPLE, additional=(b"\1\4\2", b""))))
    full = dataclasses.replace(EXAMPLE, additional=(b"\1\4\2", bytes(room - 1)))
    assert len(encode_msd(full)) <= SIZE_MAX
    assert decode_msd(encode_msd(full)) == full
    with pytest.raises(ProtocolError, match="140 are allowed"):
        encode_msd(dataclasses.replace(EXAMPLE, additional=(b"\1\4\2", bytes(room + 1))))
    with pytest.raises(ProtocolError, match="140 are allowed"):
        decode_msd(bytes([2]) + bytes(SIZE_MAX))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vin": "ECALLEXAMPLE0201I"}, "not an MSD"),
        ({"vin": "SHORT"}, "17 letters"),
        ({"place": (324_000_001, 0)}, "no place on earth"),
        ({"direction_deg": 360}, "direction"),
        ({"timestamp_s": 2**32}, "not an MSD"),
        ({"passengers": 256}, "not an MSD"),
        ({"recent": ((512, 0),)}, "not an MSD"),
        ({"recent": ((0, 0),) * 3}, "two recent places"),
    ],
)
def test_what_has_no_place_in_it_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        encode_msd(dataclasses.replace(EXAMPLE, **change))  # type: ignore[arg-type]  # one field of any type


@pytest.mark.parametrize("data", [b"", b"\2", b"\2\x25", VECTOR[:-1], b"\2\0", b"\2\x80\0", b"\xff" * 140])
def test_cut_off_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_msd(data)


def test_another_version_is_refused_by_its_number() -> None:
    with pytest.raises(ProtocolError, match="version 3; known is 2"):
        decode_msd(b"\3" + VECTOR[1:])


def test_a_person_reads_it_in_a_line() -> None:
    assert describe_msd(EXAMPLE) == (
        "automatic, 2013-05-06T22:14:12Z, VIN ECALLEXAMPLE02013, M1 gasoline, at 5.23870, 52.22123 (to be trusted),"
        " heading 90 degrees, 2 belted"
    )
    assert describe_msd(Msd(test=True)) == (
        "automatic, a test, no date, VIN not told, M1 of unknown propulsion, nobody knows where, heading unknown,"
        " belts unknown"
    )


def test_places_before_are_differences_from_one_to_the_next() -> None:
    here, before, first = place_of(48.0, 11.0), place_of(48.0001, 11.0002), place_of(48.0003, 11.0)
    assert recent_of([here, before, first]) == ((4, 7), (7, -7))
    assert recent_of([here]) == ()
    assert recent_of([here, place_of(49.0, 11.0), first]) == ()
    assert degrees_of(here) == (48.0, 11.0)
