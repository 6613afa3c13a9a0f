"""Vectors computed by hand, gates, sentinels, ranges and what is counted, on both paths."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import InputError
from agent.core.frames import ERROR_FRAME, EXTENDED, OWN, REMOTE, Frame, FrameBatch, batch_of, empty_batch
from agent.core.signals import Quality, SignalCatalog
from agent.decode.decode import decode_batch, decode_large
from agent.decode.profile import Mapping, Profile, load_profile
from agent.decode.small import Decoded
from agent.decode.table import SignalTable, build_table

Path_ = Callable[[SignalTable, FrameBatch], Decoded]
HEAD = 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n\n'
VALID, SENTINEL, IMPLAUSIBLE = int(Quality.VALID), int(Quality.SENTINEL), int(Quality.IMPLAUSIBLE)


@pytest.fixture(params=["large", "small"])
def path(request: pytest.FixtureRequest) -> Path_:
    if request.param == "small":
        return lambda table, batch: table.small.decode(batch)

    def large(table: SignalTable, batch: FrameBatch) -> Decoded:
        with np.errstate(invalid="ignore", over="ignore"):
            return decode_large(table, batch)

    return large


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[SignalTable, SignalCatalog]]:
    def build(body: str, mappings: Sequence[Mapping] = ()) -> tuple[SignalTable, SignalCatalog]:
        dbc = tmp_path / "car.dbc"
        dbc.write_text(HEAD + body, encoding="ascii")
        catalog = SignalCatalog()
        return build_table(Profile(name="test", signals=list(mappings)), [dbc], catalog), catalog

    return build


def values(decoded: Decoded, catalog: SignalCatalog) -> dict[str, tuple[float, int]]:
    samples = decoded.samples
    return {
        catalog.specs[number].path: (value, quality)
        for number, value, quality in zip(
            samples.signal.tolist(), samples.value.tolist(), samples.quality.tolist(), strict=True
        )
    }


def test_layouts_computed_by_hand(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(
        "BO_ 256 A: 8 ECU\n"
        ' SG_ Little : 4|12@1+ (0.5,-10) [0|0] "V" ECU\n'
        ' SG_ Big : 23|16@0- (1,0) [0|0] "" ECU\n'
        ' SG_ Bit : 39|1@0+ (1,0) [0|0] "" ECU\n'
    )
    data = bytes([0x30, 0x12, 0xFF, 0xFE, 0x80, 0, 0, 0])
    decoded = path(table, batch_of([Frame(5, 256, data)]))
    # 0x1230 >> 4 = 0x123 = 291 -> 135.5; FF FE = -2; top bit of byte 4 is set
    assert values(decoded, catalog) == {"A.Little": (135.5, VALID), "A.Big": (-2.0, VALID), "A.Bit": (1.0, VALID)}
    assert decoded.samples.t_ns.tolist() == [5, 5, 5]
    assert catalog.specs[0].unit in {"V", ""}
    assert (decoded.decoded, decoded.unknown, decoded.bad) == (1, 0, 0)


@pytest.mark.parametrize("sign", ["+", "-"])
@pytest.mark.parametrize("start", [0, 3, 64, 69, 440])
def test_64_bits_wherever_they_lie(
    make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_, sign: str, start: int
) -> None:
    raw = 0xF123_4567_89AB_CDEF
    word = raw << start
    table, catalog = make(f'BO_ 256 A: 64 ECU\n SG_ S : {start}|64@1{sign} (1,0) [0|0] "" ECU\n')
    decoded = path(table, batch_of([Frame(0, 256, word.to_bytes(64, "little"))]))
    expected = float(raw) if sign == "+" else float(raw - (1 << 64))
    assert values(decoded, catalog) == {"A.S": (expected, VALID)}

    first = 8 * (start // 8) + 7 - start % 8  # the same count of bits from the front, most significant first
    table, catalog = make(f'BO_ 256 A: 64 ECU\n SG_ S : {first}|64@0{sign} (1,0) [0|0] "" ECU\n')
    decoded = path(table, batch_of([Frame(0, 256, (raw << (512 - 64 - start)).to_bytes(64, "big"))]))
    assert values(decoded, catalog) == {"A.S": (expected, VALID)}


def test_floats_and_what_is_no_number(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(
        "BO_ 256 A: 12 ECU\n"
        ' SG_ F : 0|32@1- (2,1) [0|0] "" ECU\n'
        ' SG_ D : 39|64@0- (1,0) [0|0] "" ECU\n'
        "SIG_VALTYPE_ 256 F : 1;\nSIG_VALTYPE_ 256 D : 2;\n"
    )
    good = batch_of([Frame(0, 256, struct.pack("<f", 1.25) + struct.pack(">d", -0.1))])
    assert values(path(table, good), catalog) == {"A.F": (3.5, VALID), "A.D": (-0.1, VALID)}
    bad = batch_of([Frame(0, 256, struct.pack("<f", np.nan) + struct.pack(">d", np.inf))])
    assert [quality for _, quality in values(path(table, bad), catalog).values()] == [IMPLAUSIBLE, IMPLAUSIBLE]


MULTIPLEXED = (
    "BO_ 256 A: 8 ECU\n"
    ' SG_ Mux M : 56|8@1+ (1,0) [0|0] "" ECU\n'
    ' SG_ Always : 8|8@1+ (1,0) [0|0] "" ECU\n'
    ' SG_ Zero m0 : 0|8@1+ (1,0) [0|0] "" ECU\n'
    ' SG_ Seven m7 : 0|8@1- (1,0) [0|0] "" ECU\n'
)


def test_multiplexed(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(MULTIPLEXED)

    def names(data: bytes) -> set[str]:
        return {name.partition(".")[2] for name in values(path(table, batch_of([Frame(0, 256, data)])), catalog)}

    assert names(bytes([0xFF, 2, 0, 0, 0, 0, 0, 0])) == {"Mux", "Always", "Zero"}
    assert names(bytes([0xFF, 2, 0, 0, 0, 0, 0, 7])) == {"Mux", "Always", "Seven"}
    assert names(bytes([0xFF, 2, 0, 0, 0, 0, 0, 9])) == {"Mux", "Always"}


def test_a_selector_that_did_not_come_selects_nothing(
    make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_
) -> None:
    # The bytes beyond the frame's length read as zero: that must not look like selector 0.
    table, catalog = make(MULTIPLEXED)
    decoded = path(table, batch_of([Frame(0, 256, bytes([0xFF, 2, 0]))]))
    assert values(decoded, catalog) == {"A.Always": (2.0, VALID)}
    assert (decoded.decoded, decoded.unknown, decoded.bad) == (1, 0, 1)


def test_an_unwanted_selector_still_selects(
    make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_
) -> None:
    table, catalog = make(MULTIPLEXED, [Mapping(message="A", signal="Seven", path="S")])
    frames = [Frame(0, 256, bytes([5, 0, 0, 0, 0, 0, 0, 0])), Frame(1, 256, bytes([0xFE, 0, 0, 0, 0, 0, 0, 7]))]
    decoded = path(table, batch_of(frames))
    assert values(decoded, catalog) == {"S": (-2.0, VALID)}
    assert (decoded.decoded, decoded.unknown, decoded.bad) == (1, 1, 0)


def test_extended_multiplexing_with_ranges(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(
        "BO_ 256 A: 8 ECU\n"
        ' SG_ Outer M : 0|8@1+ (1,0) [0|0] "" ECU\n'
        ' SG_ Inner m1M : 8|8@1+ (1,0) [0|0] "" ECU\n'
        ' SG_ Deep m0 : 16|8@1+ (1,0) [0|0] "" ECU\n'
        ' SG_ Wide m2 : 24|8@1+ (1,0) [0|0] "" ECU\n\n'
        "SG_MUL_VAL_ 256 Inner Outer 1-1;\nSG_MUL_VAL_ 256 Deep Inner 3-200;\nSG_MUL_VAL_ 256 Wide Outer 2-9;\n"
    )
    names = [
        set(values(path(table, batch_of([Frame(0, 256, bytes([*head, 0, 0, 0, 0, 0, 0]))])), catalog))
        for head in ([1, 150], [1, 2], [5, 150], [10, 3])
    ]
    assert names[0] == {"A.Outer", "A.Inner", "A.Deep"}
    assert names[1] == {"A.Outer", "A.Inner"}
    assert names[2] == {"A.Outer", "A.Wide"}
    assert names[3] == {"A.Outer"}


GATED = (
    "BO_ 2566848768 IMU: 4 ECU\n"  # 18FF0100 extended
    ' SG_ Valid : 0|1@1+ (1,0) [0|0] "" ECU\n'
    ' SG_ Accuracy : 8|8@1+ (0.1,0) [0|0] "m" ECU\n'
    ' SG_ X : 16|8@1- (0.5,0) [0|0] "" ECU\n'
    ' SG_ Y : 24|8@1+ (1,0) [0|0] "" ECU\n'
)


def test_gates_sentinels_and_ranges(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    gates = ["Valid == 1", "Accuracy <= 1.0"]
    table, catalog = make(
        GATED,
        [
            Mapping(message="IMU", signal="X", path="X", factor=-2.0, offset=1.0, sentinels=[-1], gates=gates),
            Mapping(message="IMU", signal="Y", path="Y", minimum=10, maximum=20, gates=["Valid != 0"]),
            Mapping(message="IMU", signal="Accuracy", path="A"),
        ],
    )

    def qualities(*data: int) -> tuple[int, int, int]:
        decoded = path(table, batch_of([Frame(0, 0x18FF0100, bytes(data), EXTENDED)]))
        by_path = values(decoded, catalog)
        return by_path["X"][1], by_path["Y"][1], by_path["A"][1]

    assert qualities(1, 10, 3, 15) == (VALID, VALID, VALID)
    assert qualities(0, 10, 3, 15) == (SENTINEL, SENTINEL, VALID)
    assert qualities(1, 11, 3, 15) == (SENTINEL, VALID, VALID)
    assert qualities(1, 10, 0xFF, 21) == (SENTINEL, IMPLAUSIBLE, VALID)
    assert qualities(0, 10, 3, 9) == (SENTINEL, SENTINEL, VALID)
    decoded = path(table, batch_of([Frame(0, 0x18FF0100, bytes([1, 10, 3, 15]), EXTENDED)]))
    assert values(decoded, catalog)["X"] == (3 * 0.5 * -2 + 1, VALID)


def test_gates_hold_in_mixed_batches(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, _ = make(
        GATED + 'BO_ 5 B: 1 ECU\n SG_ Z : 0|8@1+ (1,0) [0|0] "" ECU\n',
        [
            Mapping(message="IMU", signal="X", path="X", gates=["Valid == 1"]),
            Mapping(message="B", signal="Z", path="Z"),
        ],
    )
    frames = []
    for place in range(30):
        if place % 3:
            frames.append(Frame(place, 0x18FF0100, bytes([place % 2, 0, place, 0]), EXTENDED))
        else:
            frames.append(Frame(place, 5, bytes([place])))
    samples = path(table, batch_of(frames)).samples
    assert samples.value.tolist() == [place * 0.5 if place % 3 else place for place in range(30)]
    assert samples.quality.tolist() == [SENTINEL if place % 3 and not place % 2 else VALID for place in range(30)]


def test_a_gate_that_did_not_come_fails(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(GATED, [Mapping(message="IMU", signal="Accuracy", path="A", gates=["Y == 0"])])
    decoded = path(table, batch_of([Frame(0, 0x18FF0100, bytes([1, 10, 3]), EXTENDED)]))
    assert values(decoded, catalog) == {"A": (1.0, SENTINEL)}


def test_what_is_counted(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    table, catalog = make(
        'BO_ 256 A: 4 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "" ECU\n SG_ T : 16|16@1+ (1,0) [0|0] "" ECU\n'
    )
    frames = [
        Frame(0, 256, b"\1\2\3\4"),
        Frame(1, 256, b"\1\2\3\4\5\6\7\7"),  # longer than its message: what the DBC knows is there
        Frame(2, 256, b"\1\2"),  # S fits
        Frame(3, 256, b""),
        Frame(4, 256, b"\1\2\3\4", EXTENDED),  # another identifier
        Frame(5, 257, b"\1\2\3\4"),
        Frame(6, 256, b"\1\2\3\4", REMOTE),
        Frame(7, 257, b"\1\2\3\4", ERROR_FRAME),
        Frame(8, 4000, b"\1"),  # no 11-bit identifier at all
        Frame(9, 256, b"\1\2\3\4", OWN),  # what this box sent itself is no news of the car
    ]
    decoded = path(table, batch_of(frames))
    assert decoded.samples.t_ns.tolist() == [0, 0, 1, 1, 2]
    assert [catalog.specs[number].path for number in decoded.samples.signal] == ["A.S", "A.T", "A.S", "A.T", "A.S"]
    assert (decoded.decoded, decoded.unknown, decoded.bad) == (3, 3, 5)


def test_empty_batch_and_empty_table(path: Path_) -> None:
    table = build_table(Profile(name="nothing"), [], SignalCatalog())
    for batch, unknown in ((empty_batch(), 0), (empty_batch(3), 3)):
        decoded = path(table, batch)
        assert (len(decoded.samples), decoded.decoded, decoded.unknown, decoded.bad) == (0, 0, unknown, 0)
        assert decoded.samples.signal.dtype == np.int32


def test_a_gate_that_is_never_in_the_same_frame(make: Callable[..., tuple[SignalTable, SignalCatalog]]) -> None:
    with pytest.raises(InputError, match=r"A\.Zero: no frame holds it together with its gates \(Seven\)"):
        make(MULTIPLEXED, [Mapping(message="A", signal="Zero", path="Z", gates=["Seven == 1"])])


def test_small_batches_take_the_small_path(
    make: Callable[..., tuple[SignalTable, SignalCatalog]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _ = make('BO_ 256 A: 4 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "" ECU\n')
    monkeypatch.setattr("agent.decode.decode.decode_large", lambda *_: "large")
    frame = Frame(0, 256, b"\1\2\3\4")
    assert 2 <= table.small_below <= 64
    assert isinstance(decode_batch(table, batch_of([frame] * (table.small_below - 1))), Decoded)
    assert decode_batch(table, batch_of([frame] * table.small_below)) == "large"  # type: ignore[comparison-overlap] # the stand-in


def test_messages_no_frame_can_hold(make: Callable[..., tuple[SignalTable, SignalCatalog]], path: Path_) -> None:
    body = (
        'BO_ 256 Transport: 100 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "" ECU\n SG_ Far : 700|8@1+ (1,0) [0|0] "" ECU\n\n'
        'BO_ 257 A: 8 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "" ECU\n'
    )
    table, catalog = make(body)
    frames = batch_of([Frame(0, 256, b"\1" * 8), Frame(0, 257, b"\2" * 8)])
    assert values(path(table, frames), catalog) == {"A.S": (2.0, VALID)}
    with pytest.raises(InputError, match=r"Transport\.Far: its bits reach beyond the 64 bytes"):
        make(body, [Mapping(message="Transport", signal="Far", path="F")])


def test_multiplexing_that_goes_round_in_circles(make: Callable[..., tuple[SignalTable, SignalCatalog]]) -> None:
    with pytest.raises(InputError, match=r"A: a signal hangs from Inner, which is no multiplexer above it"):
        make(
            "BO_ 256 A: 8 ECU\n"
            ' SG_ Outer M : 0|8@1+ (1,0) [0|0] "" ECU\n'
            ' SG_ Inner m1M : 8|8@1+ (1,0) [0|0] "" ECU\n'
            ' SG_ Deep m0 : 16|8@1+ (1,0) [0|0] "" ECU\n\n'
            "SG_MUL_VAL_ 256 Inner Inner 1-1;\nSG_MUL_VAL_ 256 Deep Inner 3-200;\n"
        )


def test_a_table_names_the_frames_it_needs() -> None:
    table = build_table(load_profile("generic"), [], SignalCatalog())
    assert {0x7E8, 0x7EF, 0x98DAF110} <= set(table.identifiers())
    assert 0x123 not in table.identifiers()
