"""Gravity and forward in a chip's axes from rows of a drive: the sums, what they say, and turning towards it."""

from dataclasses import dataclass
from math import cos, degrees, hypot, inf, radians, sin, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

KNOWN_DEG: Final = 10.0  # forward is known where it is off by no more
GRAVITY_MIN: Final = 7.0  # m/s^2; beyond, a second shows a crash or a sensor that is broken
GRAVITY_MAX: Final = 12.5

_ROWS_MIN: Final = 20.0
_STRENGTH_MIN: Final = 0.25  # a true axis has 1: speed that comes late makes it weaker, nonsense makes it nothing
_RELATED: Final = 1.5  # what is left is not quite independent from second to second
_LASTS: Final = 0.9  # share of a slope or a banked curve that is still there a second later (real drives: 0.65-0.9)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Orientation:
    """rotation float64[3, 3] turns the chip's axes into ISO 8855's (forward, left, up); heading_error_deg 180: unknown.

    Both errors are estimates of two standard deviations. rotation is right-handed, as chips are.
    """

    rotation: Matrix
    level_error_deg: float
    heading_error_deg: float


class Regression:
    """Sums of f = [1, along, across] @ coefficients over rows of a second each; older rows fade.

    Slopes and banked curves last, so each row is taken less the share of the one before that lasts (generalised least
    squares with first-order autoregressive errors): otherwise a motorway's curves turn the heading by several degrees.
    """

    def __init__(self, memory_s: float) -> None:
        self._keep = 1 - 1 / memory_s
        self._before: tuple[int, Matrix, Matrix] | None = None
        self.rows = 0.0  # how many it is worth
        self.regressors = np.zeros((3, 3))
        self.forces = np.zeros((3, 3))
        self.squares = np.zeros((3, 3))

    def add(self, number: int, along: float, across: float, force: Matrix) -> None:
        """The second of that number: dv/dt and v * yaw rate in m/s^2, float64[3] in m/s^2."""
        row = np.array([1.0, along, across])
        before, self._before = self._before, (number, row, force)
        if before is not None and number == before[0] + 1:
            row, force = row - _LASTS * before[1], force - _LASTS * before[2]
        else:
            share = sqrt(1 - _LASTS**2)
            row, force = share * row, share * force
        self.rows = self.rows * self._keep + 1
        self.regressors = self.regressors * self._keep + np.outer(row, row)
        self.forces = self.forces * self._keep + np.outer(row, force)
        self.squares = self.squares * self._keep + np.outer(force, force)

    def solve(self) -> Orientation | None:
        """What the rows say; None before there are enough."""
        if self.rows < _ROWS_MIN:
            return None
        inverse = np.linalg.inv(self.regressors + np.diag([0.0, 0.1, 0.1]))  # the ridge: nobody accelerated yet
        found = inverse @ self.forces
        gravity = float(np.linalg.norm(found[0]))
        if not GRAVITY_MIN <= gravity <= GRAVITY_MAX:
            return None
        # What is left unexplained in its worst direction: without a gyroscope that is sideways, where it matters.
        left_over = max(float(np.linalg.eigvalsh(self.squares - found.T @ self.forces)[-1]), 0.0)
        left_over /= max(self.rows - 3, 1.0)
        spread = _RELATED * np.sqrt(left_over * np.diag(inverse))
        up = found[0] / gravity
        heading, error_deg = _heading(up, found[1], found[2], spread[1:])
        rotation = level_rotation(up) if heading is None else _upright(up, heading)
        return Orientation(rotation, degrees(2 * spread[0] / gravity), error_deg)


def level_rotation(up: Matrix) -> Matrix:
    """The smallest turn that brings `up`, float64[3] of length 1, to the third axis."""
    x, y, z = (float(v) for v in up)
    if z < -0.999_999:  # upside down: every axis across is as near, so over the first
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + z))


def _heading(up: Matrix, forward: Matrix, left: Matrix, spread: Matrix) -> tuple[Matrix | None, float]:
    """Forward across up, of length 1, and its error in degrees (two standard deviations); None and 180 if unknown."""
    total, weights = np.zeros(3), 0.0
    for axis, turned, one in ((forward, False, spread[0]), (left, True, spread[1])):
        flat = axis - (axis @ up) * up
        strength = float(np.linalg.norm(flat))
        if strength < _STRENGTH_MIN:
            continue
        weight = (strength / max(float(one), 1e-3)) ** 2
        total += weight * (np.cross(flat, up) if turned else flat) / strength
        weights += weight
    size = float(np.linalg.norm(total))
    error_deg = degrees(2 / sqrt(weights)) if weights else inf
    if size < 0.5 * weights or error_deg > KNOWN_DEG:  # the two contradict each other, or say little
        return None, 180.0
    return total / size, error_deg


def _upright(up: Matrix, forward: Matrix) -> Matrix:
    """Rows forward, left, up."""
    return np.stack([forward, np.cross(up, forward), up])


def angle_deg(one: Matrix, other: Matrix) -> float:
    """How far one rotation is from the other."""
    turn = other @ one.T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return degrees(float(np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1)))


def towards(one: Matrix, other: Matrix, step_deg: float) -> Matrix:
    """`one` turned towards `other` by step_deg at most."""
    whole_deg = angle_deg(one, other)
    if whole_deg <= step_deg:
        return other
    turn = other @ one.T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    size = hypot(*axis.tolist())
    if size < 1e-6:  # half a turn: about the axis that stays
        axis = np.linalg.svd(turn - np.eye(3))[2][2]
        size = 1.0
    axis = axis / size
    x, y, z = (float(v) for v in axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = radians(step_deg)
    return np.asarray((np.eye(3) + sin(angle) * cross + (1 - cos(angle)) * cross @ cross) @ one)
