"""Whatever is in a file, reading it ends with frames that CAN allows, or with an InputError."""

import tempfile
from pathlib import Path

import can
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.errors import InputError
from agent.core.frames import EXTENDED, FrameBatch, concatenate
from simulators.replay import open_recording
from simulators.replay.lines import read_lines
from simulators.replay.recording import TEXT_FORMATS
from simulators.replay.report import Report

SEEDS = {
    "asc": b"date Thu Sep 30 03:06:13 pm 2017\nbase hex timestamps absolute\n0.1 1 C4x Rx d 2 AA BB\n"
    b"0.2 CANFD 1 Rx 1 n 1 0 2 2 AA BB 0 0 3000\n0.3 1 ErrorFrame\n0.4 1 1 Tx r 2\n",
    "candump": b"(1612345678.000000) can0 123#0011AA\n(1.5) can1 12345678##3001122 T\n(2.0) c 7FF#R8\n",
    "gvret": b"Time Stamp,ID,Extended,Bus,LEN,D1\n166064000,0000021A,false,0,2,FE,36\n1,2,true,Tx,0,1,C,\n",
    "crtd": b"1.0 CXX hello\n1320745424.002 R11 402 FA 01\n1.5 2T29 18FEF100\n",
    "python-can": b"timestamp,arbitration_id,extended,remote,error,dlc,data\n"
    b"1790000000.0019674,0xc4,0,0,0,8,//8AAAAAACs=\n1790000000.5,0x18fef100,1,1,0,0,\n",
    "generic-id": b"ID,Data Bytes\n0000021A,FE 36\n18FEF100,\n",
    "microchip": b"// \n166064;RX;0x0000021A;2;0xFE;0x36;\n1;TX;0x18FEF100x;0;\n",
    "busmaster": b"***START DATE AND TIME 23:9:2015 22:17:28:928***\n***HEX***\n***SYSTEM MODE***\n"
    b"22:20:14:992 Rx 1 0x21A s 2 FE 36\n22:20:15:7 Tx 1 7FF xr 4\n",
}


@st.composite
def damaged(draw: st.DrawFn, seed: bytes) -> bytes:
    """A good file with pieces cut out, put in and changed."""
    content = bytearray(seed * draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        content[start:end] = draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"9" * 30, b"FFFFFFFF", b"-", b"\n"]))
        )
    return bytes(content)


def check(batch: FrameBatch) -> None:
    extended = (batch.flags & EXTENDED) != 0
    assert (batch.can_id[extended] <= 0x1FFFFFFF).all()
    assert (batch.length <= 64).all()
    assert (batch.data[np.arange(64) >= batch.length[:, None]] == 0).all()


@pytest.mark.parametrize("kind", TEXT_FORMATS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_bytes_given_to_a_parser_are_frames_or_counted(kind: str, data: st.DataObject) -> None:
    content = data.draw(st.one_of(st.binary(max_size=300), damaged(SEEDS[kind])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(content)
        report = Report()
        batches = list(read_lines(path, TEXT_FORMATS[kind].make_parser(), report))
    for batch in batches:
        check(batch)
    lines = content.count(b"\n") + content.count(b"\r") + 1
    assert sum(map(len, batches)) + report.bad <= lines
    assert len(report.places) == min(report.bad, 5)


@settings(deadline=None, max_examples=150)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.builds(
            bytes.__add__,
            st.sampled_from([b"LOGG", b"MDF     4.11", b"UnFinMF 4.11", b"\xff\xfe"]),
            st.binary(max_size=300),
        ),
        st.sampled_from(sorted(SEEDS.values())).flatmap(damaged),
    ),
    extension=st.sampled_from(["", ".asc", ".log", ".csv", ".blf", ".txt"]),
)
@example(content=b"***START DATE AND TIME 2147500000:0:0 0:0:0:0***", extension="")
@example(content=b"***START DATE AND TIME 1:1:2147500000 0:0:0:0***", extension="")
def test_any_file_is_read_or_refused_by_name(content: bytes, extension: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{extension}"
        path.write_bytes(content)
        try:
            recording = open_recording(path)
            batches = list(recording)
        except InputError as exc:
            assert str(path) in str(exc)  # noqa: PT017 - frames or this error, both are right
            return
    assert recording.frames == sum(map(len, batches))
    whole = concatenate(batches)
    check(whole)
    assert (np.diff(whole.t_ns) >= 0).all()


MESSAGES = st.builds(
    lambda t, i, extended, data, own: can.Message(
        timestamp=t / 1e6,
        arbitration_id=i if extended else i & 0x7FF,
        is_extended_id=extended,
        data=data,
        is_rx=not own,
    ),
    st.integers(1, 10**9),
    st.integers(0, 0x1FFFFFFF),
    st.booleans(),
    st.binary(max_size=8),
    st.booleans(),
)


@pytest.mark.parametrize("name", ["a.asc", "a.log", "a.blf"])
@settings(deadline=None, max_examples=40)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=20))
def test_what_python_can_writes_is_what_is_read(name: str, messages: list[can.Message]) -> None:
    messages.sort(key=lambda message: message.timestamp)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with can.Logger(path) as logger:
            for message in messages:
                logger(message)
        recording = open_recording(path)
        batch = concatenate(list(recording))
    assert recording.bad_lines == 0
    assert batch.can_id.tolist() == [message.arbitration_id for message in messages]
    assert ((batch.flags & EXTENDED) != 0).tolist() == [message.is_extended_id for message in messages]
    assert [row[:n].tobytes() for row, n in zip(batch.data, batch.length, strict=True)] == [
        bytes(message.data) for message in messages
    ]
    seconds = np.array([message.timestamp for message in messages]) - messages[0].timestamp
    assert np.abs(batch.t_ns / 1e9 - seconds).max() < 2e-5  # BLF and ASC count in microseconds or tens of them
