"""Targets without a signature: whatever a bus, an adapter or a receiver may send."""

from contextlib import suppress
from typing import Final

from agent.core.errors import ProtocolError, SourceLost
from agent.proto import gbt32960, isotp, j1939, obd, obd_monitors, uds
from agent.proto.elm327 import Elm327
from agent.proto.j1939_dm import encode_diagnosis, parse_diagnosis
from agent.proto.j1939_extended import EXTENDED_MAX, SESSIONS_MAX
from agent.proto.nmea import NmeaParser, encode_sentence
from tests.fuzz import seeds
from tests.fuzz.target import Feed, Target

_FRAMES: Final = (8, 12, 16, 20, 24, 32, 48, 64)


def isotp_target(data: bytes) -> None:
    """Frames of several senders in any order; flow control of any kind; and a message there and back."""
    feed = Feed(data)
    options = feed.number()
    address = isotp.Address.mixed(0x99) if options & 1 else None
    reassembler = isotp.Reassembler(size_max=300, senders_max=3, block_size=options >> 1 & 3, address=address)
    segmenter = isotp.Segmenter(bytes(100), frame_size=_FRAMES[options >> 3 & 7], address=address, waits_max=2)
    t_ns = 0
    while feed:
        control = feed.number()
        t_ns += (control >> 3) * 20_000_000
        frame = feed.chunk(70)
        with suppress(ProtocolError):
            received = reassembler.feed(control & 7, frame, t_ns)
            assert received.message is None or 1 <= len(received.message) <= 300
        with suppress(ProtocolError):
            segmenter.take(t_ns)
            segmenter.feed(frame, t_ns)
        held = [len(partial.data) for partial in reassembler._partials.values()]
        assert len(held) <= 3
        assert sum(held) <= 3 * (300 + 64)
    if data:
        whole = isotp.Reassembler(address=address)
        frames = isotp.encode_frames(data, frame_size=_FRAMES[options >> 3 & 7], address=address)
        assert [whole.feed(1, each, 0).message for each in frames][-1] == data


def obd_target(data: bytes) -> None:
    """Replies to every service, and requests."""
    with suppress(obd.RequestRefused):
        assert obd.check_request(data)[0] in obd.READ_ONLY_SERVICES
    feed = Feed(data)
    asked = set(feed.chunk(6)) or {0x0C}
    message = feed.rest()
    with suppress(ProtocolError):
        found = obd.parse_pids(message, asked)
        assert set(found) <= asked
    with suppress(ProtocolError):
        obd.parse_supported(0, message)
    for service in (obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS):
        with suppress(ProtocolError):
            assert all(obd.parse_dtc(obd.encode_dtc(code)) == code for code in obd.parse_dtcs(message, service))
    with suppress(ProtocolError):
        assert len(obd.parse_vin(message)) == 17
    with suppress(ProtocolError):
        obd.parse_calibration_ids(message)
    with suppress(ProtocolError):
        obd.parse_freeze_frame(message, 0x0C)
    with suppress(ProtocolError):
        assert len(obd_monitors.parse_monitor_results(message)) == len(message) // 9
    with suppress(ProtocolError):
        obd_monitors.parse_supported_monitors(message)


def uds_target(data: bytes) -> None:
    """Replies to 19 and 22, and requests."""
    with suppress(obd.RequestRefused):
        assert uds.check_request(data)[0] in {uds.READ_DTCS, uds.READ_DATA}
    feed = Feed(data)
    dids = {feed.number(2): feed.number() & 15 for _ in range(feed.number() & 3)} or {0xF190: 17}
    message = feed.rest()
    for request in (uds.encode_read_dids(list(dids)), b"\x19" + message[1:2] + b"\xff"):
        try:
            answer = uds.parse_answer(message, request)
        except ProtocolError:
            continue
        if isinstance(answer, uds.Negative):
            assert answer.text
            assert answer.advice in uds.Advice
            continue
        for parse in (uds.parse_dtcs, uds.parse_dtc_count, uds.parse_dtc_record):
            with suppress(ProtocolError):
                parse(answer)
        with suppress(ProtocolError):
            found = uds.parse_dids(answer, list(dids), dids)
            assert set(found) <= set(dids)


