"""Which drives a sweep makes: scenarios by seeds by changed parameters, and healthy commutes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import msgspec

from agent.core.errors import InputError
from simulators.score import Run
from simulators.world import Scenario, load_scenario, random_commute, scenario_names
from simulators.world.scenario import Car

COMMUTE: Final = "commute"  # the family of the healthy drives without a file
_COMMUTE_S: Final = 600.0
_COMMUTES_SMALL: Final = range(6)
_COMMUTES: Final = range(60)
_SEED: Final = 7
_SEEDS_MAX: Final = 10
_HOURS: Final = 30.0  # of scenarios in a full sweep, however many there are; healthy commutes come on top


@dataclass(frozen=True, slots=True)
class Job:
    """One drive to make and to judge. source is how the command line names it."""

    scenario: Scenario
    family: str
    source: str
    seed: int
    parameters: tuple[tuple[str, str], ...] = ()


def plan(
    names: Sequence[str],
    parameters: Sequence[str],
    *,
    seeds: range | None = None,
    commutes: range | None = None,
    small: bool = False,
) -> list[Job]:
    """Named scenarios, or without names all of them and healthy commutes (only those where only they are named).

    Without seeds, a full sweep takes so many that they make about 30 hours (1 to 10), any other takes one.
    Raises InputError or ConfigError.
    """
    everything = not names and commutes is None
    sources = [*(names or (scenario_names() if everything else []))]
    varied = [(source, *variant) for source in sources for variant in vary(load_scenario(source), parameters)]
    if seeds is None:
        hours = sum(scenario.duration_s for _, scenario, _ in varied) / 3600
        full = everything and not small
        seeds = range(_SEED, _SEED + (max(1, min(_SEEDS_MAX, int(_HOURS / hours))) if full else 1))
    if everything:
        commutes = _COMMUTES_SMALL if small else _COMMUTES
    jobs = [
        Job(scenario, scenario.family, source, seed, changes) for source, scenario, changes in varied for seed in seeds
    ]
    healthy = [Job(random_commute(seed, _COMMUTE_S), COMMUTE, f"--commutes {seed}", seed) for seed in commutes or ()]
    return jobs + healthy


def vary(scenario: Scenario, parameters: Sequence[str]) -> Iterator[tuple[Scenario, tuple[tuple[str, str], ...]]]:
    """Every combination of KEY=VALUE[,VALUE]: the scenario so changed, and the changes. Raises InputError."""
    choices: list[list[tuple[str, str]]] = []
    for parameter in parameters:
        key, equals, values = parameter.partition("=")
        if not key or not equals or not values:
            raise InputError(f"--param {parameter}: write KEY=VALUE or KEY=VALUE,VALUE")
        choices.append([(key, text) for text in values.split(",")])
    for changes in product(*choices):
        changed = scenario
        for key, text in changes:
            changed = with_parameter(changed, key, text)
        yield changed, changes


def with_parameter(scenario: Scenario, key: str, text: str) -> Scenario:
    """The scenario with one value changed: `car.mass_kg`, `events.0.delta_v_kmh`, or the start of a [car] key.

    Raises InputError naming the key where it, or the value, is not possible.
    """
    path = key.split(".") if "." in key else _path_of(key)
    whole: Any = msgspec.to_builtins(scenario)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    where = whole
    try:
        for step in path[:-1]:
            where = where[int(step)] if isinstance(where, list) else where[step]
        if isinstance(where, list) or path[-1] not in where:
            raise InputError(f"--param {key}: the scenario {scenario.name} has no such key")
        where[path[-1]] = value
        return msgspec.convert(whole, Scenario)
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        if isinstance(exc, msgspec.ValidationError):
            raise InputError(f"--param {key}={text}: {exc}") from exc
        raise InputError(f"--param {key}: the scenario {scenario.name} has no such key") from exc


def _path_of(start: str) -> list[str]:
    if start == "duration_s":
        return [start]
    keys = Car.__struct_fields__
    fitting = [name for name in keys if name == start] or [name for name in keys if name.startswith(start)]
    if len(fitting) != 1:
        says = f"fits {', '.join(fitting)}" if fitting else f"is no key of [car], which has {', '.join(keys)}"
        raise InputError(f"--param {start} {says}")
    return ["car", *fitting]


def swept(runs: Sequence[Run]) -> list[str]:
    """The parameters that took more than one value."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, text in run.parameters:
            values.setdefault(key, set()).add(text)
    return [key for key, texts in values.items() if len(texts) > 1]
