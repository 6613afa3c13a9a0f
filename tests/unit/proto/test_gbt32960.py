from datetime import datetime

import pytest

from agent.core.errors import ProtocolError
from agent.proto import gbt32960 as gbt
from agent.proto.gbt32960 import Edition, Frame, Quality, Reading, build_struct, edition2016, edition2025

# The vectors of the project's reference facts; VIN, ICCID and pack code are made up.
LOGIN_2016 = (
    "232301fe4c5445535456494e30303030303030303101001e12061610150f001f38393836303030303030303030303030303030310100c2"
)
LOGOUT_2016 = "232304fe4c5445535456494e30303030303030303101000812061610151500469d"
LOGIN_2025 = (
    "242401fe4c5445535456494e303030303030303031010036190a1b140202000c383938363030303030303030303030303030"
    "3031010130544553545041434b303030303030303030303030303031e2"
)
REALTIME_2016 = (
    "232302fe4c5445535456494e3030303030303030310100211a09110c1e00080101025a26dd00040001040ccc0cd00cc10cc7"
    "0901010002474b41"
)
TIME = datetime(2026, 9, 17, 12, 30, tzinfo=gbt.TIME_ZONE)


def read(frame_hex: str) -> tuple[Frame, gbt.Message]:
    frame = gbt.parse_frame(bytes.fromhex(frame_hex))
    message = gbt.parse_message(frame)
    assert gbt.encode_frame(frame).hex() == frame_hex
    assert gbt.encode_message(message) == frame.data
    return frame, message


def realtime(edition: Edition, *bodies: object, signature: gbt.Signature | None = None) -> gbt.Realtime:
    message = gbt.Realtime(TIME, bodies, signature)  # type: ignore[arg-type]  # any body of either edition
    frame = Frame(edition, gbt.Command.REALTIME, "LTESTVIN000000001", gbt.encode_message(message))
    parsed = gbt.parse_message(gbt.parse_frame(gbt.encode_frame(frame)))
    assert parsed == message
    assert isinstance(parsed, gbt.Realtime)
    return parsed


def test_login_2016() -> None:
    frame, message = read(LOGIN_2016)
    assert (frame.edition, frame.command, frame.vin) == (Edition.V2016, gbt.Command.LOGIN, "LTESTVIN000000001")
    time = datetime(2018, 6, 22, 16, 21, 15, tzinfo=gbt.TIME_ZONE)
    assert message == gbt.Login2016(time, 31, "89860000000000000001", 0, ("",))


def test_logout_2016() -> None:
    assert read(LOGOUT_2016)[1] == gbt.Logout(datetime(2018, 6, 22, 16, 21, 21, tzinfo=gbt.TIME_ZONE), 70)


def test_login_2025() -> None:
    frame, message = read(LOGIN_2025)
    assert frame.edition is Edition.V2025
    time = datetime(2025, 10, 27, 20, 2, 2, tzinfo=gbt.TIME_ZONE)
    assert message == gbt.Login2025(time, 12, "89860000000000000001", (("0TESTPACK000000000000001",),))


def test_realtime_2016() -> None:
    _, message = read(REALTIME_2016)
    assert isinstance(message, gbt.Realtime)
    assert message.time == TIME
    cells, temperatures = message.bodies
    assert isinstance(cells, edition2016.Cells)
    [system] = cells.systems
    assert (system.voltage_v.value, system.current_a.value) == (60.2, -5.1)
    assert [cell.value for cell in system.cells_v] == [3.276, 3.28, 3.265, 3.271]
    assert isinstance(temperatures, edition2016.Temperatures)
    assert [probe.value for probe in temperatures.systems[0].probes_celsius] == [31, 35]


def test_login_2016_with_codes() -> None:
    login = gbt.Login2016(TIME, 1, "8" * 20, 4, ("ABCD", "EFGH"))
    frame = Frame(Edition.V2016, gbt.Command.LOGIN, "L" * 17, gbt.encode_message(login))
    assert gbt.parse_message(frame) == login


def test_markers_never_become_numbers() -> None:
    body = build_struct(edition2016.Vehicle, speed_kmh=Quality.ABNORMAL, soc_percent=None, current_a=-5.1, gear=0x1E)
    assert body.speed_kmh == Reading(0xFFFE, Quality.ABNORMAL, None)
    assert body.soc_percent == Reading(0xFF, Quality.INVALID, None)
    assert body.current_a == Reading(9949, Quality.VALID, -5.1)
    assert realtime(Edition.V2016, body).bodies == (body,)


