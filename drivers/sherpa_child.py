"""The child process of sherpa: `python -m drivers.sherpa_child FOLDER`, one sherpa-onnx model that hears or speaks.

FOLDER/sherpa.toml says what lies there; paths in it are below FOLDER. Messages are framed as in onnx_child. The child
greets with {"kind": "..."} or {"refused": "why"}; a recogniser then answers float32 samples at 16 kHz with the text, a
voice answers a text with a WAV file. The package sherpa-onnx is no dependency: pip install sherpa-onnx.
"""

import io
import json
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from msgspec import Meta, field

from agent.core.errors import ConfigError
from agent.core.section import Section
from agent.core.toml import load_toml
from drivers.onnx_child import read_message, write_message

File = Annotated[str, Meta(pattern=r"^(?!/)(?!.*\.\.)[^\0]{0,200}$")]

SPEECH_HZ: Final = 16_000
HEARS: Final = ("sense_voice", "paraformer", "transducer")
_NEEDED: Final = {
    "sense_voice": ("model", "tokens"),
    "paraformer": ("model", "tokens"),
    "transducer": ("encoder", "decoder", "joiner", "tokens"),
    "vits": ("model", "tokens"),
}


class SherpaFolder(Section, frozen=True, kw_only=True):
    """sherpa.toml. speaker and speed are a voice's; rule_fsts rewrite its text (numbers, dates)."""

    kind: Literal["sense_voice", "paraformer", "transducer", "vits"]
    model: File = ""
    encoder: File = ""
    decoder: File = ""
    joiner: File = ""
    tokens: File = ""
    lexicon: File = ""
    data_dir: File = ""
    rule_fsts: list[File] = field(default_factory=list)
    speaker: Annotated[int, Meta(ge=0, le=10_000)] = 0
    speed: Annotated[float, Meta(ge=0.3, le=3)] = 1.0


def load_folder(folder: Path) -> SherpaFolder:
    """What lies in a model's folder. Raises ConfigError naming the file that is wrong or missing."""
    path = folder / "sherpa.toml"
    told = load_toml(path, SherpaFolder)
    for key in _NEEDED[told.kind]:
        if not getattr(told, key):
            raise ConfigError(f"{key}: a {told.kind} model needs it", path=path)
    files = [told.model, told.encoder, told.decoder, told.joiner, told.tokens, told.lexicon, *told.rule_fsts]
    for name in [*files, told.data_dir]:
        if name and not (folder / name).exists():
            raise ConfigError(f"{name}: there is no such file", path=path)
    return told


def main(argv: Sequence[str]) -> int:
    """Serve the model of one folder until stdin ends."""
    folder = Path(argv[0])
    try:
        told = load_folder(folder)
        answer = _open(folder, told)
    except ConfigError as exc:
        write_message(sys.stdout.buffer, json.dumps({"refused": str(exc)}).encode())
        return 0
    write_message(sys.stdout.buffer, json.dumps({"kind": told.kind}).encode())
    while (question := read_message(sys.stdin.buffer)) is not None:
        write_message(sys.stdout.buffer, answer(question))
    return 0


def _open(folder: Path, told: SherpaFolder) -> Callable[[bytes], bytes]:
    try:
        import sherpa_onnx  # noqa: PLC0415  # not everybody has it
    except ImportError as exc:
        raise ConfigError(f"{folder}: the package sherpa-onnx is not installed ({exc})") from exc
    try:
        return (
            _open_recogniser(sherpa_onnx, folder, told)
            if told.kind in HEARS
            else _open_voice(sherpa_onnx, folder, told)
        )
    except (RuntimeError, ValueError, AssertionError) as exc:
        raise ConfigError(f"{folder}: sherpa-onnx refuses the model: {exc}") from exc


def _open_recogniser(sherpa_onnx: Any, folder: Path, told: SherpaFolder) -> Callable[[bytes], bytes]:
    tokens = str(folder / told.tokens)
    make = sherpa_onnx.OfflineRecognizer
    if told.kind == "sense_voice":
        recogniser = make.from_sense_voice(model=str(folder / told.model), tokens=tokens, num_threads=1, use_itn=True)
    elif told.kind == "paraformer":
        recogniser = make.from_paraformer(paraformer=str(folder / told.model), tokens=tokens, num_threads=1)
    else:
        parts = {name: str(folder / getattr(told, name)) for name in ("encoder", "decoder", "joiner")}
        recogniser = make.from_transducer(**parts, tokens=tokens, num_threads=1)

    def hear(question: bytes) -> bytes:
        stream = recogniser.create_stream()
        stream.accept_waveform(SPEECH_HZ, np.frombuffer(question, np.float32))
        recogniser.decode_stream(stream)
        return str(stream.result.text).strip().encode()

    return hear


def _open_voice(sherpa_onnx: Any, folder: Path, told: SherpaFolder) -> Callable[[bytes], bytes]:
    def at(name: str) -> str:
        return str(folder / name) if name else ""

    vits = sherpa_onnx.OfflineTtsVitsModelConfig(
        model=at(told.model), lexicon=at(told.lexicon), tokens=at(told.tokens), data_dir=at(told.data_dir)
    )
    config = sherpa_onnx.OfflineTtsConfig(
        model=sherpa_onnx.OfflineTtsModelConfig(vits=vits, num_threads=1),
        rule_fsts=",".join(map(at, told.rule_fsts)),
        max_num_sentences=1,
    )
    if not config.validate():
        raise ValueError("its configuration does not hold together")
    voice = sherpa_onnx.OfflineTts(config)

    def speak(question: bytes) -> bytes:
        audio = voice.generate(question.decode("utf-8", "replace"), sid=told.speaker, speed=told.speed)
        return _to_wav(np.asarray(audio.samples, np.float32), int(audio.sample_rate))

    return speak


def _to_wav(samples: Any, rate_hz: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(rate_hz)
        sink.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return target.getvalue()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
