"""A library of single blows and of what only looks like one: milliseconds a scene, where the world makes whole drives.

`draw("kerb", 17, rate_hz=400)` gives a Scene: signals by VSS path as the agent would see them, and the truth.
`watch(detector, scene.signals)` feeds a detector.
"""

from simulators.blows.feed import Recording, watch, windows
from simulators.blows.library import HELD_OUT, KINDS, NEGATIVES, POSITIVES, TRAINING, TUNING, Negative, draw
from simulators.blows.scene import Blow, Conditions, Scene

__all__ = [
    "HELD_OUT",
    "KINDS",
    "NEGATIVES",
    "POSITIVES",
    "TRAINING",
    "TUNING",
    "Blow",
    "Conditions",
    "Negative",
    "Recording",
    "Scene",
    "draw",
    "watch",
    "windows",
]
