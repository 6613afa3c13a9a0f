"""The adapters of personas.toml, by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.core.config import Section
from agent.core.errors import InputError
from agent.core.toml import load_toml
from simulators.elm327 import Answers, Traits
from simulators.elm327_line import Adapter, LineFaults
from simulators.guess import guess


class Persona(Section, frozen=True, kw_only=True):
    """One kind of adapter: what it does, and who has met it. ecus: how many of them answer behind it."""

    name: str
    description: str
    source: str
    traits: Traits = Traits()
    faults: LineFaults = LineFaults()
    ecus: int = 1

    def adapter(self, ecus: Sequence[Answers], *, latency_s: float = 0.0, seed: int = 0) -> Adapter:
        """One such adapter in front of these ECUs."""
        return Adapter(ecus, self.traits, faults=self.faults, latency_s=latency_s, seed=seed)


def persona(name: str) -> Persona:
    """Return the persona of that name. Raises InputError."""
    if name not in PERSONAS:
        hint = "; `python -m simulators dongle --list` prints them"
        raise InputError(f"there is no persona {name!r}{guess(name, PERSONAS, otherwise=hint)}")
    return PERSONAS[name]


class _File(Section, frozen=True, kw_only=True):
    personas: list[Persona]


PERSONAS: Final = {one.name: one for one in load_toml(Path(__file__).with_name("personas.toml"), _File).personas}