def elm327_target(data: bytes) -> None:
    """An adapter that says anything at any time, and a caller that gives up now and then."""
    feed = Feed(data)
    dialogue = Elm327()
    requests = (b"\x01\x0c\x0d", b"\x03", b"\x09\x02", b"\x01\x05")
    while feed:
        control = feed.number()
        if dialogue.state == "ready":
            with suppress(ValueError):  # too many are waiting
                dialogue.request(requests[control & 3])
        elif dialogue.state == "failed":
            with suppress(SourceLost):
                dialogue.request(requests[0])
            return
        sent = dialogue.take()
        assert sent == b"" or sent.endswith(b"\r")
        replies = dialogue.give_up() if control & 0x80 else dialogue.feed(feed.chunk())
        for reply in replies:
            request = bytes.fromhex(reply.command) if not reply.command.startswith("AT") else b""
            assert all(obd.is_answer(message.data, request) for message in reply.messages)
        assert len(bytes(dialogue._block)) <= 16_384


def j1939_target(data: bytes) -> None:
    """Frames of a handful of addresses; diagnoses."""
    with suppress(ProtocolError):
        diagnosis = parse_diagnosis(data)
        assert parse_diagnosis(encode_diagnosis(diagnosis)) == diagnosis
    feed = Feed(data)
    transport = j1939.Transport(sessions_max=3)
    t_ns = 0
    while feed:
        control, number = feed.number(), feed.number(4)
        pgn = (j1939.PGN_CONNECTION, j1939.PGN_DATA, number >> 8 & 0x3FF00, number >> 8 & 0x3FFFF)[control & 3]
        can_id = pgn << 8 | number & 3 | (0xFF00 if number & 4 else (number & 0x18) << 5 if pgn & 0xFF == 0 else 0)
        t_ns += (control >> 2) * 20_000_000
        with suppress(ProtocolError):
            message = transport.feed(can_id, feed.chunk(9), t_ns)
            assert message is None or len(message.data) <= EXTENDED_MAX
        assert len(transport) <= 3
        assert len(transport.extended) <= SESSIONS_MAX


def nmea_target(data: bytes) -> None:
    """A receiver's bytes, in two splits; and the same as a sentence with a good checksum."""
    whole, pieces = NmeaParser(), NmeaParser()
    fixes = whole.feed(data)
    size = 1 + (data[0] if data else 0) % 16
    assert [fix for at in range(0, len(data), size) for fix in pieces.feed(data[at : at + size])] == fixes
    assert (whole.sentences, whole.bad) == (pieces.sentences, pieces.bad)
    body = data.decode("ascii", "ignore")
    for talker in ("GPRMC", "GNGGA", "GPGSA", "GPVTG"):
        NmeaParser().feed(encode_sentence(f"{talker},{body}"))


def gbt32960_target(data: bytes) -> None:
    """A stream; and its bytes as the data of every command of both editions."""
    splitter = gbt32960.FrameSplitter()
    frames = splitter.feed(data[:7]) + splitter.feed(data[7:])
    assert sum(len(gbt32960.encode_frame(each)) for each in frames) + splitter.skipped + len(splitter) == len(data)
    if data:
        command, response = (1, 2, 3, 4)[data[0] & 3], 1 if data[0] & 4 else gbt32960.COMMAND
        edition = gbt32960.Edition.V2025 if data[0] & 8 else gbt32960.Edition.V2016
        frames.append(gbt32960.Frame(edition, command, "L" * 17, data[1:], response))
    for frame in frames:
        with suppress(ProtocolError):
            message = gbt32960.parse_message(frame)
            assert gbt32960.encode_message(message) == frame.data
            for body in message.bodies if isinstance(message, gbt32960.Realtime) else ():
                if isinstance(body, gbt32960.edition2016.Alarms | gbt32960.edition2025.Alarms):
                    gbt32960.active_alarms(body)


PROTOCOLS: Final = (
    Target("isotp", isotp_target, seeds.ISOTP),
    Target("obd", obd_target, seeds.OBD),
    Target("uds", uds_target, seeds.UDS),
    Target("elm327", elm327_target, seeds.ELM327),
    Target("j1939", j1939_target, seeds.J1939),
    Target("nmea", nmea_target, seeds.NMEA),
    Target("gbt32960", gbt32960_target, seeds.GBT32960),
)