def test_values_outside_the_standards_range_are_implausible_and_kept() -> None:
    data = gbt.encode_message(gbt.Realtime(TIME, (build_struct(edition2016.Vehicle, speed_kmh=220.0, gear=0),)))
    at = data.index((2200).to_bytes(2, "big"))
    faster = data[:at] + (2201).to_bytes(2, "big") + data[at + 2 :]
    message = gbt.parse_message(Frame(Edition.V2016, gbt.Command.REALTIME, "L" * 17, faster))
    assert isinstance(message, gbt.Realtime)
    [vehicle] = message.bodies
    assert isinstance(vehicle, edition2016.Vehicle)
    assert vehicle.speed_kmh == Reading(2201, Quality.IMPLAUSIBLE, None)
    assert gbt.encode_message(message) == faster


def test_the_editions_have_their_own_offsets() -> None:
    old, new = (build_struct(each.Vehicle, current_a=0, gear=0) for each in (edition2016, edition2025))
    assert (old.current_a.raw, new.current_a.raw) == (10_000, 30_000)
    sizes = [len(gbt.encode_message(gbt.Realtime(TIME, (body,)))) - 7 for body in (old, new)]
    assert sizes == [20, 18]
    motors = [build_struct(each.Motor, torque_nm=-10, speed_rpm=100) for each in (edition2016, edition2025)]
    assert [(motor.torque_nm.raw, motor.speed_rpm.raw) for motor in motors] == [(19_900, 20_100), (199_900, 32_100)]


def test_every_body_of_both_editions_goes_round() -> None:
    for edition, module in ((Edition.V2016, edition2016), (Edition.V2025, edition2025)):
        for struct in module.BODIES.values():
            plain = {"gear": 0, "status": 0, "flags": 0}
            body = build_struct(struct, **{k: v for k, v in plain.items() if k in struct.__slots__})
            assert realtime(edition, body).bodies == (body,)


def test_positions_have_signs() -> None:
    for status, expected in ((0, (31.2, 121.1)), (2, (-31.2, 121.1)), (4, (31.2, -121.1)), (1, None)):
        for module in (edition2016, edition2025):
            body = build_struct(module.Position, status=status, latitude_abs=31.2, longitude_abs=121.1)
            assert body.degrees == expected


def test_alarms_of_2016_have_no_levels() -> None:
    body = build_struct(edition2016.Alarms, level=2, flags=1 << 3 | 1 << 11 | 1 << 19, battery_codes=(7, 8))
    realtime(Edition.V2016, body)
    assert [(alarm.bit, alarm.name, alarm.level) for alarm in gbt.active_alarms(body)] == [
        (3, "REESS under-voltage", None), (11, "insulation", None), (19, "reserved 19", None),
    ]  # fmt: skip


def test_alarms_of_2025_have_levels_and_tolerate_their_absence() -> None:
    level = build_struct(edition2025.AlarmLevel, bit=11, level=2)
    body = build_struct(edition2025.Alarms, level=2, flags=1 << 11 | 1 << 4, flag_levels=(level,))
    realtime(Edition.V2025, body)
    assert gbt.active_alarms(body) == [gbt.Alarm(4, "SOC low", None), gbt.Alarm(11, "insulation", 2)]
    silent = build_struct(edition2025.Alarms, level=4, flags=1 << 23)
    realtime(Edition.V2025, silent)
    assert gbt.active_alarms(silent) == [gbt.Alarm(23, "REESS thermal event", 4)]


def test_a_count_that_is_invalid_announces_nothing() -> None:
    body = build_struct(edition2025.Cells, count=None)
    assert realtime(Edition.V2025, body).bodies == (body,)
    assert build_struct(edition2025.Cells, packs=()).count.raw == 0


def test_the_signature_is_parsed_and_kept() -> None:
    signature = gbt.Signature(1, bytes(range(32)), bytes(range(32, 64)))
    vehicle = build_struct(edition2025.Vehicle, gear=0)
    assert realtime(Edition.V2025, vehicle, signature=signature).signature == signature


def test_custom_and_unknown_bodies_stay_as_they_are() -> None:
    bodies = (gbt.Custom(0x80, b"abc"), gbt.Custom(0xFE, b""), gbt.Unread(0x40, b"whatever follows"))
    assert realtime(Edition.V2016, *bodies).bodies == bodies
    assert realtime(Edition.V2025, *bodies).bodies == bodies


