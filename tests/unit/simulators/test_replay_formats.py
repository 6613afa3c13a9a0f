"""Every text format's lines and headers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.frames import Frame
from simulators.replay import open_recording
from tests.unit.simulators.recorded_texts import ASC_RELATIVE, BUSMASTER, CASES, MS, STARTS_NS, read


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
