from pathlib import Path

import numpy as np
import pytest

from agent.core.config import Detect
from agent.core.errors import InputError
from agent.core.events import Event
from agent.core.frames import ERROR_FRAME, EXTENDED, EXTENDED_KEY, OWN, REMOTE, Frame, batch_of
from agent.decode.checks import ALGORITHMS, Check, FrameChecker
from agent.decode.layout import Field
from agent.decode.profile import Mapping, MessageCheck, Profile
from agent.pipeline import Pipeline

LAST = Field(label="M.Checksum", first_bit=72, length=8)
LOW_NIBBLE = Field(label="M.Checksum", first_bit=56, length=4)
COUNTER = Field(label="M.Counter", first_bit=60, length=4)


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [("crc8_j1850", 0x4B), ("crc8_autosar_2f", 0xDF), ("xor", 0x31), ("sum", sum(b"123456789") & 0xFF)],
)
def test_the_catalogued_check_values(algorithm: str, value: int) -> None:
    check = Check("M", 0x100, 10, checksum=LAST, algorithm=algorithm)
    good = batch_of([Frame(0, 0x100, b"123456789" + bytes([value]))])
    bad = batch_of([Frame(0, 0x100, b"123456788" + bytes([value]))])
    checker = FrameChecker([check])
    assert checker.filter(good) is good
    assert len(checker.filter(bad)) == 0
    assert (checker.counts["M.checksum"], checker.failed()) == (1, 1)


@pytest.mark.parametrize("flag", [REMOTE, ERROR_FRAME, OWN])
def test_a_frame_that_the_decoder_refuses_is_not_judged(flag: int) -> None:
    checker = FrameChecker([Check("M", 0x100, 10, checksum=LAST, algorithm="sum")])
    refused = batch_of([Frame(0, 0x100, b"123456788\x00", flag)])
    assert checker.filter(refused) is refused
    mixed = batch_of([Frame(0, 0x100, b"123456788\x00", flag), Frame(1, 0x100, b"123456788\x00")])
    assert checker.filter(mixed).flags.tolist() == [flag]
    assert checker.failed() == 1


def test_the_autosar_data_id_stands_at_the_end() -> None:
    plain = Check("M", 1, 10, checksum=LAST, algorithm="crc8_autosar_2f")
    longer = Check(
        "M", 1, 9, checksum=Field(label="M.C", first_bit=64, length=8), algorithm="crc8_autosar_2f", data_id=0x39
    )
    for check, text in ((plain, b"123456789\xdf"), (longer, b"12345678\xdf")):
        assert len(FrameChecker([check]).filter(batch_of([Frame(0, 1, text)]))) == 1


@pytest.mark.parametrize(
    ("algorithm", "identifier", "data", "place"),
    [
        # 1+8 for the length, the identifier's bytes and the first seven: 0x2E4 -> 02+E4+8+12+00+.. (opendbc, toyota)
        ("toyota", 0x2E4, [0x12, 0x00, 0, 0, 0, 0, 0, (0x02 + 0xE4 + 8 + 0x12) & 0xFF], (56, 8)),
        # 8 - (nibbles of 0x1A6 and of the data but the checksum) (opendbc, honda)
        ("honda", 0x1A6, [0x10, 0, 0, 0, 0, 0, 0, 0x20 | (8 - (1 + 10 + 6) - 1 - 2) & 0x0F], (56, 4)),
        ("honda", 0x18DAB0F1, [0, 0, 0, 0, 0, 0, 0, (8 - (1 + 8 + 13 + 10 + 11 + 0 + 15 + 1) + 3) & 0x0F], (56, 4)),
        ("hyundai_4bit", 0x421, [0x12, 0x30, 0, 0, 0, 0, 0, (-(1 + 2 + 3)) & 0x0F], (56, 4)),
        ("nibble_sum", 0x109, [0x00, 0x01, 0x00, 0xFF, 0xFF, 0xFF, 0x0F, 0x3D], (56, 4)),  # a real frame
        ("nibble_xor", 0x2B0, [0x12, 0x40, 0, 0, 0, 0, 0, 1 ^ 2 ^ 4], (56, 4)),
    ],
)
def test_makers_formulas(algorithm: str, identifier: int, data: list[int], place: tuple[int, int]) -> None:
    flags = EXTENDED if identifier > 0x7FF else 0
    key = identifier | (EXTENDED_KEY if flags else 0)
    field = Field(label="M.Checksum", first_bit=place[0], length=place[1])
    check = Check("M", key, 8, checksum=field, algorithm=algorithm)
    frames = [Frame(0, identifier, bytes(data), flags)]
    spoilt = [bytes(b ^ (0x10 if i == octet else 0) for i, b in enumerate(data)) for octet in range(8)]
    frames += [Frame(0, identifier, payload, flags) for payload in spoilt]
    assert len(FrameChecker([check]).filter(batch_of(frames))) == 1


