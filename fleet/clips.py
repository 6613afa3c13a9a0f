"""`outrider-fleet clips`: the sound of answers, where drivers agreed to `audio`; elsewhere only its size is shown."""

import argparse
import base64
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from agent.core.durable import open_new
from agent.core.errors import InputError, ProtocolError
from agent.core.events import VoiceClip
from agent.core.pcmu import to_wav
from fleet.receiver.database import open_store


def add_clips(parser: argparse.ArgumentParser) -> None:
    """Arguments and work of the command. Raises InputError where a file is there already, or cannot be written."""
    parser.add_argument("device")
    parser.add_argument("directory", type=Path, help="for BOOT-SEQUENCE.wav, a file a clip")
    parser.add_argument("--database", required=True)

    def run(args: argparse.Namespace) -> int:
        with closing(open_store(args.database)) as store:
            for row in store.events(args.device, kinds=["voice_clip"]):
                path = args.directory / f"{row['boot']}-{row['sequence']}.wav"
                try:
                    clip = msgspec.convert(row["event"], VoiceClip)
                    _write(path, to_wav(clip.sound, clip.rate_hz))
                except (ProtocolError, msgspec.ValidationError) as exc:  # what a car signed is not ours to believe
                    print(f"{path.name}: {exc}", file=sys.stderr)
                else:
                    print(f"{path}: {clip.question}, {clip.heard}")
        return 0

    parser.set_defaults(run=run)


def without_sound(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of Store.events to be shown: of sound its size."""
    event = row["event"]
    if event.get("kind") != "voice_clip":
        return row
    return {**row, "event": {**event, "sound": f"{len(base64.b64decode(event['sound']))} bytes"}}


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(open_new(path), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror}") from exc
