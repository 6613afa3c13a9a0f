"""Gathers what OBD-II and GNSS say of the speed in a replay, file by file, to tell how well they agree."""

from collections import defaultdict
from typing import Any

import numpy as np

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Quality, Samples, Series, SignalCatalog, SignalWindow
from agent.decode.agreement import speed_agreement
from simulators.replay.source import ReplaySource


class SpeedProbe:
    """A Probe for Hardware. Memory grows with the recording: a replay ends, a car does not."""

    def __init__(self, source: ReplaySource) -> None:
        self._source = source
        self._series: defaultdict[tuple[int, str], list[Series]] = defaultdict(list)
        self._withheld: defaultdict[int, int] = defaultdict(int)

    def __call__(self, window: SignalWindow, samples: Samples, catalog: SignalCatalog) -> None:
        """Keep the two speeds of this window, and count the GNSS samples its own fields do not vouch for."""
        file = self._source.index_at(window.t_ns)
        for path in (vss.SPEED, vss.GNSS_SPEED):
            series = window.new(path)
            if len(series):
                self._series[file, path].append(series)
        gnss = catalog.index(vss.GNSS_SPEED)
        if gnss is not None:
            refused = (samples.signal == gnss) & (samples.quality != Quality.VALID)
            self._withheld[file] += int(np.count_nonzero(refused))

    def per_file(self) -> list[dict[str, Any]]:
        """Lag in s, RMSE in m/s, GNSS samples compared and left out for each file; None where not comparable."""
        rows = []
        for number, recording in enumerate(self._source.recordings):
            found = speed_agreement(
                self._whole(number, vss.SPEED), self._whole(number, vss.GNSS_SPEED), gated=self._withheld[number]
            )
            rows.append(
                {
                    "file": recording.name,
                    "lag_s": None if found is None else round(found.lag_s, 2),
                    "rmse_mps": None if found is None else round(found.rmse, 3),
                    "samples": 0 if found is None else found.samples,
                    "left_out": self._withheld[number] if found is None else found.left_out,
                }
            )
        return rows

    def _whole(self, file: int, path: str) -> Series:
        parts = self._series[file, path]
        if not parts:
            return EMPTY_SERIES
        return Series(np.concatenate([part.t_ns for part in parts]), np.concatenate([part.value for part in parts]))
