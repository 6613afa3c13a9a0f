"""The library: classes of blows and of what only looks like one, how often each comes, and which seeds are for what.

How often is ours, from what a driver of a compact car in a town lives with; nothing is published (docs/sources.md 11).
Whoever trains or tunes keeps to his range of seeds: what is reported is drawn from HELD_OUT alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal
from zlib import crc32

import numpy as np

from simulators.blows import cabin, crashes, parked, road
from simulators.blows.build import build, random_box
from simulators.blows.scene import CLEARLY_BELOW, STANDING_TRIGGER_KMH, TRIGGER_KMH, Mount, Plan, Scene

TRAINING: Final = range(1_000_000)
TUNING: Final = range(1_000_000, 2_000_000)
HELD_OUT: Final = range(10_000_000, 20_000_000)

_DRAWS_MAX: Final = 50

Draw = Callable[[np.random.Generator], Plan]


@dataclass(frozen=True, slots=True)
class Negative:
    """A class that is no collision: how often an hour, of driving or of parking, and to what it happens.

    Of what happens to the car, only draws are kept whose true delta-v is clearly below the trigger: the rest would be
    collisions by the rule. What happens to the box alone is no collision of the car, however hard it is.
    """

    draw: Draw
    per_hour: float
    hours_of: Literal["driving", "parking"]
    befalls: Literal["car", "box"] = "car"


POSITIVES: Final[Mapping[str, Draw]] = {"crash": crashes.crash, "parked_hit": crashes.parked_hit}
NEGATIVES: Final[Mapping[str, Negative]] = {
    "pothole": Negative(road.pothole, 3.0, "driving"),
    "pothole_braking": Negative(road.pothole_braking, 0.2, "driving"),
    "kerb": Negative(road.kerb, 0.5, "driving"),
    "speed_bump": Negative(road.speed_bump, 2.0, "driving"),
    "rail_crossing": Negative(road.rail_crossing, 0.3, "driving"),
    "cobbles": Negative(road.cobbles, 0.5, "driving"),
    "harsh_brake": Negative(road.harsh_brake, 0.5, "driving"),
    "emergency_stop": Negative(road.emergency_stop, 0.1, "driving"),
    "swerve": Negative(road.swerve, 0.1, "driving"),
    "hard_cornering": Negative(road.hard_cornering, 0.5, "driving"),
    "hard_launch": Negative(road.hard_launch, 0.3, "driving"),
    "trailer_jerk": Negative(road.trailer_jerk, 0.05, "driving"),
    "gravel_stop": Negative(road.gravel_stop, 0.02, "driving"),
    "knock_driving": Negative(partial(cabin.knock, where="driving"), 0.3, "driving", "box"),
    "seat_beside": Negative(cabin.seat_beside, 0.2, "driving", "box"),
    "cable_tugged": Negative(cabin.cable_tugged, 0.05, "driving", "box"),
    "loose_box": Negative(cabin.loose_box, 0.02, "driving", "box"),
    "handling_driving": Negative(partial(cabin.handling, where="driving"), 0.002, "driving", "box"),
    "drop_driving": Negative(partial(cabin.drop, where="driving"), 0.002, "driving", "box"),
    "door_slam": Negative(parked.door_slam, 0.4, "parking"),
    "boot_lid": Negative(parked.boot_lid, 0.1, "parking"),
    "loading": Negative(parked.loading, 0.05, "parking"),
    "leaning": Negative(parked.leaning, 0.05, "parking"),
    "bumped_lightly": Negative(parked.bumped_lightly, 0.01, "parking"),
    "car_wash": Negative(parked.car_wash, 0.002, "parking"),
    "jack": Negative(parked.jack, 0.0005, "parking"),
    "towing": Negative(parked.towing, 0.0005, "parking"),
    "ferry": Negative(road.ferry, 0.001, "parking"),
    "knock_parked": Negative(partial(cabin.knock, where="parked"), 0.05, "parking", "box"),
    "handling_parked": Negative(partial(cabin.handling, where="parked"), 0.001, "parking", "box"),
    "drop_parked": Negative(partial(cabin.drop, where="parked"), 0.0005, "parking", "box"),
}
KINDS: Final = (*POSITIVES, *NEGATIVES)


def draw(kind: str, seed: int, *, rate_hz: int = 400, mount: Mount | None = None, range_g: float = 0.0) -> Scene:
    """One scene: the same kind, seed and options give the same bytes. Takes milliseconds.

    mount None and range_g 0 draw those too. Raises KeyError for an unknown kind.
    """
    plan_of = POSITIVES[kind] if kind in POSITIVES else NEGATIVES[kind].draw
    for attempt in range(_DRAWS_MAX):
        rng = np.random.default_rng([seed, crc32(kind.encode()), attempt])
        plan = plan_of(rng)
        box = random_box(rng, rate_hz=rate_hz, mount=mount, awake=plan.awake, range_g=range_g)
        scene = build(kind, seed, plan, box, rng)
        if is_true(scene):
            return scene
    raise RuntimeError(f"{kind} {seed}: {_DRAWS_MAX} draws were all collisions by the rule")


def is_true(scene: Scene) -> bool:
    """Whether a scene is what its class says: what is no collision of the car must be clearly below the trigger."""
    negative = NEGATIVES.get(scene.kind)
    if negative is None or negative.befalls == "box":
        return True
    limit_kmh = TRIGGER_KMH if negative.hours_of == "driving" else STANDING_TRIGGER_KMH
    return scene.car_delta_v_kmh < CLEARLY_BELOW * limit_kmh
