"""The sound that drivers agreed to leave: its size where events are listed, itself where somebody asks for it."""

import json
import wave
from pathlib import Path

import msgspec
import pytest

from agent.core.events import VoiceClip
from agent.core.pcmu import from_pcmu
from agent.store.seal import Sealer
from fleet.__main__ import main
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from tests.unit.store.kit import KEYS, braking, seal_chain

SOUND = bytes(range(256)) * 40
CLIP = VoiceClip(
    t_ns=5, answer_ns=9, question="garage", language="zh", heard="不用", codec="pcmu", rate_hz=16_000, sound=SOUND
)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """With a clip, one that is none, and another event."""
    keys = ReceiverKeys.create(tmp_path / "keys")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    events = [CLIP, msgspec.structs.replace(CLIP, rate_hz=0), braking(3)]
    records = seal_chain(events, sealer=Sealer(KEYS.device, [keys.encryption_key.public_key()]))
    Intake(keys, store).take([record.payload for record in records])
    store.close()
    return str(tmp_path / "received.db")


def test_a_list_of_events_tells_its_size(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--database", database]) == 0
    told = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in told] == ["voice_clip", "voice_clip", "harsh_driving"]
    assert (told[0]["heard"], told[0]["sound"]) == ("不用", "10240 bytes")
    assert told[2]["peak_mps2"] == 6.2


def test_who_listens_gets_files(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clips"
    assert main(["clips", "car-1", str(folder), "--database", database]) == 0
    said = capsys.readouterr()
    assert said.out == f"{folder}/1-1.wav: garage, 不用\n"
    assert said.err == "1-2.wav: sound of 0 Hz\n", "what a car signed is not ours to believe"
    with wave.open(str(folder / "1-1.wav")) as file:
        assert file.readframes(10**6) == from_pcmu(SOUND).astype("<i2").tobytes()
    assert (folder / "1-1.wav").stat().st_mode & 0o777 == 0o600
    assert main(["clips", "car-1", str(folder), "--database", database]) == 2, "nothing is overwritten"
