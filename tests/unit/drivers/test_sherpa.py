import asyncio
import io
import os
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import ConfigError, SourceLost
from drivers.sherpa import SherpaModel, SherpaRecogniser, SherpaVoice
from drivers.sherpa_child import load_folder

# What the package offers, as its own examples use it.
FAKE = """
import types
class _Recogniser:
    @classmethod
    def from_sense_voice(cls, *, model, tokens, num_threads, use_itn):
        if open(model).read() == "bad":
            raise RuntimeError("no graph was found in the protobuf")
        return cls()
    def create_stream(self):
        stream = types.SimpleNamespace(result=types.SimpleNamespace(text=""))
        stream.accept_waveform = lambda rate, samples: setattr(stream, "heard", (rate, len(samples)))
        return stream
    def decode_stream(self, stream):
        stream.result.text = " heard %d at %d " % (stream.heard[1], stream.heard[0])
OfflineRecognizer = _Recogniser
class OfflineTtsVitsModelConfig(types.SimpleNamespace): pass
class OfflineTtsModelConfig(types.SimpleNamespace): pass
class OfflineTtsConfig(types.SimpleNamespace):
    def validate(self): return self.rule_fsts == ""
class OfflineTts:
    def __init__(self, config): self.config = config
    def generate(self, text, sid, speed):
        return types.SimpleNamespace(samples=[0.5] * len(text), sample_rate=8000)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sherpa_onnx.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *sys.path]))


def folder(tmp_path: Path, text: str, *, model: str = "good") -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "sherpa.toml").write_text(text, encoding="utf-8")
    (path / "m.onnx").write_text(model, encoding="utf-8")
    (path / "tokens.txt").write_text("", encoding="utf-8")
    return path


HEARING = 'kind = "sense_voice"\nmodel = "m.onnx"\ntokens = "tokens.txt"\n'
VOICE = 'kind = "vits"\nmodel = "m.onnx"\ntokens = "tokens.txt"\n'


@pytest.mark.usefixtures("package")
async def test_a_recogniser_hears_samples(tmp_path: Path) -> None:
    ears = SherpaRecogniser(SherpaModel(folder(tmp_path, HEARING), hears=True))
    heard = await ears.transcribe(np.zeros(1600, np.float32), "zh")
    assert heard is not None
    assert heard.text == "heard 1600 at 16000"
    await ears.close()


@pytest.mark.usefixtures("package")
async def test_a_voice_reads_out_as_a_person_would(tmp_path: Path) -> None:
    voice = SherpaVoice(SherpaModel(folder(tmp_path, VOICE), hears=False))
    with wave.open(io.BytesIO(await voice.render("56度", "zh")), "rb") as file:
        assert file.getframerate() == 8000
        assert file.getnframes() == len("五十六度".encode().decode())
    await voice.close()


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("percent", "level"), [(100, 0.5), (50, 0.25), (0, 0.0), (150, 0.75), (200, 1.0), (199, 0.995)]
)
@pytest.mark.parametrize("nice", [0, 10])
async def test_a_voice_is_as_loud_as_it_is_told(tmp_path: Path, percent: int, level: float, nice: int) -> None:
    voice = SherpaVoice(SherpaModel(folder(tmp_path, VOICE), hears=False), volume_percent=70)
    before = voice.recipe("One. Two.", "en")
    voice.set_volume(percent)
    with wave.open(io.BytesIO(await voice.render("One. Two.", "en", nice=nice)), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert samples / 32767 == pytest.approx(level, abs=1e-4)
    assert voice.recipe("One. Two.", "en") != before, "another sound"
    await voice.close()


@pytest.mark.usefixtures("package")
async def test_a_loud_voice_is_not_clipped(tmp_path: Path) -> None:
    fake = FAKE.replace("[0.5] * len(text)", "[0.8, -0.4] * len(text)")
    (tmp_path / "site" / "sherpa_onnx.py").write_text(fake, encoding="utf-8")
    voice = SherpaVoice(SherpaModel(folder(tmp_path, VOICE), hears=False), volume_percent=200)
    with wave.open(io.BytesIO(await voice.render("one", "en")), "rb") as file:
        loud, low = np.frombuffer(file.readframes(2), "<i2")
    assert (loud, low) == (32767, pytest.approx(-16383, abs=2)), "as loud as can be, and of the same shape"
    await voice.close()


async def test_what_is_no_sound_cannot_be_made_louder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SherpaModel(tmp_path, hears=False)

    async def no_sound(payload: bytes, *, patient: bool = False) -> bytes:
        return b"no sound"

    monkeypatch.setattr(model, "ask", no_sound)
    with pytest.raises(SourceLost, match="the voice made no sound"):
        await SherpaVoice(model, volume_percent=50).render("one", "en")


@pytest.mark.usefixtures("package")
async def test_who_asks_while_a_model_is_loaded_starts_no_second_one(tmp_path: Path) -> None:
    model = SherpaModel(folder(tmp_path, VOICE), hears=False)
    starts = 0
    start = model._child.start

    async def count(arguments: Sequence[str]) -> None:
        nonlocal starts
        starts += 1
        await start(arguments)

    model._child.start = count  # type: ignore[method-assign]
    voice = SherpaVoice(model)
    await asyncio.gather(voice.render("one", "en"), voice.render("two", "en"))
    assert starts == 1
    await voice.close()


@pytest.mark.usefixtures("package")
async def test_a_model_that_the_package_refuses_is_named(tmp_path: Path) -> None:
    ears = SherpaRecogniser(SherpaModel(folder(tmp_path, HEARING, model="bad"), hears=True))
    with pytest.raises(SourceLost, match=r"model: sherpa-onnx refuses the model: no graph was found"):
        await ears.transcribe(np.zeros(1600, np.float32), "zh")


@pytest.mark.usefixtures("package")
async def test_a_voice_cannot_hear(tmp_path: Path) -> None:
    ears = SherpaRecogniser(SherpaModel(folder(tmp_path, VOICE), hears=True))
    with pytest.raises(SourceLost, match="a vits model speaks"):
        await ears.transcribe(np.zeros(1600, np.float32), "zh")


async def test_without_the_package_the_error_says_so(tmp_path: Path) -> None:
    ears = SherpaRecogniser(SherpaModel(folder(tmp_path, HEARING), hears=True))
    with pytest.raises(SourceLost, match="the package sherpa-onnx is not installed"):
        await ears.transcribe(np.zeros(1600, np.float32), "zh")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('kind = "whisper"\n', "kind"),
        ('kind = "paraformer"\nmodel = "m.onnx"\n', "tokens: a paraformer model needs it"),
        ('kind = "vits"\nmodel = "none.onnx"\ntokens = "tokens.txt"\n', "none.onnx: there is no such file"),
        ('kind = "vits"\nmodel = "../m.onnx"\ntokens = "tokens.txt"\n', "model"),
    ],
)
def test_a_wrong_folder_is_told_by_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"sherpa\.toml.*{reason}"):
        load_folder(folder(tmp_path, text))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none/sherpa\.toml"):
        load_folder(tmp_path / "none")