def test_a_counter_that_stands_still_fails_and_gaps_are_counted() -> None:
    checker = FrameChecker([Check("M", 0x10, 8, counter=COUNTER, modulus=16)])
    counts = [14, 15, 0, 0, 0, 1, 4, 5]
    frames = [Frame(t, 0x10, bytes(7) + bytes([c << 4])) for t, c in enumerate(counts)]
    for split in (8, 1, 3):
        checker = FrameChecker([Check("M", 0x10, 8, counter=COUNTER, modulus=16)])
        parts = [checker.filter(batch_of(frames[i : i + split])) for i in range(0, 8, split)]
        assert np.concatenate([part.t_ns for part in parts]).tolist() == [0, 1, 2, 5, 6, 7]
        assert checker.counts == {"M.counter": 2, "M.lost": 2}
        assert checker.failed() == 2


def test_buses_count_apart_and_other_frames_are_left_alone() -> None:
    checker = FrameChecker([Check("M", 0x10, 8, counter=COUNTER, modulus=16)])
    frames = [Frame(0, 0x10, bytes(8)), Frame(0, 0x10, bytes(8), bus=1), Frame(0, 0x11, bytes(8)), Frame(0, 0x10, b"")]
    batch = batch_of(frames)
    assert checker.filter(batch) is batch
    other = batch_of([Frame(0, 0x11, bytes(8))])
    assert checker.filter(other) is other


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="is not known: crc8"):
        Check("M", 1, 8, checksum=LOW_NIBBLE, algorithm="md5")
    with pytest.raises(InputError, match="within 4 bytes"):
        Check("M", 1, 4, checksum=LOW_NIBBLE, algorithm="sum")
    with pytest.raises(ValueError, match="go together"):
        MessageCheck(message="M", checksum="C")
    with pytest.raises(ValueError, match="neither"):
        MessageCheck(message="M")
    assert "hyundai_4bit" in ALGORITHMS


DBC = """VERSION ""
BS_:
BU_:
BO_ 265 VCU: 8 XXX
 SG_ Value : 0|8@1+ (1,0) [0|0] "" XXX
 SG_ Checksum : 56|4@1+ (1,0) [0|15] "" XXX
 SG_ Counter : 60|4@1+ (1,0) [0|15] "" XXX
"""


def test_a_frame_that_fails_never_becomes_a_signal(tmp_path: Path) -> None:
    dbc = tmp_path / "vcu.dbc"
    dbc.write_text(DBC)
    profile = Profile(
        name="x",
        signals=[Mapping(message="VCU", signal="Value", path="Vehicle.Speed")],
        checks=[MessageCheck(message="VCU", checksum="Checksum", algorithm="nibble_sum", counter="Counter")],
    )
    events: list[Event] = []
    pipeline = Pipeline(profile, [dbc], limits=Detect(), on_events=events.extend, on_window=lambda _: None)
    good = [Frame(n, 265, bytes([n, 0, 0, 0, 0, 0, 0, n << 4 | (n * 2) & 0x0F])) for n in range(1, 6)]
    bad = Frame(9, 265, bytes([200, 0, 0, 0, 0, 0, 0, 0x60]))
    pipeline.on_frames(batch_of([*good, bad, good[-1]]))
    assert pipeline.counts.frames == 7
    assert (pipeline.counts.samples, pipeline.counts.failed) == (5, 2)
    assert pipeline.latest() == {"Vehicle.Speed": 5.0}
    assert pipeline.failed_checks() == {"VCU.checksum": 1, "VCU.counter": 1}
    account = pipeline.quality(5)
    assert account["Vehicle.Speed"] == {"valid": 5, "quality": "valid", "age_s": 0.0, "source": "bus"}
    assert pipeline.quality(10_000_000_000)["Vehicle.Speed"]["quality"] == "stale"
