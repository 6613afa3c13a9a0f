"""Small pieces of shaking that classes of scenes are put together from."""

from typing import Final

import numpy as np

from simulators.blows.scene import Add, Force
from simulators.world.grid import Floats, haversine_pulse, haversine_step, stream
from simulators.world.inertial import road
from simulators.world.motion import GRAVITY

_ROAD_SEEDS: Final = 1 << 31
_MOUNT_GIVES_M: Final = 0.015


def direction(rng: np.random.Generator, *, up: float = 1.0) -> Force:
    """A unit vector of any direction; up scales its vertical share before it is made a unit."""
    vector = rng.standard_normal(3) * (1.0, 1.0, up)
    return np.asarray(vector / np.linalg.norm(vector))


def blow(start_s: float, duration_s: float, peak: Force, *, turning_dps: Force | None = None) -> Add:
    """A haversine of float64[3] peak in m/s^2; turning rates with it."""

    def add(t_s: Floats, force: Force, turning: Force, _: np.random.Generator) -> None:
        shape = haversine_pulse(t_s, start_s, duration_s) * (duration_s / 2)
        force += shape[:, None] * peak
        if turning_dps is not None:
            turning += shape[:, None] * turning_dps

    return add


def knocked(start_s: float, duration_s: float, peak: Force, *, back: float, turning_dps: Force | None = None) -> Add:
    """A blow on a box that is fixed: what holds it gives way and takes all of its velocity back, `back` times as long.

    A blow so long that the box would move by more than its mount allows is made shorter.
    """
    size = float(np.linalg.norm(peak))
    longest_s = float(np.sqrt(4 * _MOUNT_GIVES_M / size))  # a haversine moves by peak * duration^2 / 4
    duration_s = min(duration_s, longest_s)
    hit = blow(start_s, duration_s, peak, turning_dps=turning_dps)
    spring = blow(start_s + duration_s, back * duration_s, -peak / back)

    def add(t_s: Floats, force: Force, turning: Force, rng: np.random.Generator) -> None:
        hit(t_s, force, turning, rng)
        spring(t_s, force, turning, rng)

    return add


def ringing(start_s: float, hertz: float, decay_s: float, peak: Force) -> Add:
    """A damped oscillation, float64[3] in m/s^2."""

    def add(t_s: Floats, force: Force, _: Force, __: np.random.Generator) -> None:
        after = np.maximum(t_s - start_s, 0)
        force += (np.exp(-after / decay_s) * np.sin(2 * np.pi * hertz * after))[:, None] * peak

    return add


def chatter(start_s: float, duration_s: float, hertz: float, share: Force) -> Add:
    """Ringing of the structure within a blow: whole periods under a round window, so that it leaves no delta-v."""

    def add(t_s: Floats, force: Force, _: Force, __: np.random.Generator) -> None:
        phase = np.clip((t_s - start_s) / duration_s, 0, 1)
        periods = max(2, round(hertz * duration_s))
        force += (np.sin(np.pi * phase) ** 2 * np.sin(2 * np.pi * periods * phase))[:, None] * share

    return add


def push(start_s: float, duration_s: float, ramp_s: float, size: Force) -> Add:
    """A force that comes, stays and goes again, float64[3] in m/s^2."""

    def add(t_s: Floats, force: Force, _: Force, __: np.random.Generator) -> None:
        rise = haversine_step(t_s, start_s, ramp_s) - haversine_step(t_s, start_s + duration_s - ramp_s, ramp_s)
        force += rise[:, None] * size

    return add


def rocking(start_s: float, end_s: float, hertz: float, size: Force) -> Add:
    """A steady sway between two instants, float64[3] in m/s^2 of amplitude, with round ends."""

    def add(t_s: Floats, force: Force, turning: Force, rng: np.random.Generator) -> None:
        share = haversine_step(t_s, start_s, 0.5) - haversine_step(t_s, end_s - 0.5, 0.5)
        wave = share * np.sin(2 * np.pi * hertz * (t_s - start_s) + rng.uniform(0, 2 * np.pi))
        force += wave[:, None] * size
        turning += wave[:, None] * (size * (1.0, 1.0, 0.2))

    return add


def rough(start_s: float, end_s: float, size: float, speed_mps: float) -> Add:
    """A stretch of road that is rougher by this factor, on top of the one that is there."""

    def add(t_s: Floats, force: Force, _: Force, rng: np.random.Generator) -> None:
        inside = haversine_step(t_s, start_s, 0.2) - haversine_step(t_s, end_s - 0.2, 0.2)
        rate_hz = round((len(t_s) - 1) / (t_s[-1] - t_s[0]))
        seed = int(rng.integers(_ROAD_SEEDS))
        force += size * inside[:, None] * road(stream(seed, "road"), rate_hz, np.full(len(t_s), speed_mps))

    return add


def white(start_s: float, end_s: float, size: float, hertz: float) -> Add:
    """Rattling: noise of this size in m/s^2 (RMS) with a low-pass of one pole, between two instants.

    Nothing is in it so slow that a box which is fixed would move by more than its mount allows.
    """
    slowest_hz = float(np.sqrt(size / _MOUNT_GIVES_M)) / (2 * np.pi)

    def add(t_s: Floats, force: Force, turning: Force, rng: np.random.Generator) -> None:
        rows = slice(*np.searchsorted(t_s, (start_s, end_s)).tolist())
        step_s = float(t_s[1] - t_s[0])
        count = rows.stop - rows.start
        if count < 2:
            return
        spectrum = np.fft.rfft(rng.standard_normal((count, 3)), axis=0)
        hz = np.fft.rfftfreq(count, step_s)
        spectrum *= ((hz >= slowest_hz) / (1 + 1j * hz / hertz))[:, None]
        noise = np.fft.irfft(spectrum, count, axis=0)
        noise *= size / np.maximum(noise.std(axis=0), 1e-9)
        force[rows] += noise
        turning[rows] += 4 * noise

    return add


def turned(t_s: Floats, force: Force, turning: Force, angles_deg: Force) -> None:
    """Turn a box that lay level by float64[n, 3] angles in degrees (roll, pitch, yaw): gravity moves in its axes.

    A walk of small angles, for hands: roll and pitch beyond 60 degrees are not meant.
    """
    roll, pitch = np.deg2rad(angles_deg[:, 0]), np.deg2rad(angles_deg[:, 1])
    force += GRAVITY * np.column_stack([-np.sin(pitch), -np.sin(roll), np.cos(pitch) * np.cos(roll) - 1])
    turning += np.gradient(angles_deg, t_s, axis=0)
