"""Every text format's lines, headers and faults."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.core.frames import (
    BIT_RATE_SWITCH,
    ERROR_FRAME,
    ERROR_STATE,
    EXTENDED,
    FD,
    OWN,
    REMOTE,
    Frame,
    FrameBatch,
    concatenate,
)
from simulators.replay import Recording, open_recording

CANDUMP = """\
(1612345678.000000) can0 123#0011AA
(1612345678.000250) can1 12345678#
(1612345678.001000) can0 7FF#R
(1612345678.002000) vcan 123##3001122 T
(1612345678.003000) can0 20000004#0000000000000000
(1612345678.004000) can0 00000123#DE.AD.BE.EF R
"""
CRTD = """\
1320745424.000 CXX OVMS Tesla Roadster cando2crtd converted log
1320745424.002 R11 402 FA 01 C3 A0 96 00 07 01
1320745424.0025 2R29 18FEF100 01
1320745424.003 T11 7DF 02 01 00
1320745424.004 1CEV vehicle.alert x
"""
GVRET = """\
Time Stamp,ID,Extended,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8
166064000,0000021A,false,0,8,FE,36,12,FE,69,05,07,AD,
166064100,18FEF100,true,1,2,01,02,00,00,00,00,00,00,
166065000,000007DF,false,Tx,0,3,2,1,C,
"""
PYTHON_CAN = """\
timestamp,arbitration_id,extended,remote,error,dlc,data
1790000000.25,0x25,0,0,0,8,//8AAAAAACs=
1790000000.2519674,0x18fef100,1,0,0,1,AQ==
1790000000.26,0x7ff,0,1,0,4,
1790000001.25,0x4,0,0,1,0,
"""
GENERIC = """\
ID,Data Bytes
0000021A,FE 36 12\x20
18FEF100,01
"""
MICROCHIP = """\
//---------------------------------
Microchip Technology Inc.
CAN BUS Analyzer
SavvyCAN Exporter
Logging Started: 23/9/2015 22:17:43
//---------------------------------
166064;RX;0x0000021A;8;0xFE;0x36;0x12;0xFE;0x69;0x05;0x07;0xAD;
166065;TX;0x18FEF100x;1;0x1;
166066;RX;0x7FF;0;
"""
BUSMASTER = """\
***BUSMASTER Ver 2.4.0***
***PROTOCOL CAN***
***[START LOGGING SESSION]***
***START DATE AND TIME 23:9:2015 22:17:28:928***
***HEX***
***SYSTEM MODE***
***<Time><Tx/Rx><Channel><CAN ID><Type><DLC><DataBytes>***
22:20:14:992 Rx 1 0x21A s 2 FE 36
22:20:14:9935 Tx 2 18FEF100 x 1 01
22:20:15:7 Rx 1 7FF sr 4
***[STOP LOGGING SESSION]***
"""
ASC = """\
date Thu Sep 30 03:06:13.191 pm 2017
base hex  timestamps absolute
internal events logged
// version 9.0.0
Begin Triggerblock Thu Sep 30 03:06:13.191 pm 2017
   0.000000 Start of measurement
   0.015991 1  C4              Rx   d 2 AA BB  Length = 256000 BitCount = 132 ID = 196
   0.015992 2  18EBFF00x       Tx   d 1 01
   0.015993 1  300             Rx   r 4
   0.015994 1  ErrorFrame      ECC: 10100010
   0.015995 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%
   0.016000 1  7DF             TxRq d 1 00
   0.017000 CANFD   2 Rx        4EE  name       1 1 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C  0  0  3000 0 0 0 0 0
   0.018000 CANFD   1 Tx   1FFFFFFFx                     0 0 1  1 FE 0  0  1000 0 0 0 0 0
   0.019000 J1939TP FEE3p 6 0 0 - Rx d 23 A0 0F A6 60 3B D1 40 1F DE 80
