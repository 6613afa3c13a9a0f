"""What can befall road, box, tyres, cabin, engine and 12 V: event types of a scenario file."""

from typing import Annotated, Final

from msgspec import Meta

from simulators.world.happening import Degrees, Door, Happening, Lasting, Peak, Seat, Side, Wheel

RESTART_S: Final = 1.0  # from off to on

# The road


class Kerb(Happening, frozen=True, kw_only=True, tag="kerb"):
    """The wheels of one side climb a kerb: a shock as much to the side as upwards."""

    peak_mps2: Peak = 35.0
    side: Side = "right"


class SpeedBump(Happening, frozen=True, kw_only=True, tag="speed_bump"):
    """Both axles over a hump of 3 m: long and round, not a shock."""

    peak_mps2: Peak = 5.0


class RailCrossing(Happening, frozen=True, kw_only=True, tag="rail_crossing"):
    """Rails 1.5 m apart, each a small shock under either axle."""

    peak_mps2: Peak = 5.0
    rails: Annotated[int, Meta(ge=1, le=16)] = 4


class Hill(Lasting, frozen=True, kw_only=True, tag="hill"):
    """The road climbs (or falls, below 0) at this grade."""

    grade_percent: Annotated[float, Meta(ge=-25, le=25)]


class Grip(Lasting, frozen=True, kw_only=True, tag="grip"):
    """The tyres hold no more than this share of gravity: 0.4 wet, 0.2 snow, 0.1 ice."""

    friction: Annotated[float, Meta(ge=0.05, le=1.5)]


# Impacts and what only looks like one


class Rollover(Happening, frozen=True, kw_only=True, tag="rollover"):
    """The car turns over to one side; turns 0.25 leaves it on its side, 0.5 on its roof."""

    turns: Annotated[float, Meta(ge=0.25, le=5)] = 0.5
    duration_s: Annotated[float, Meta(ge=0.5, le=20)] = 1.6
    side: Side = "right"


class DoorSlam(Happening, frozen=True, kw_only=True, tag="door_slam"):
    """A door, or the boot, falls shut."""

    peak_mps2: Peak = 4.0
    side: Side = "left"


class Knock(Happening, frozen=True, kw_only=True, tag="knock"):
    """Somebody's knee or bag knocks the box: loud and over within 15 ms."""

    peak_mps2: Peak = 60.0


class Drop(Happening, frozen=True, kw_only=True, tag="drop"):
    """The box falls: weightless, then the floor; from then on it lies at another angle."""

    height_m: Annotated[float, Meta(ge=0.1, le=3)] = 0.8


class LooseMount(Lasting, frozen=True, kw_only=True, tag="loose_mount"):
    """The box's glue gives: it rattles with the road and hangs at another angle."""

    rattle: Annotated[float, Meta(ge=1, le=20)] = 3.0
    pitch_deg: Degrees = 12.0


class CarWash(Lasting, frozen=True, kw_only=True, tag="car_wash"):
    """Brushes and blowers rock the car."""

    sway_mps2: Annotated[float, Meta(ge=0.1, le=5)] = 1.0


class Tilt(Lasting, frozen=True, kw_only=True, tag="tilt"):
    """Something lifts the car without it being towed: a jack, a ramp, a lift. Nose down +, right side down +."""

    pitch_deg: Annotated[float, Meta(ge=-30, le=30)] = 0.0
    roll_deg: Annotated[float, Meta(ge=-30, le=30)] = 0.0
    ramp_s: Annotated[float, Meta(ge=0.5, le=120)] = 8.0


class Tow(Lasting, frozen=True, kw_only=True, tag="tow"):
    """The front is lifted; write legs after ignition_off for the way it is dragged."""

    lift_deg: Annotated[float, Meta(ge=0.5, le=20)] = 6.0
    ramp_s: Annotated[float, Meta(ge=0.5, le=120)] = 8.0


class Swell(Lasting, frozen=True, kw_only=True, tag="swell"):
    """A ferry at sea (period of seconds), or a ride of the fairground (period of a second or two)."""

    roll_deg: Annotated[float, Meta(ge=0, le=30)] = 4.0
    pitch_deg: Annotated[float, Meta(ge=0, le=30)] = 2.0
    period_s: Annotated[float, Meta(ge=0.5, le=60)] = 8.0


# Tyres, 12 V, body, engine


class TyreLeak(Happening, frozen=True, kw_only=True, tag="tyre_leak"):
    """A valve or a nail lets air out at this rate until the tyre is flat."""

    wheel: Wheel
    kpa_per_min: Annotated[float, Meta(gt=0, le=6000)] = 20.0


class Crank(Happening, frozen=True, kw_only=True, tag="crank"):
    """The starter pulls the 12 V battery down to lowest_v; a healthy one stays above 9.6 V."""

    lowest_v: Annotated[float, Meta(ge=2, le=12.5)] = 10.2


class AlternatorFault(Lasting, frozen=True, kw_only=True, tag="alternator_fault"):
    """Nothing charges the 12 V battery any more: it carries the loads until it is empty."""

    volts_per_min: Annotated[float, Meta(gt=0, le=20)] = 0.6


class SmartAlternator(Lasting, frozen=True, kw_only=True, tag="smart_alternator"):
    """Charging follows the driving: 12.5 V while accelerating, 14.9 V while braking. Healthy."""


class Drain(Happening, frozen=True, kw_only=True, tag="drain"):
    """A forgotten load empties the parked car's 12 V battery."""

    volts_per_min: Annotated[float, Meta(gt=0, le=20)] = 0.5


class DoorOpen(Lasting, frozen=True, kw_only=True, tag="door_open"):
    """A door stands open."""

    door: Door = "driver"


class BeltOpen(Lasting, frozen=True, kw_only=True, tag="belt_open"):
    """An occupied seat's belt is not buckled."""

    seat: Seat = "driver"


class AirbagFault(Lasting, frozen=True, kw_only=True, tag="airbag_fault"):
    """The airbags' lamp is on: a squib or a sensor does not answer."""


class Reversing(Lasting, frozen=True, kw_only=True, tag="reversing"):
    """The gear is R. Write legs for how the car rolls meanwhile; the world's motion knows no direction."""


class Restart(Happening, frozen=True, kw_only=True, tag="restart"):
    """The driver switches off and, a second later, on again: a new drive cycle begins before the buses sleep.

    warm_up: the cycle that ends counts as one; without it the coolant decides. Let the car stand.
    """

    warm_up: bool | None = None


class Misfire(Lasting, frozen=True, kw_only=True, tag="misfire"):
    """A cylinder misses: rough running, and P0300 + cylinder once the engine has run so for ten seconds."""

    cylinder: Annotated[int, Meta(ge=1, le=8)] = 1
    roughness_rpm: Annotated[float, Meta(ge=5, le=500)] = 90.0


class LeanMixture(Lasting, frozen=True, kw_only=True, tag="lean_mixture"):
    """Unmetered air: the short trim answers at once, the long one learns; P0171 once the long one passes 20 %."""

    trim_percent: Annotated[float, Meta(ge=1, le=60)] = 28.0


RoadEvent = Kerb | SpeedBump | RailCrossing | Hill | Grip
BoxEvent = Rollover | DoorSlam | Knock | Drop | LooseMount | CarWash | Tilt | Tow | Swell
CarEvent = (
    TyreLeak
    | Crank
    | AlternatorFault
    | SmartAlternator
    | Drain
    | DoorOpen
    | BeltOpen
    | AirbagFault
    | Misfire
    | LeanMixture
    | Restart
    | Reversing
)
