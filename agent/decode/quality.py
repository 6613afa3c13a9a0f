"""What single frames cannot show: values that jump, sources that disagree, and the account of every path.

Rules come from firmware_config/quality.toml, and over them from the vehicle profile. They only take away: a VALID value
may become SENTINEL or IMPLAUSIBLE, never the other way round. Each sample is judged by the samples before it alone, so
any split of the same samples gives the same result.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from agent.core.config import Section
from agent.core.signals import Quality, Samples, SignalCatalog

_VALID: Final = int(Quality.VALID)
_NAMES: Final = tuple(kind.name.lower() for kind in Quality)  # by their numbers
_REJECTED_MAX: Final = 3  # in a row that agree with each other: it was the last good one that was wrong
_PathText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]


class Rule(Section, frozen=True, kw_only=True):
    """Of one path, in its VSS unit. rise_max and fall_max are per second, beyond a step that is always allowed."""

    path: _PathText
    minimum: float = -math.inf
    maximum: float = math.inf
    rise_max: Annotated[float, Meta(gt=0)] = math.inf
    fall_max: Annotated[float, Meta(gt=0)] = math.inf
    step: Annotated[float, Meta(ge=0)] = 0.0
    sentinels: Annotated[list[float], Meta(max_length=8)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.minimum >= self.maximum:
            raise ValueError(f"{self.path}: minimum {self.minimum} is not below maximum {self.maximum}")


class Cross(Section, frozen=True, kw_only=True):
    """Two paths that tell the same. Where they differ by over limit + share for seconds, doubted is implausible."""

    trusted: _PathText
    doubted: _PathText
    limit: Annotated[float, Meta(gt=0)]
    share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    fresh_s: Annotated[float, Meta(gt=0, le=60)] = 2.0


class QualityRules(Section, frozen=True, kw_only=True):
    """firmware_config/quality.toml."""

    rules: list[Rule] = msgspec.field(default_factory=list)
    cross: list[Cross] = msgspec.field(default_factory=list)


@dataclass(slots=True)
class _Track:
    """The last believed sample of a path, and those rejected since."""

    t_ns: int = 0
    value: float = math.nan
    rejected: int = 0
    last_ns: int = 0
    last: float = math.nan


@dataclass(slots=True)
class _Pair:
    cross: Cross
    trusted_ns: int | None = None
    trusted: float = 0.0
    apart_since_ns: int | None = None


class Plausibility:
    """Judges all samples of a run, whatever their source."""

    def __init__(self, catalog: SignalCatalog, *layers: QualityRules) -> None:
        self._catalog = catalog
        self._rules = {rule.path: rule for layer in layers for rule in layer.rules}
        self._pairs = [_Pair(cross) for cross in {c.doubted: c for layer in layers for c in layer.cross}.values()]
        self._watched = np.zeros(0, np.bool_)
        self._tracks: dict[int, _Track] = {}

    def judge(self, samples: Samples) -> Samples:
        """The samples with worse qualities where they deserve it; the same object where none does."""
        if len(self._watched) < len(self._catalog):
            self._watch()
        rows = self._watched.take(samples.signal).nonzero()[0]
        if not len(rows):
            return samples
        quality: npt.NDArray[np.uint8] | None = None
        numbers, times = samples.signal.take(rows).tolist(), samples.t_ns.take(rows).tolist()
        values, kinds = samples.value.take(rows).tolist(), samples.quality.take(rows).tolist()
        for row, number, t_ns, value, kind in zip(rows.tolist(), numbers, times, values, kinds, strict=True):
            if kind != _VALID:
                continue
            found = self._judge_one(number, t_ns, value)
            if found is not Quality.VALID:
                quality = samples.quality.copy() if quality is None else quality
                quality[row] = found
        return samples if quality is None else replace(samples, quality=quality)

    def _watch(self) -> None:
        paths = set(self._rules) | {p for pair in self._pairs for p in (pair.cross.trusted, pair.cross.doubted)}
        self._watched = np.array([spec.path in paths for spec in self._catalog.specs], np.bool_)

    def _judge_one(self, number: int, t_ns: int, value: float) -> Quality:
        path = self._catalog.specs[number].path
        rule = self._rules.get(path)
        if rule is not None:
            if value in rule.sentinels:
                return Quality.SENTINEL
            if not rule.minimum <= value <= rule.maximum or self._jumps(number, rule, t_ns, value):
                return Quality.IMPLAUSIBLE
        return Quality.IMPLAUSIBLE if any(_disagrees(p, path, t_ns, value) for p in self._pairs) else Quality.VALID

    def _jumps(self, number: int, rule: Rule, t_ns: int, value: float) -> bool:
        track = self._tracks.get(number)
        if track is None:
            self._tracks[number] = _Track(t_ns, value)
            return False
        if not _leaps(rule, t_ns - track.t_ns, value - track.value):
            track.t_ns, track.value, track.rejected = t_ns, value, 0
            return False
        agrees = track.rejected > 0 and not _leaps(rule, t_ns - track.last_ns, value - track.last)
        track.rejected = track.rejected + 1 if agrees else 1
        track.last_ns, track.last = t_ns, value
        if track.rejected <= _REJECTED_MAX:
            return True
        track.t_ns, track.value, track.rejected = t_ns, value, 0
        return False


def _leaps(rule: Rule, passed_ns: int, change: float) -> bool:
    limit = rule.rise_max if change > 0 else rule.fall_max
    return abs(change) > rule.step + limit * max(0, passed_ns) / 1e9


def _disagrees(pair: _Pair, path: str, t_ns: int, value: float) -> bool:
    cross = pair.cross
    if path == cross.trusted:
        pair.trusted_ns, pair.trusted = t_ns, value
    if path != cross.doubted:
        return False
    if pair.trusted_ns is None or abs(t_ns - pair.trusted_ns) > cross.fresh_s * 1e9:
        pair.apart_since_ns = None
        return False
    if abs(value - pair.trusted) <= cross.limit + cross.share * abs(pair.trusted):
        pair.apart_since_ns = None
        return False
    pair.apart_since_ns = t_ns if pair.apart_since_ns is None else pair.apart_since_ns
    return t_ns - pair.apart_since_ns >= cross.seconds * 1e9


class Ledger:
    """Every path's account: how many values of which quality, and the newest one's quality, age and source."""

    def __init__(self, catalog: SignalCatalog) -> None:
        self._catalog = catalog
        self._counts = np.zeros(0, np.int64)
        self._newest_ns = np.zeros(0, np.int64)
        self._newest_quality = np.zeros(0, np.uint8)

    def add(self, samples: Samples) -> None:
        """Count a batch."""
        kinds, signals = len(Quality), len(self._catalog)
        if len(self._newest_ns) < signals:
            more = signals - len(self._newest_ns)
            self._counts = np.concatenate([self._counts, np.zeros(more * kinds, np.int64)])
            self._newest_ns = np.concatenate([self._newest_ns, np.zeros(more, np.int64)])
            self._newest_quality = np.concatenate([self._newest_quality, np.zeros(more, np.uint8)])
        places = samples.signal * np.int32(kinds) + samples.quality
        if len(places) < len(self._counts):
            np.add.at(self._counts, places, 1)
        else:
            self._counts += np.bincount(places, minlength=len(self._counts))
        self._newest_ns[samples.signal] = samples.t_ns
        self._newest_quality[samples.signal] = samples.quality

    def report(self, t_ns: int, sources: Mapping[int, str]) -> dict[str, dict[str, int | float | str]]:
        """By path: counts of each quality that occurred; the newest value's quality (stale by age), age_s, source."""
        report: dict[str, dict[str, int | float | str]] = {}
        for number, counts in enumerate(self._counts.reshape(-1, len(Quality)).tolist()):
            if not any(counts):
                continue
            spec = self._catalog.specs[number]
            age_s = max(0, t_ns - int(self._newest_ns[number])) / 1e9
            quality = Quality.STALE if age_s > spec.stale_after_s else int(self._newest_quality[number])
            report[spec.path] = {
                **{name: count for name, count in zip(_NAMES, counts, strict=True) if count},
                "quality": _NAMES[quality],
                "age_s": round(age_s, 3),
                "source": sources.get(number, "bus"),
            }
        return report