def test_a_2016_frame_has_no_signature() -> None:
    data = gbt.encode_message(gbt.Realtime(TIME, (), gbt.Signature(1, b"r", b"s")))
    message = gbt.parse_message(Frame(Edition.V2016, gbt.Command.REISSUE, "L" * 17, data))
    assert message == gbt.Realtime(TIME, (gbt.Unread(0xFF, data[7:]),))


def test_replies_with_the_time_alone_or_the_whole_body() -> None:
    login = bytes.fromhex(LOGIN_2016)[24:-1]
    for data, rest in ((login[:6], b""), (login, login[6:])):
        message = gbt.parse_message(Frame(Edition.V2016, gbt.Command.LOGIN, "L" * 17, data, response=1))
        assert isinstance(message, gbt.Reply)
        assert message.rest == rest
        assert gbt.encode_message(message) == data
    empty = gbt.parse_message(Frame(Edition.V2016, gbt.Command.HEARTBEAT, "L" * 17, b"", response=1))
    assert empty == gbt.Reply(None, b"")


def test_what_is_encrypted_or_not_ours_is_opaque() -> None:
    for frame in (
        Frame(Edition.V2016, gbt.Command.REALTIME, "L" * 17, b"?", encryption=3),
        Frame(Edition.V2016, gbt.Command.CONTROL, "L" * 17, b"?"),
    ):
        assert gbt.parse_message(frame) == gbt.Opaque(b"?")


@pytest.mark.parametrize(
    "broken", ["", "2323", LOGOUT_2016[:-2] + "9e", LOGOUT_2016[:-2], LOGOUT_2016 + "00", "3232" + LOGOUT_2016[4:]]
)
def test_broken_frames(broken: str) -> None:
    with pytest.raises(ProtocolError):
        gbt.parse_frame(bytes.fromhex(broken))


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (1, ""),
        (1, "1a09110c1e00"),
        (4, "1a09110c1e000046ff"),
        (4, "1a0d110c1e000046"),  # month 13
        (2, "1a09110c1e0001"),
        (2, "1a09110c1e0009010100ff"),
        (2, "1a09110c1e00800005"),
    ],
)
def test_broken_messages(command: int, data: str) -> None:
    with pytest.raises(ProtocolError):
        gbt.parse_message(Frame(Edition.V2016, command, "L" * 17, bytes.fromhex(data)))


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="17 characters"):
        gbt.encode_frame(Frame(Edition.V2016, 7, "SHORT", b""))
    with pytest.raises(ValueError, match="at most 65531"):
        gbt.encode_frame(Frame(Edition.V2016, 7, "L" * 17, bytes(65_532)))
    with pytest.raises(ValueError, match="lies outside"):
        build_struct(edition2016.Vehicle, speed_kmh=221)
    pack = build_struct(edition2025.CellPack, number=1, total=2, cells_v=(3.3,))
    cells = build_struct(edition2025.Cells, packs=(pack,))
    with pytest.raises(ValueError, match="says 2, there are 1"):
        gbt.encode_message(gbt.Realtime(TIME, (cells,)))
    with pytest.raises(ValueError, match="has not 20"):
        gbt.encode_message(gbt.Login2025(TIME, 1, "8", ()))
    with pytest.raises(ValueError, match="does not fit 1 bytes"):
        gbt.encode_message(gbt.Realtime(TIME, (build_struct(edition2016.Vehicle, gear=256),)))
    with pytest.raises(ValueError, match="the year"):
        gbt.encode_message(gbt.Logout(TIME.replace(year=1999), 1))


def test_frames_are_found_in_a_stream_with_rubbish_between_them() -> None:
    frames = [bytes.fromhex(text) for text in (LOGIN_2016, LOGOUT_2016, LOGIN_2025, REALTIME_2016)]
    bad = frames[1][:-1] + b"\0"
    stream = b"#rubbish" + frames[0] + b"##" + frames[1] + bad + frames[2] + b"$" + frames[3] + b"x"
    splitter = gbt.FrameSplitter()
    found = [frame for at in range(0, len(stream), 7) for frame in splitter.feed(stream[at : at + 7])]
    assert [gbt.encode_frame(frame) for frame in found] == frames
    assert splitter.bad >= 1
    assert splitter.skipped + sum(map(len, frames)) == len(stream)
