"""What the box shows at rest, as it is learnt: gravity's share, the mounting, and when it was at rest."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Final, Protocol

import numpy as np

from agent.core.signals import Series
from agent.detect.alignment import KNOWN_DEG
from agent.detect.pulse import MS, Floats, Ints, Mounting
from agent.detect.streams import BucketMeans, RestLevel

_BUCKET_NS: Final = 50 * MS
_REST_SECONDS: Final = 10
_REST_MOST_MPS2: Final = 25.0  # a blow, or a sensor that is stuck; gravity and the hardest braking are 14
_REST_SPREAD_MPS2: Final = 0.6  # most driving cars shake more than this within a second; quantisation is 0.125
_STILL_SPREAD_MPS2: Final = 0.3  # a good road at walking pace shakes so little, but not for long
_STILL_NS: Final = 5000 * MS
_STILL_SECONDS_MIN: Final = 2


class Learner(Protocol):
    """Who is told of every new level: since when, and the median of the last whole second alone."""

    def __call__(self, ready_ns: int, newest: list[float] | None, *, trusted: bool, at_rest: bool) -> None:
        """Take it."""
        ...


class Resting:
    """The resting level of three axes, followed second by second."""

    def __init__(self, learnt: Learner) -> None:
        self.level: Floats | None = None
        self.mounting = Mounting()
        self._learnt = learnt
        self._buckets = BucketMeans(_BUCKET_NS)
        self._rest = RestLevel(3, seconds=_REST_SECONDS, hasty=True)
        self._spreads: deque[tuple[int, float]] = deque(maxlen=16)  # (since, m/s^2) of the last seconds
        self._headings: deque[tuple[int, bool]] = deque(maxlen=1024)  # (since, forward is known), as the IMU tells it

    def hear(self, heading_error: Series) -> None:
        """Take what an IMU that learns its mounting says of forward, in degrees."""
        if not len(heading_error):
            return
        known = (heading_error.value <= KNOWN_DEG).tolist()
        self._headings.extend(zip(heading_error.t_ns.tolist(), known, strict=True))

    def stretches(self, t_ns: Ints, values: Floats) -> Iterator[slice]:
        """Rows of t_ns int64[n] and values float64[n, 3] over which one level holds; it is set before each is given."""
        done = 0
        buckets = self._buckets.feed(t_ns, values)
        if buckets is not None:
            columns = zip(buckets.number.tolist(), buckets.mean.tolist(), buckets.ready_ns.tolist(), strict=True)
            whole = bool(np.abs(buckets.mean).max() <= _REST_MOST_MPS2)  # nearly always; not with a NaN
            for number, mean, ready_ns in columns:
                if not self._rest.feed(number, mean if whole else self._whole(mean)):
                    continue
                upto = int(t_ns.searchsorted(ready_ns))
                if upto > done:
                    yield slice(done, upto)
                done = upto
                self._learn(ready_ns)
        if done < len(t_ns):
            yield slice(done, len(t_ns))

    def mounting_at(self, t_ns: int) -> Mounting:
        """The mounting, its axes not trusted where the IMU said before that it does not know forward."""
        known = next((known for since_ns, known in reversed(self._headings) if since_ns <= t_ns), True)
        return self.mounting if known else replace(self.mounting, trusted=False)

    def rested(self, t_ns: int) -> bool:
        """Whether the IMU was at rest in the last whole second before t_ns."""
        spread = next((spread for since_ns, spread in reversed(self._spreads) if since_ns <= t_ns), inf)
        return spread < _REST_SPREAD_MPS2

    def still(self, t_ns: int) -> bool:
        """Whether nothing stirred in any whole second of the five before t_ns: who knows no speed trusts no less."""
        seconds = [spread for since_ns, spread in self._spreads if t_ns - _STILL_NS < since_ns <= t_ns]
        known = [spread for spread in seconds if spread < inf]
        return len(known) >= _STILL_SECONDS_MIN and max(known) < _STILL_SPREAD_MPS2

    def _whole(self, mean: list[float]) -> list[float]:
        """A bucket's means; an axis that is dead (NaN) or far beyond rest counts as what it showed at rest."""
        x, y, z = mean
        if abs(x) <= _REST_MOST_MPS2 and abs(y) <= _REST_MOST_MPS2 and abs(z) <= _REST_MOST_MPS2:
            return mean
        level = self._rest.level or [0.0] * len(mean)
        return [m if abs(m) <= _REST_MOST_MPS2 else rest for m, rest in zip(mean, level, strict=True)]

    def rested_within(self, t_ns: int) -> bool:
        """Whether it was at rest in any second that `rested` may be asked about from t_ns on."""
        later = (spread < _REST_SPREAD_MPS2 for since_ns, spread in self._spreads if since_ns > t_ns)
        return self.rested(t_ns) or any(later)

    def _learn(self, ready_ns: int) -> None:
        """Take over what the resting level has become."""
        self.level = None if self._rest.level is None else np.array(self._rest.level)
        self.mounting = Mounting() if self._rest.level is None else Mounting.from_rest(self._rest.level)
        self._spreads.append((ready_ns, self._rest.spread))
        at_rest = self._rest.spread < _REST_SPREAD_MPS2
        trusted = self.mounting_at(ready_ns).trusted
        self._learnt(ready_ns, self._rest.newest, trusted=trusted, at_rest=at_rest)
