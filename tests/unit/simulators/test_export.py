import json
from collections.abc import Callable, Sequence
from pathlib import Path

import can
import pytest

from simulators.__main__ import main
from simulators.world import load_scenario, simulate
from simulators.world.frames import encode_drive


@pytest.mark.parametrize(
    ("form", "suffix"), [("candump", "log"), ("asc", "asc"), ("blf", "blf"), ("mf4", "mf4"), ("csv", "csv")]
)
def test_an_export_opens_in_python_can_with_the_same_frames(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"drive.{suffix}"
    assert main(["export", "parked_hit", "--format", form, "--output", str(path), "--seed", "3"]) == 0
    frames = encode_drive(simulate(load_scenario("parked_hit"), 3))
    with can.LogReader(path) as reader:
        messages = list(reader)
    assert [message.arbitration_id for message in messages] == frames.can_id.tolist()
    assert all(
        bytes(message.data) == frames.data[row, : frames.length[row]].tobytes() for row, message in enumerate(messages)
    )
    assert messages[-1].timestamp - messages[0].timestamp == pytest.approx(
        (frames.t_ns[-1] - frames.t_ns[0]) / 1e9, abs=0.001
    )


def test_the_truth_lies_beside_it(tmp_path: Path) -> None:
    truth = tmp_path / "what.json"
    out = str(tmp_path / "x.log")
    assert main(["export", "crash_chain", "--output", out, "--truth", str(truth)]) == 0
    told = json.loads(truth.read_text())
    assert (told["scenario"], told["family"], told["seed"]) == ("crash_chain", "crash", 7)
    assert [(t["kind"], t["t_s"]) for t in told["truth"] if "trip" not in t["kind"]] == [
        ("collision", 30.0),
        ("second_impact", 30.8),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown scenario 'nope'"),
        (["healthy", "--output", "/nowhere/x.log"], "/nowhere/x.log: cannot be written: No such file"),
        (["healthy", "--format", "mdf"], "invalid choice: 'mdf'"),
    ],
)
def test_what_cannot_be_exported_is_told_and_exit_code_2(
    arguments: list[str], message: str, refusal: Callable[[Sequence[str]], str]
) -> None:
    assert message in refusal(["export", *arguments])
