"""What keeps a box from speaking and hearing, for `outrider doctor`."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from agent.core.config import Config
from agent.core.errors import ConfigError, SourceLost
from drivers.sherpa_child import HEARS, load_folder
from drivers.voice import open_speaker

Finding = tuple[bool, str]


def examine_voice(config: Config) -> Iterator[Finding]:
    """Programs and models that the config needs; whether the card sounds, examine_sound tries."""
    hearing = config.hearing
    if hearing.source == "alsa":
        ears = shutil.which("arecord") is not None
        yield ears, "hearing" if ears else "hearing: arecord (alsa-utils) is not installed; questions stay unanswered"
    elif hearing.source == "off" and hearing.button:
        yield False, 'hearing.button: with hearing.source = "off" nobody hears what is said after it was pressed'
    if not config.voice.enabled:
        return
    folders = {"zh": config.sounding.voice_zh, "en": config.sounding.voice_en}
    if not folders[config.voice.language]:
        voice = shutil.which("espeak-ng") is not None
        yield voice, "voice" if voice else "voice: espeak-ng is not installed; phrases stay text"
    for language, folder in folders.items():
        if folder:
            yield _examine_model(f"sounding.voice_{language}", Path(folder), hears=False)
    if hearing.source != "off" and hearing.sentences:
        yield _examine_model("hearing.sentences", Path(hearing.sentences), hears=True)
    player = shutil.which("aplay") is not None
    yield player, "aplay" if player else "voice: aplay (alsa-utils) is not installed; no phrase lies ready as sound"


async def examine_sound(config: Config) -> list[Finding]:
    """Open the card as speech does, and play a moment of silence."""
    speaker = open_speaker(config)
    if speaker is None:
        return []
    try:
        await speaker.check()
    except SourceLost as exc:
        return [(False, f"sounding.device: {exc}")]
    finally:
        await speaker.close()
    return [(True, f"sounding.device {config.sounding.device}: opens")]


def _examine_model(key: str, folder: Path, *, hears: bool) -> Finding:
    """What lies in a folder of sherpa-onnx, without loading it."""
    try:
        kind = load_folder(folder).kind
    except ConfigError as exc:
        return False, f"{key}: {exc}"
    if (kind in HEARS) != hears:
        return False, f"{key}: {folder}: a {kind} model {'speaks' if hears else 'hears'}"
    if find_spec("sherpa_onnx") is None:
        return False, f"{key}: {folder}: the package sherpa-onnx is not installed"
    return True, f"{key} {folder}"
