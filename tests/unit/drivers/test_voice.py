import os
from pathlib import Path

import pytest

from agent.core.config import Config, overlay_config, parse_config
from agent.core.errors import ConfigError, SourceLost
from drivers.clock import SystemClock
from drivers.keyword_microphone import KeywordMicrophone
from drivers.microphone import TypedMicrophone
from drivers.voice import open_microphone, open_speaker

OFF = parse_config("[voice]\nenabled = false\n")


def test_without_speech_there_is_neither_speaker_nor_microphone() -> None:
    assert open_speaker(OFF) is None
    assert open_microphone(OFF, SystemClock()) is None


def test_answers_are_typed_unless_a_microphone_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as terminal, os.fdopen(writing):
        monkeypatch.setattr("sys.stdin", terminal)
        assert isinstance(open_microphone(Config(), SystemClock()), TypedMicrophone)
    asked = parse_config('[hearing]\nsource = "alsa"\ndevice = "plughw:1,0"\n')
    assert isinstance(open_microphone(asked, SystemClock()), KeywordMicrophone)


@pytest.mark.parametrize("closed", [True, False])
def test_a_service_has_no_ear_unless_config_gives_it_one(monkeypatch: pytest.MonkeyPatch, *, closed: bool) -> None:
    with Path(os.devnull).open() as null:
        monkeypatch.setattr("sys.stdin", None if closed else null)
        assert open_microphone(Config(), SystemClock()) is None


async def test_a_model_that_is_not_there_is_told_when_somebody_listens(tmp_path: Path) -> None:
    asked = parse_config(f'[hearing]\nsource = "file"\nfile = "{tmp_path}/none.raw"\nmodel = "nosuch"\n')
    ears = open_microphone(asked, SystemClock())
    assert ears is not None
    with pytest.raises(SourceLost, match="there is no keyword model for zh"):
        await ears.listen(timeout_s=1, language="zh")


async def test_a_missing_recording_is_told_by_its_name(tmp_path: Path) -> None:
    asked = parse_config(f'[hearing]\nsource = "file"\nfile = "{tmp_path}/none.raw"\n')
    ears = open_microphone(asked, SystemClock())
    assert ears is not None
    with pytest.raises(SourceLost, match=r"none\.raw: No such file"):
        await ears.listen(timeout_s=1, language="zh")


@pytest.mark.parametrize("table", ["hearing", "sounding"])
def test_nobody_pushes_a_microphone(table: str) -> None:
    with pytest.raises(ConfigError, match=f"{table}: may not be pushed"):
        overlay_config(Config(), f"[{table}]\n", tables=frozenset({"detect", "voice"}), name="pushed")


def test_an_unclear_source_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"hearing\.source"):
        parse_config('[hearing]\nsource = "ears"\n')
