"""What pinned habits of a bus say about themselves: NAME.toml beside NAME.habits. Their card is written from it."""

from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from agent.core.frames import EXTENDED, EXTENDED_KEY, Frame, FrameBatch, batch_of
from agent.core.model_card import Card
from agent.core.section import Name, Section
from agent.core.toml import load_toml

_NS_PER_US: Final = 1000
Line = Annotated[str, Meta(pattern=r"^\d{1,12} [0-9a-f]{1,8} ([0-9a-f]{2}){0,64}$")]


class GoldenFrames(Section, frozen=True, kw_only=True):
    """Frames of one bus as `microseconds key payload`, key and payload in hexadecimal, and what was found in each."""

    frames: Annotated[list[Line], Meta(min_length=1, max_length=256)]
    findings: Annotated[list[Annotated[int, Meta(ge=0, le=255)]], Meta(min_length=1, max_length=256)]

    def __post_init__(self) -> None:
        """Raise ValueError, which load tells as a ConfigError, where they do not go together."""
        if len(self.frames) != len(self.findings):
            raise ValueError(f"{len(self.frames)} frames have {len(self.findings)} findings")

    def batch(self) -> FrameBatch:
        """The frames, as a bus would bring them."""
        return batch_of([_frame(line) for line in self.frames])


class HabitsManifest(Section, frozen=True, kw_only=True, tag="habits", tag_field="kind"):
    """The contract of pinned habits. The hash pins the file; whoever ships the manifest vouches for it."""

    name: Name
    version: Annotated[int, Meta(ge=1)]
    file: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    profiles: list[Name]
    card: Card
    golden: Annotated[list[GoldenFrames], Meta(min_length=1, max_length=16)]


def load_habits_manifest(path: Path) -> HabitsManifest:
    """Read it. Raises ConfigError naming the key."""
    return load_toml(path, HabitsManifest)


def golden_frames(batch: FrameBatch, findings: npt.NDArray[np.uint8]) -> GoldenFrames:
    """Frames and findings as a manifest keeps them; times to the microsecond, from the first frame on."""
    start_ns = int(batch.t_ns[0])
    lines = []
    for row, key in enumerate(batch.keys().tolist()):
        payload = batch.data[row, : batch.length[row]].tobytes().hex()
        lines.append(f"{(int(batch.t_ns[row]) - start_ns) // _NS_PER_US} {key:x} {payload}")
    return GoldenFrames(frames=lines, findings=findings.tolist())


def _frame(line: str) -> Frame:
    at_us, key, payload = line.split(" ")
    number = int(key, 16)
    flags = EXTENDED if number & EXTENDED_KEY else 0
    return Frame(int(at_us) * _NS_PER_US, number & ~EXTENDED_KEY, bytes.fromhex(payload), flags=flags)
