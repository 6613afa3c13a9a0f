"""What a driver answered, found again beside the collision that it was about."""

import csv
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from agent.core.events import Collision, Event, Feedback, TripStarted
from agent.detect.crash_features import FEATURES
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS, seal_chain

S: Final = 10**9
SEEN: Final = list(range(len(FEATURES)))


def blow(t_s: int, *, number: int = 1, features: list[int] | None = None) -> Collision:
    return Collision(
        t_ns=t_s * S,
        delta_v_kmh=12,
        duration_ms=90,
        peak_mps2=60,
        stationary=False,
        severity="minor",
        confidence=0.6,
        multi_event=number,
        features=SEEN if features is None else features,
    )


def answer(
    about_s: int | None, intent: str, question: str = "all_right", *, about: str = "collision", confidence: float = 0.9
) -> Feedback:
    return Feedback(
        t_ns=(about_s or 0) * S + 9 * S,
        question=question,
        about=about,
        intent=intent,
        transcript="",
        confidence=confidence,
        language="zh",
        asked_ns=0,
        about_ns=None if about_s is None else about_s * S,
    )


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "received.db"


def receive(database: Path, events: list[Event]) -> None:
    keys = ReceiverKeys.create(database.parent / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(database)
    sealer = Sealer(KEYS.device, [keys.encryption_key.public_key()])
    Intake(keys, store).take([record.payload for record in seal_chain(events, sealer=sealer)])
    store.close()


def lines(database: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    assert main(["labels", "--database", str(database), *more]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("answers", "label", "confidence"),
    [
        ([answer(10, "false_alarm")], "false_alarm", 0.9),
        ([answer(10, "false_alarm", "parked_hit")], "false_alarm", 0.9),
        ([answer(10, "help", "all_right_severe")], "confirmed", 0.9),
        ([answer(10, "damage", "parked_hit")], "confirmed", 0.9),
        ([answer(10, "fine", confidence=0.5)], "unopposed", 0.5),
        ([answer(10, "fine", confidence=0.5), answer(10, "yes", "garage", confidence=0.8)], "confirmed", 0.8),
        ([answer(10, "fine", confidence=0.5), answer(10, "no", "garage", confidence=0.8)], "unopposed", 0.5),
        ([answer(25, "help", about="rollover")], "confirmed", 0.9),
        ([answer(55, "help", about="rollover")], "", None),
        ([answer(10, "none", confidence=1.0)], "", 1.0),
        ([answer(11, "false_alarm")], "", None),
        ([answer(None, "false_alarm")], "", None),
        ([answer(10, "false_alarm", about="battery_alarm")], "", None),
        ([], "", None),
    ],
)
def test_the_answer_labels_the_collision_it_names(
    database: Path,
    capsys: pytest.CaptureFixture[str],
    answers: list[Feedback],
    label: str,
    confidence: float | None,
) -> None:
    receive(database, [TripStarted(t_ns=1), blow(10), *answers])
    (line,) = lines(database, capsys, "--json")
    told = json.loads(line)
    assert (told["device"], told["boot"], told["t0_ns"], told["severity"]) == ("car-1", 1, 10 * S, "minor")
    assert (told["label"], told["confidence"], told["told_confidence"]) == (label, confidence, 0.6)
    assert told["features"] == SEEN


def test_the_impacts_of_one_crash_share_its_answer(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receive(database, [blow(10), blow(12, number=2), answer(12, "help", "all_right_severe"), blow(90, features=[1, 2])])
    rows: list[dict[str, Any]] = list(csv.DictReader(lines(database, capsys, "--device", "car-1")))
    assert [(row["impact"], row["label"]) for row in rows] == [("1", "confirmed"), ("2", "confirmed"), ("1", "")]
    assert rows[0][FEATURES[-1]] == str(SEEN[-1])
    assert rows[2][FEATURES[-1]] == "", "features of another software are left out"
    assert lines(database, capsys, "--device", "car-2") == [",".join(rows[0])]


def test_what_is_no_number_is_left_out_and_named(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receive(database, [msgspec.structs.replace(blow(5), delta_v_kmh=float("nan")), blow(10)])
    assert main(["labels", "--database", str(database), "--json"]) == 0
    told, complaint = capsys.readouterr()
    assert [json.loads(line)["t0_ns"] for line in told.splitlines()] == [10 * S]
    assert complaint.startswith("car-1: boot 1, sequence 1: ")
