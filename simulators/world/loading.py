"""Scenario files: where the shipped ones are, and how one inherits from another."""

from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from agent.core.errors import ConfigError, InputError
from agent.core.toml import load_toml
from simulators.guess import guess
from simulators.world.scenario import Scenario

SCENARIOS: Final = Path(__file__).resolve().parents[1] / "scenarios"


def scenario_names() -> list[str]:
    """Names of the shipped scenarios, sorted."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def load_scenario(name_or_path: str) -> Scenario:
    """Read a shipped scenario by name, or any .toml file by path. Raises ConfigError or InputError."""
    if name_or_path.endswith(".toml"):
        return _load(Path(name_or_path), heirs=())
    if name_or_path not in scenario_names():
        raise InputError(_unknown(name_or_path))
    return _load(SCENARIOS / f"{name_or_path}.toml", heirs=())


class _Heir(Struct):
    """What is read of a file first: whose base it is."""

    base: str = ""


def _load(path: Path, *, heirs: tuple[Path, ...]) -> Scenario:
    base = load_toml(path, _Heir).base
    inherited: dict[str, Any] = {}
    if base:
        below = _base_path(base, path)
        if below.resolve() in (*heirs, path.resolve()):
            raise ConfigError(f"base: {base} has this file for a base itself", path=path)
        inherited = to_builtins(_load(below, heirs=(*heirs, path.resolve())))
        del inherited["name"]
    scenario = load_toml(path, Scenario, base=inherited)
    events = sorted([*scenario.events, *scenario.also], key=lambda event: event.at_s)
    return replace(scenario, events=events, also=[])


def _base_path(base: str, path: Path) -> Path:
    """Where the base of the scenario at path lies. Raises ConfigError."""
    if base.endswith(".toml"):
        return path.parent / base
    if base not in scenario_names():
        raise ConfigError(f"base: {_unknown(base)}", path=path)
    return SCENARIOS / f"{base}.toml"


def _unknown(name: str) -> str:
    hint = "; `python -m simulators list` prints the names, and a file's ends in .toml"
    return f"unknown scenario {name!r}{guess(name, scenario_names(), otherwise=hint)}"
