"""Trouble codes heard on a bus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.config import Detect
from agent.core.frames import EXTENDED, OWN, Frame, batch_of
from agent.core.trouble import CodeReading
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from agent.proto import uds
from agent.proto.bus_codes import CarCodes, TruckCodes
from agent.proto.isotp import Segmenter
from agent.proto.j1939 import PGN_DM1, encode_broadcast, encode_packets
from agent.proto.j1939_dm import Diagnosis, Fault, Lamp, LampState, encode_diagnosis
from agent.proto.uds import Dtc, DtcStatus

S = 10**9
MS = 10**6
RED = Lamp(LampState.ON)


def truck(message: bytes, source: int = 0x00) -> list[Frame]:
    if len(message) == 8:
        return [Frame(0, 0x18FECA00 | source, message, EXTENDED)]
    told = [Frame(0, 0x18ECFF00 | source, encode_broadcast(PGN_DM1, message), EXTENDED)]
    return told + [
        Frame((n + 1) * 60 * MS, 0x18EBFF00 | source, data, EXTENDED) for n, data in enumerate(encode_packets(message))
    ]


def answer(message: bytes, *, at_ns: int, sender: int = 0x7E8, flags: int = 0) -> list[Frame]:
    segmenter = Segmenter(message)
    frames = [Frame(at_ns, sender, data, flags) for data in segmenter.take(at_ns)]
    if not segmenter.done:
        segmenter.feed(b"\x30\x00\x00", at_ns + MS)
        frames += [Frame(at_ns + 2 * MS, sender, data, flags) for data in segmenter.take(at_ns + 2 * MS)]
    return frames


def asked(data: bytes, can_id: int = 0x7DF, flags: int = 0) -> Frame:
    return Frame(0, can_id, (bytes([len(data)]) + data).ljust(8, b"\0"), flags)


def hear(*frames: Frame) -> list[CodeReading]:
    return CarCodes().feed(batch_of(frames))


def test_active_faults_short_and_long() -> None:
    one = encode_diagnosis(Diagnosis(stop=RED, faults=[Fault(110, 0, 3)]))
    (reading,) = TruckCodes().feed(batch_of(truck(one)))
    assert (reading.source, reading.stored, reading.sure, reading.stop) == ("j1939:00", ("SPN 110 FMI 0",), False, True)
    many = encode_diagnosis(Diagnosis(faults=[Fault(980, 9), Fault(3216, 20), Fault(609, 12)]))
    (reading,) = TruckCodes().feed(batch_of(truck(many, source=0x21)))
    assert reading.stored == ("SPN 980 FMI 9", "SPN 3216 FMI 20", "SPN 609 FMI 12")
    assert (reading.source, reading.stop, reading.t_ns) == ("j1939:21", False, 2 * 60 * MS)


@pytest.mark.parametrize(("profile", "frames", "stored"), [
    ("j1939", truck(encode_diagnosis(Diagnosis(faults=[Fault(110, 0)]))), ("SPN 110 FMI 0",)),
    ("generic", [asked(b"\x03"), *answer(bytes.fromhex("43 01 01 71"), at_ns=MS)], ("P0171",)),
])  # fmt: skip
def test_the_pipeline_hands_them_on(profile: str, frames: list[Frame], stored: tuple[str, ...]) -> None:
    heard: list[CodeReading] = []
    pipeline = Pipeline(
        load_profile(profile),
        [],
        limits=Detect(),
        on_events=lambda _: None,
        on_window=lambda _: None,
        on_codes=heard.append,
    )
    pipeline.on_frames(batch_of(frames))
    assert [reading.stored for reading in heard] == [stored]


def test_no_fault_is_a_reading_and_a_broken_message_is_none() -> None:
    trucks = TruckCodes()
    assert trucks.feed(batch_of(truck(encode_diagnosis(Diagnosis()))))[0].stored == ()
    assert trucks.feed(batch_of([Frame(0, 0x18FECA00, b"\0\0\0", EXTENDED)])) == []
    assert trucks.bad == 1


@pytest.mark.parametrize(("request_data", "reply", "field"), [
    (b"\x03", "43 01 01 71", "stored"),
    (b"\x07", "47 01 01 71", "pending"),
    (b"\x0a", "4a 01 01 71", "permanent"),
])  # fmt: skip
def test_answers_to_a_tester(request_data: bytes, reply: str, field: str) -> None:
    (reading,) = hear(asked(request_data), *answer(bytes.fromhex(reply), at_ns=20 * MS))
    told = {name: getattr(reading, name) for name in ("stored", "pending", "permanent")}
    assert told == {"stored": None, "pending": None, "permanent": None} | {field: ("P0171",)}
    assert (reading.source, reading.sure, reading.whole) == ("bus:7E8", True, True)


def test_a_long_uds_answer_with_29_bits() -> None:
    dtcs = [Dtc(0x017113, DtcStatus.CONFIRMED), Dtc(0x030100, DtcStatus.PENDING), Dtc(0xC10000, DtcStatus.TEST_FAILED)]
    frames = answer(uds.encode_dtcs(dtcs), at_ns=20 * MS, sender=0x18DAF110, flags=EXTENDED)
    assert len(frames) > 1
    (reading,) = hear(asked(b"\x19\x02\xff", 0x18DB33F1, EXTENDED), *frames)
    assert (reading.stored, reading.pending, reading.whole) == (("P0171-13",), ("P0301-00",), False)


def test_an_answer_nobody_asked_for_is_no_answer() -> None:
    reply = bytes.fromhex("43 01 01 71")
    assert hear(*answer(reply, at_ns=0)) == []
    assert hear(asked(b"\x03"), *answer(reply, at_ns=6 * S)) == []
    assert hear(asked(b"\x01\x0c"), *answer(reply, at_ns=MS)) == []
    assert hear(asked(b"\x03"), *answer(reply, at_ns=MS, sender=0x123)) == []
    assert hear(asked(b"\x03"), *answer(reply, at_ns=MS, flags=OWN)) == []


def test_refusals_and_other_answers_are_no_readings() -> None:
    for reply in ("7f 19 78", "59 01 ff 01 00 05", "41 0c 12 34"):
        assert hear(asked(b"\x19\x02\xff"), *answer(bytes.fromhex(reply), at_ns=MS)) == []


def test_a_broken_list_is_counted() -> None:
    cars = CarCodes()
    assert cars.feed(batch_of([asked(b"\x19\x02\xff"), *answer(bytes.fromhex("59 02 ff 01 71"), at_ns=MS)])) == []
    assert cars.bad == 1


frames = st.lists(
    st.builds(
        Frame,
        st.integers(0, 9 * S),
        st.sampled_from([0x7DF, 0x7E8, 0x18DAF110, 0x18FECA00, 0x18EBFF00, 0x18ECFF00]),
        st.binary(max_size=8) | st.sampled_from([b"\x01\x03", b"\x03\x19\x02\xff", b"\x10\x14\x59\x02\xff\1\2\3"]),
        st.sampled_from([0, EXTENDED]),
    ),
    max_size=40,
)


@given(frames, st.integers(0, 40))
def test_any_bytes_in_any_batches_give_readings_or_nothing(heard: list[Frame], cut: int) -> None:
    heard.sort(key=lambda frame: frame.t_ns)
    for make in (CarCodes, TruckCodes):
        whole, parts = make().feed(batch_of(heard)), make()
        assert parts.feed(batch_of(heard[:cut])) + parts.feed(batch_of(heard[cut:])) == whole
        assert all(np.issubdtype(type(reading.t_ns), int) for reading in whole)