End TriggerBlock
"""
ASC_RELATIVE = """\
date Fre Mär 2 10:11:12 2018
base dec timestamps relative
0.500000 1 291 Rx d 2 255 16
0.250000 1 536870911x Rx d 0
"""

MS = 1_000_000
CASES = {
    ("drive.log", "candump", CANDUMP): [
        Frame(0, 0x123, b"\x00\x11\xaa"),
        Frame(250_000, 0x12345678, b"", EXTENDED, bus=1),
        Frame(1 * MS, 0x7FF, b"", REMOTE),
        Frame(2 * MS, 0x123, b"\x00\x11\x22", FD | BIT_RATE_SWITCH | ERROR_STATE | OWN),
        Frame(3 * MS, 0x4, bytes(8), ERROR_FRAME),
        Frame(4 * MS, 0x123, b"\xde\xad\xbe\xef", EXTENDED),
    ],
    ("drive.txt", "crtd", CRTD): [
        Frame(0, 0x402, bytes.fromhex("FA01C3A096000701")),
        Frame(500_000, 0x18FEF100, b"\x01", EXTENDED, bus=1),
        Frame(1 * MS, 0x7DF, b"\x02\x01\x00", OWN),
    ],
    ("drive.csv", "gvret", GVRET): [
        Frame(0, 0x21A, bytes.fromhex("FE3612FE690507AD")),
        Frame(100_000, 0x18FEF100, b"\x01\x02", EXTENDED, bus=1),
        Frame(1 * MS, 0x7DF, b"\x02\x01\x0c", OWN),
    ],
    ("drive.csv", "python-can", PYTHON_CAN): [
        Frame(0, 0x25, bytes.fromhex("FFFF00000000002B")),
        Frame(1_967_400, 0x18FEF100, b"\x01", EXTENDED),
        Frame(10 * MS, 0x7FF, b"", REMOTE),
        Frame(1000 * MS, 0x4, b"", ERROR_FRAME),
    ],
    ("drive.csv", "generic-id", GENERIC): [
        Frame(0, 0x21A, b"\xfe\x36\x12"),
        Frame(1 * MS, 0x18FEF100, b"\x01", EXTENDED),
    ],
    ("drive.log", "microchip", MICROCHIP): [
        Frame(0, 0x21A, bytes.fromhex("FE3612FE690507AD")),
        Frame(1 * MS, 0x18FEF100, b"\x01", EXTENDED | OWN),
        Frame(2 * MS, 0x7FF, b""),
    ],
    ("drive.log", "busmaster", BUSMASTER): [
        Frame(0, 0x21A, b"\xfe\x36"),
        Frame(1_500_000, 0x18FEF100, b"\x01", EXTENDED | OWN, bus=1),
        Frame(15 * MS, 0x7FF, b"", REMOTE),
    ],
    ("drive.asc", "asc", ASC): [
        Frame(0, 0xC4, b"\xaa\xbb"),
        Frame(1_000, 0x18EBFF00, b"\x01", EXTENDED | OWN, bus=1),
        Frame(2_000, 0x300, b"", REMOTE),
        Frame(3_000, 0, b"", ERROR_FRAME),
        Frame(1_009_000, 0x4EE, bytes(range(1, 13)), FD | BIT_RATE_SWITCH | ERROR_STATE, bus=1),
        Frame(2_009_000, 0x1FFFFFFF, b"\xfe", EXTENDED | OWN | FD),
    ],
    ("drive.asc", "asc", ASC_RELATIVE): [
        Frame(0, 291, b"\xff\x10"),
        Frame(250 * MS, 0x1FFFFFFF, b"", EXTENDED),
    ],
}
STARTS_NS = {
    "candump": 1_612_345_678_000_000_000,
    "crtd": 1_320_745_424_002_000_000,
    "python-can": 1_790_000_000_250_000_000,
    "busmaster": 1_443_046_814_992_000_000,
    "asc": 1_506_783_973_206_991_000,
}


def frames_of(batch: FrameBatch) -> list[Frame]:
    return [
        Frame(int(t), int(i), row[:n].tobytes(), int(f), int(b))
        for t, i, row, n, f, b in zip(
            batch.t_ns, batch.can_id, batch.data, batch.length, batch.flags, batch.bus, strict=True
        )
    ]


def read(recording: Recording) -> list[Frame]:
    return frames_of(concatenate(list(recording)))


@pytest.mark.parametrize(("case", "frames"), CASES.items(), ids=lambda case: case[1] if isinstance(case, tuple) else "")
def test_lines_become_frames(tmp_path: Path, case: tuple[str, str, str], frames: list[Frame]) -> None:
    name, kind, text = case
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    recording = open_recording(path)
    assert recording.format == kind
    assert read(recording) == frames
    assert recording.bad_lines == 0, recording.bad_places
    assert recording.frames == len(frames)
    if text != ASC_RELATIVE:
        assert recording.start_wall_ns == STARTS_NS.get(kind)


@pytest.mark.parametrize(("case", "frames"), CASES.items(), ids=lambda case: case[1] if isinstance(case, tuple) else "")
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode("latin-1"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.rstrip("\n").encode("latin-1"),
    ],
    ids=["crlf", "utf-8 with mark", "utf-16", "no last newline"],
)
def test_encodings_and_line_ends_do_not_matter(
    tmp_path: Path, case: tuple[str, str, str], frames: list[Frame], encode: Callable[[str], bytes]
) -> None:
    name, kind, text = case
    path = tmp_path / name
    path.write_bytes(encode(text))
    recording = open_recording(path)
    assert recording.format == kind
    assert read(recording) == frames


@pytest.mark.parametrize(
    ("name", "text", "bad"),
    [
        ("a.log", CANDUMP + "(1612345679.0) can0 123#0\n(16123\n(1612345679.0) can0 FFF#00\nx\n", [7, 8, 9, 10]),
        ("a.txt", CRTD + "1320745425.0 R11 402 F\n1320745425.0 R11 FFF 00\n", [6, 7]),
        ("a.csv", GVRET + "166066000,0000021A,false,0,8,FE,36\n166066000,FFFFFFFF,true,0,1,FE\n166\n", [5, 6, 7]),
        ("a.csv", PYTHON_CAN + "1790000002.0,0x800,0,0,0,0,\n1790000002.0,0x25,0,0,0,8,A\n17\n", [6, 7, 8]),
        ("a.csv", GENERIC + "0000021A,F\nFFFFFFFF,00\n", [4, 5]),
        ("a.log", MICROCHIP + "166067;RX;0x21A;8;0xFE;\n166067;RX;\n", [10, 11]),
        ("a.log", BUSMASTER + "22:20:15:8 Rx 1 7FF s 4 00\n22:20\n", [12, 13]),
        (
            "a.asc",
            ASC + "0.02 1 C4 Rx d 2 AA\n0.02 1\n0.02 1 C4\n0.02 CANFD 1 Rx 1 0 0 2 2 AA\nx\n",
            [17, 18, 19, 20, 21],
        ),
    ],
    ids=["candump", "crtd", "gvret", "python-can", "generic-id", "microchip", "busmaster", "asc"],
)
def test_broken_lines_are_counted_by_place(tmp_path: Path, name: str, text: str, bad: list[int]) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    recording = open_recording(path)
    good = len(read(recording))
    assert recording.bad_lines == len(bad)
    assert recording.bad_places == [f"line {number}" for number in bad]
    assert good == recording.frames > 0


def test_only_the_first_places_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(CANDUMP + "x\n" * 100, encoding="utf-8")
    recording = open_recording(path)
    assert len(read(recording)) == 6
    assert recording.bad_lines == 100
    assert recording.bad_places == [f"line {number}" for number in range(7, 12)]


def test_content_counts_more_than_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "a.asc"
    path.write_text(GVRET, encoding="utf-8")
    assert open_recording(path).format == "gvret"


@pytest.mark.parametrize(("extension", "kind"), [(".csv", "gvret"), (".asc", "asc"), (".blf", "blf"), (".MF4", "mf4")])
def test_an_empty_file_is_a_recording_without_frames(tmp_path: Path, extension: str, kind: str) -> None:
    path = tmp_path / f"a{extension}"
    path.touch()
    recording = open_recording(path)
    assert recording.format == kind
    assert list(recording) == []
    assert (recording.frames, recording.bad_lines, recording.duration_ns) == (0, 0, 0)


@pytest.mark.parametrize("text", [ASC.split("Begin", 1)[0], GVRET.split("\n", 1)[0], BUSMASTER.split("22:20", 1)[0]])
def test_headers_alone_are_a_recording_without_frames(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.rec"
    path.write_text(text, encoding="utf-8")
    recording = open_recording(path)
    assert list(recording) == []
    assert recording.bad_lines == 0


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("a.xyz", b"hello world\n", "'hello world'"),
        ("a.csv", bytes(range(200, 256)), "c8 c9 ca cb"),
        ("a.dbc", b'VERSION ""\n\nNS_ :\n', "VERSION"),
        ("a.xyz", b"", "empty"),
    ],
)
def test_an_unknown_format_is_refused_by_name(tmp_path: Path, name: str, content: bytes, seen: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a recording of a known format") as caught:
        open_recording(path)
    assert str(path) in str(caught.value)
    assert seen in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        open_recording(tmp_path / "missing.log")
    with pytest.raises(InputError, match="directory"):
        open_recording(tmp_path)


def test_a_file_that_vanishes_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(CANDUMP, encoding="utf-8")
    recording = open_recording(path)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.log"):
        list(recording)


def test_a_recording_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(CANDUMP + "x\n", encoding="utf-8")
    recording = open_recording(path)
    assert read(recording) == read(recording)
    assert (recording.frames, recording.bad_lines) == (6, 1)


def test_a_line_without_end_costs_one_line_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(CANDUMP + "9" * 3_000_000 + "\n(1612345678.009000) can0 123#00\n", encoding="utf-8")
    recording = open_recording(path)
    assert len(read(recording)) == 7
    assert recording.bad_places == ["line 7"]


def test_a_big_file_comes_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"(0.{n:06d}) can0 123#{n:08X}\n" for n in range(70_000)), encoding="utf-8")
    batches = list(open_recording(path))
    assert len(batches) > 1
    payloads = concatenate(batches).data[:, :4].copy().view(">u4").ravel()
    assert payloads.tolist() == list(range(70_000))


def test_busmaster_counts_over_midnight_and_in_decimal(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    text = BUSMASTER.split("22:20", 1)[0].replace("***HEX***", "***DEC***")
    path.write_text(text + "23:59:59:999 Rx 1 291 s 2 255 16\n0:0:0:1 Rx 1 291 s 0\n", encoding="utf-8")
    recording = open_recording(path)
    assert read(recording) == [Frame(0, 291, b"\xff\x10"), Frame(2 * MS, 291, b"")]
    assert recording.backward_steps == 0


def test_busmaster_relative_times_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    text = BUSMASTER.split("22:20", 1)[0].replace("SYSTEM", "RELATIVE")
    path.write_text(text + "0:0:0:100 Rx 1 1 s 0\n0:0:0:050 Rx 1 2 s 0\n0:0:0:025 Rx 1 3 s 0\n", encoding="utf-8")
    recording = open_recording(path)
    assert [frame.t_ns for frame in read(recording)] == [0, 50 * MS, 75 * MS]
    assert recording.start_wall_ns == 1_443_046_648_928_000_000 + 100 * MS


def test_gvret_micros_overflow_every_71_minutes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("4294967290,1,false,0,0\n10,2,false,0,0\n", encoding="utf-8")
    recording = open_recording(path)
    assert [frame.t_ns for frame in read(recording)] == [0, 16_000]
    assert recording.backward_steps == 0
