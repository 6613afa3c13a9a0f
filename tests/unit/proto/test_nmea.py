import pytest

from agent.core.errors import ProtocolError
from agent.proto.nmea import SENTENCE_MAX, Fix, NmeaParser, encode_sentence, parse_sentence

RMC = "GNRMC,093802.50,A,5213.1439,N,02100.6511,W,010.0,226.0,160305,004.2,E,D"
GGA = "GPGGA,093802.50,5213.1439,N,02100.6511,W,2,10,0.9,137.2,M,36.2,M,,"


def feed(*bodies: str) -> list[Fix]:
    return NmeaParser().feed(b"".join(map(encode_sentence, bodies)))


def test_rmc() -> None:
    [fix] = feed(RMC)
    assert fix.valid
    assert fix.latitude == pytest.approx(52 + 13.1439 / 60)
    assert fix.longitude == pytest.approx(-(21 + 0.6511 / 60))
    assert fix.speed_kmh == pytest.approx(18.52)
    assert fix.heading_deg == 226.0
    assert fix.utc_ns == 1_110_965_882_500_000_000  # 2005-03-16T09:38:02.5Z


def test_a_position_is_told_once_per_instant() -> None:
    first, second = feed(RMC, GGA)
    assert second.latitude is None
    assert (second.altitude_m, second.hdop, second.satellites) == (137.2, 0.9, 10)
    assert second.utc_ns == first.utc_ns
    later = feed(RMC, GGA.replace("093802.50", "093803.00"))[1]
    assert later.latitude == first.latitude
    assert later.utc_ns == 1_110_965_883_000_000_000


def test_gga_alone_has_no_date_and_vtg_gives_the_speed() -> None:
    position, motion = feed(GGA, "GPVTG,226.0,T,,M,010.0,N,018.5,K,A")
    assert position.utc_ns is None
    assert motion.speed_kmh == pytest.approx(18.52)
    assert motion.heading_deg == 226.0
    assert motion.valid
    assert feed(RMC, "GPVTG,,T,,M,0.029,N,0.053,K,A")[1:] == []


def test_vtg_with_kmh_alone() -> None:
    assert feed(GGA, "GPVTG,,T,,M,,N,018.5,K,A")[1].speed_kmh == 18.5


def test_midnight_passes_between_rmc_and_gga() -> None:
    late = RMC.replace("093802.50", "235959.90")
    fix = feed(late, GGA.replace("093802.50", "000000.10"))[1]
    assert fix.utc_ns == 1_111_017_600_100_000_000  # 2005-03-17T00:00:00.1Z


@pytest.mark.parametrize(
    "body",
    [
        RMC.replace(",A,", ",V,"),
        RMC.replace(",E,D", ",E,N"),
        RMC.replace(",E,D", ",E,E"),
        GGA.replace(",W,2,", ",W,0,"),
        GGA.replace(",W,2,", ",W,6,"),
        GGA.replace(",W,2,", ",W,,"),
        "GPGGA,,,,,,0,,,,M,,M,,",
        "GPRMC,,V,,,,,,,,,,N",
    ],
)
def test_no_fix_is_told_as_such(body: str) -> None:
    [fix] = feed(body)
    assert not fix.valid


def test_gsa_tells_the_dimensions_and_gsv_nothing() -> None:
    gsa = "GPGSA,A,3,03,06,15,16,18,19,21,22,,27,29,,1.6,0.9,1.3"
    [fix] = feed(gsa, "GPGSV,3,2,12,18,50,135,50,19,15,291,46,21,59,069,51,22,30,169,49", RMC)
    assert fix.dimensions == 3


def test_before_the_first_gsa_the_altitude_is_the_third_dimension() -> None:
    assert [fix.dimensions for fix in feed(RMC, GGA)] == [2, 3]
    assert [fix.dimensions for fix in feed(GGA.replace(",137.2,", ",,"))] == [2]


def test_without_a_fix_there_are_no_dimensions_whatever_gsa_said() -> None:
    old, new = "GPGSA,A,3,03,06,15,,,,,,,,,,1.6,0.9,1.3", "GPGSA,A,1,,,,,,,,,,,,,,"
    assert [fix.dimensions for fix in feed(old, RMC.replace(",A,", ",V,"))] == [1]
    assert [fix.dimensions for fix in feed(new, GGA)] == [3], "a GSA from before there was a fix"
    assert [fix.dimensions for fix in feed(old.replace(",3,", ",2,"), GGA)] == [2]


@pytest.mark.parametrize(
    "body",
    [
        RMC.replace("5213.1439", "5261.1439"),
        RMC.replace("5213.1439", "9100.0000"),
        RMC.replace("5213.1439", "5213.14x9"),
        RMC.replace(",N,", ",X,"),
        RMC.replace("093802.50", "240000"),
        RMC.replace("160305", "310205"),
        RMC.replace("010.0", "-10.0"),
        RMC.replace("226.0", "361"),
        RMC.replace("010.0", "1e400"),
        "GPRMC,093802",
        "GPGSA,A,x",
    ],
)
def test_nonsense_is_counted_and_gives_no_fix(body: str) -> None:
    parser = NmeaParser()
    assert parser.feed(encode_sentence(body)) == []
    assert parser.bad == 1


def test_checksums() -> None:
    assert parse_sentence(b"$GPGLL,,,,,,V,N*64")[0] == "GPGLL"
    for wrong in (b"$GPGLL,,,,,,V,N*65", b"$GPGLL,,,,,,V,N", b"$GPGLL,,,,,,V,N*6", b"", b"$*", b"GPGLL*00"):
        with pytest.raises(ProtocolError):
            parse_sentence(wrong)


def test_binary_in_between_is_skipped_and_lines_are_bounded() -> None:
    parser = NmeaParser()
    ubx = bytes.fromhex("b562010714002f24") + b"$G\xff\x00"
    assert len(parser.feed(ubx + encode_sentence(RMC) + ubx + encode_sentence(GGA))) == 2
    assert parser.feed(b"$" + b"A" * 10_000) == []
    assert parser._line is None
    parser.feed(b"$" + b"A" * 50)
    assert parser._line is not None
    assert len(parser._line) <= SENTENCE_MAX
    assert len(parser.feed(encode_sentence(RMC.replace("093802", "093803")))) == 1
