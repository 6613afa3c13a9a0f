"""The config of what the box hears and how it sounds. An operator may push neither: a microphone is the owner's."""

from typing import Annotated, Literal

from msgspec import Meta

from agent.core.key_codes import KEY_MAX, key_code
from agent.core.section import NameOrNone, Section

Device = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:,=-]{0,64}$")]
PathText = Annotated[str, Meta(max_length=400)]
Key = Annotated[int, Meta(ge=1, le=KEY_MAX)] | Annotated[str, Meta(pattern=r"^[A-Z0-9_]{0,40}$")]


class Hearing(Section, frozen=True, kw_only=True):
    """Spoken answers. Off: answers are typed, where somebody can.

    source: alsa is arecord's device; file is raw 16-bit mono at 16 kHz, a pipe or a recording, for trying things out.
    model: models/MODEL_zh and MODEL_en. sentences: a folder of a sherpa-onnx model, for what is no short reply.
    button: a Linux input device; who presses it is listened to though nobody asked. button_key: the key's name or
    number in input-event-codes.h; empty: any key of the device.
    """

    source: Literal["off", "alsa", "file"] = "off"
    device: Device = "default"
    file: PathText = ""
    model: NameOrNone = "keywords"
    sentences: PathText = ""
    button: PathText = ""
    button_key: Key = ""

    def __post_init__(self) -> None:
        try:
            key_code(self.button_key)
        except ValueError as exc:
            raise ValueError(f"button_key: {exc}") from exc


class Sounding(Section, frozen=True, kw_only=True):
    """Speech out. device is aplay's; fixed phrases are kept below the store as sound, in cache_max_mb at most.

    voice_zh, voice_en: folders of sherpa-onnx voices; empty: espeak-ng.
    """

    device: Device = "default"
    cache_max_mb: Annotated[int, Meta(ge=0, le=1000)] = 64
    voice_zh: PathText = ""
    voice_en: PathText = ""
