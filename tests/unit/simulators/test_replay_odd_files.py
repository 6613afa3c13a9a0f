"""Broken lines, empty, unknown, endless and vanishing files."""

from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.core.frames import concatenate
from simulators.replay import open_recording
from tests.unit.simulators.recorded_texts import (
    ASC,
    BUSMASTER,
    CANDUMP,
    CRTD,
    GENERIC,
    GVRET,
    MICROCHIP,
    PYTHON_CAN,
    read,
)


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
