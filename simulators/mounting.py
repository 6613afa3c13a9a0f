"""How well the mounting is learnt: simulated drives with the chip at any angle, against the angle it really has."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Series
from agent.detect.alignment import angle_deg
from agent.detect.mounting import SelfMount
from simulators.arguments import Parser
from simulators.world import Drive, random_commute, simulate

SpeedBy = Literal["car", "obd", "gnss"]

_NS: Final = 1_000_000_000
_WINDOW_NS: Final = 200_000_000
_LEFT: Final = np.array([1.0, -1.0, 1.0])  # the world's lateral is right +, a chip's axes are right-handed
_OBD_S, _OBD_LATE_S = 0.5, 0.3
_GNSS_LATE_S: Final = 0.2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Speeds:
    """A SignalWindow with nothing but speed."""

    t_ns: int
    path: str
    series: Series

    def paths(self) -> Collection[str]:
        """The one path, where it has new samples."""
        return [self.path] if len(self.series) else []

    def new(self, path: str) -> Series:
        """Samples that arrived in this window."""
        return self.series if path == self.path else EMPTY_SERIES

    def recent(self, path: str, seconds: float) -> Series:  # noqa: ARG002  # the protocol's signature
        """The same: nothing before is kept."""
        return self.new(path)

    def latest(self, path: str) -> float | None:
        """Newest value of this window."""
        series = self.new(path)
        return float(series.value[-1]) if len(series) else None


def random_rotation(seed: int) -> Floats:
    """Any angle, each as likely as another: what turns the car's axes (forward, left, up) into the chip's."""
    q, r = np.linalg.qr(np.random.default_rng([seed, 563]).standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.linalg.det(q))


def commute(seed: int, duration_s: float) -> Drive:
    """A random drive with a chip of 100 Hz whose own axes are true: the angle is all there is to learn."""
    scenario = random_commute(seed, duration_s)
    imu = msgspec.structs.replace(scenario.imu, rate_hz=100, misalignment_deg=0.0)
    return simulate(msgspec.structs.replace(scenario, imu=imu), seed)


def hills(drive: Drive, seed: int) -> Floats:
    """What slopes add to the specific force, float64[n, 3]: gradients of 3 % (RMS) that change within 20 s."""
    t_s = drive.imu.t_ns / _NS
    knots = np.random.default_rng([seed, 40]).standard_normal(int(t_s[-1] / 20) + 3)
    angle = np.arctan(0.03 * np.interp(t_s / 20, np.arange(len(knots)), knots))
    return np.column_stack([np.sin(angle), np.zeros(len(t_s)), np.cos(angle) - 1]) * 9.80665


def feed(
    mount: SelfMount,
    drive: Drive,
    mounted: Floats,
    *,
    by: SpeedBy = "car",
    start_ns: int = 0,
    slopes: Floats | float = 0.0,
    turning: bool = True,
) -> Iterator[tuple[int, Floats]]:
    """Drive with the chip at that angle: time and accelerations as turned (forward, left, up), every 200 ms.

    turning False: the chip has no gyroscope.
    """
    t_ns = drive.imu.t_ns
    chip = ((drive.imu.acceleration + slopes) * _LEFT) @ mounted.T
    rotation = drive.imu.rotation @ mounted.T
    path, speed = _speed(drive, by)
    edges = np.arange(_WINDOW_NS, int(t_ns[-1]) + _WINDOW_NS, _WINDOW_NS)
    before, before_speed = 0, 0
    for edge in edges.tolist():
        upto = int(np.searchsorted(t_ns, edge))
        upto_speed = int(np.searchsorted(speed.t_ns, edge))
        rows, told = slice(before, upto), slice(before_speed, upto_speed)
        before, before_speed = upto, upto_speed
        mount.observe(Speeds(start_ns + edge, path, Series(start_ns + speed.t_ns[told], speed.value[told])))
        if upto > rows.start:
            if turning:
                mount.rotations(start_ns + t_ns[rows], rotation[rows])
            yield start_ns + edge, mount.accelerations(start_ns + t_ns[rows], chip[rows])


def _speed(drive: Drive, by: SpeedBy) -> tuple[str, Series]:
    """As the car's bus tells it; as OBD-II does, twice a second in whole km/h and late; as a receiver does."""
    if by == "gnss":
        return vss.GNSS_SPEED, Series(drive.gnss.t_ns + round(_GNSS_LATE_S * _NS), drive.gnss.speed_kmh)
    t_ns, kmh = drive.signals[vss.SPEED]
    if by == "car":
        return vss.SPEED, Series(t_ns, kmh)
    asked = np.arange(0, int(t_ns[-1]), round(_OBD_S * _NS))
    return vss.SPEED, Series(asked + round(_OBD_LATE_S * _NS), np.floor(np.interp(asked, t_ns, kmh)))


def errors_deg(seed: int, drive: Drive, by: SpeedBy) -> tuple[float, float | None]:
    """How far off all axes are after a hilly drive, and after how many minutes forward was known; None: it was not."""
    mount, mounted, known_min = SelfMount(), random_rotation(seed), None
    for t_ns, _ in feed(mount, drive, mounted, by=by, slopes=hills(drive, seed)):
        if known_min is None and mount.heading_error_deg < 10:
            known_min = t_ns / 60 / _NS
    found = mount.orientation
    return (180.0 if found is None else angle_deg(found.rotation, mounted.T)), known_min


def main(argv: Sequence[str]) -> int:
    """Exit code 0 where the bar is met, else 1."""
    parser = Parser(prog="python -m simulators mounting", description="How well the mounting is learnt from driving.")
    parser.add_argument("--seeds", type=int, default=24, metavar="N", help="drives; without it: %(default)s")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="of driving; without it: %(default)s")
    parser.add_argument("--bar", type=float, default=5.0, metavar="DEG", help="for 95 %% of drives")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    met = True
    report = {}
    kinds: tuple[SpeedBy, ...] = ("car", "obd", "gnss")
    found: dict[SpeedBy, list[tuple[float, float | None]]] = {by: [] for by in kinds}
    for seed in range(options.seeds):
        drive = commute(seed, options.minutes * 60)
        for by in kinds:
            found[by].append(errors_deg(seed, drive, by))
    for by, results in found.items():
        errors = np.array([error for error, _ in results])
        known = [minutes for _, minutes in results if minutes is not None]
        line = {
            "drives": len(results),
            "known": len(known),
            "median_deg": round(float(np.median(errors)), 2),
            "p95_deg": round(float(np.percentile(errors, 95)), 2),
            "worst_deg": round(float(errors.max()), 2),
            "known_after_min": round(float(np.median(known)), 1) if known else None,
        }
        met = met and line["p95_deg"] <= options.bar
        report[by] = line
        if not options.json:
            print(f"speed from {by:5}" + "".join(f"  {name} {value}" for name, value in line.items()), flush=True)
    if options.json:
        print(json.dumps(report))
    return 0 if met else 1
