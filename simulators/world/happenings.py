"""What can befall the car beyond the first five: the event types of a scenario file, by part of the car."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from agent.core.config import Section

CELL_COUNT: Final = 24

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Degrees = Annotated[float, Meta(ge=-360, le=360)]
Peak = Annotated[float, Meta(ge=0.5, le=300)]
Cell = Annotated[int, Meta(ge=0, lt=CELL_COUNT)]
Side = Literal["left", "right"]
Wheel = Literal["front_left", "front_right", "rear_left", "rear_right"]
Door = Literal["driver", "passenger", "rear_left", "rear_right"]
Seat = Literal["driver", "passenger"]


class Happening(Section, frozen=True, kw_only=True, tag_field="kind"):
    """Base of what befalls the car at at_s."""

    at_s: Seconds


class Lasting(Happening, frozen=True, kw_only=True):
    """Base of what lasts; without duration_s to the end of the drive."""

    duration_s: Annotated[float, Meta(gt=0, le=86_400)] = 86_400.0

    @property
    def until_s(self) -> float:
        """When it is over."""
        return self.at_s + self.duration_s


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


class Misfire(Lasting, frozen=True, kw_only=True, tag="misfire"):
    """A cylinder misses: rough running, and P0300 + cylinder once it has lasted ten seconds."""

    cylinder: Annotated[int, Meta(ge=1, le=8)] = 1
    roughness_rpm: Annotated[float, Meta(ge=5, le=500)] = 90.0


class LeanMixture(Lasting, frozen=True, kw_only=True, tag="lean_mixture"):
    """Unmetered air: the short trim answers at once, the long one learns; P0171 once the long one passes 20 %."""

    trim_percent: Annotated[float, Meta(ge=1, le=60)] = 28.0


# Sensors


class SensorFault(Lasting, frozen=True, kw_only=True, tag="sensor_fault"):
    """A signal (VSS path) lies. amount: the offset, or the drift in units a second; a stuck one keeps its value."""

    signal: str
    fault: Literal["stuck", "offset", "drift"]
    amount: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0


class GnssOutage(Lasting, frozen=True, kw_only=True, tag="gnss_outage"):
    """No fix: a tunnel, an underground car park."""


class GnssSpoof(Lasting, frozen=True, kw_only=True, tag="gnss_spoof"):
    """A transmitter leads the position away, at this speed towards this bearing; accuracy claims stay good."""

    speed_mps: Annotated[float, Meta(ge=0, le=1000)] = 30.0
    jump_m: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    bearing_deg: Annotated[float, Meta(ge=0, lt=360)] = 90.0


# The bus


class BusFlood(Lasting, frozen=True, kw_only=True, tag="bus_flood"):
    """Frames of the highest priority crowd the others out; this share of them is lost."""

    frames_per_s: Annotated[float, Meta(ge=1, le=20_000)] = 3000.0
    lost_share: Annotated[float, Meta(ge=0, le=1)] = 0.7


class BusFuzz(Lasting, frozen=True, kw_only=True, tag="bus_fuzz"):
    """Random bytes under random identifiers."""

    frames_per_s: Annotated[float, Meta(ge=1, le=20_000)] = 500.0


class BusSilence(Lasting, frozen=True, kw_only=True, tag="bus_silence"):
    """A message is suspended; without a name the whole bus is off."""

    message: str = ""


class BusReplay(Lasting, frozen=True, kw_only=True, tag="bus_replay"):
    """Another node speaks in a message's place, at its times: what the message said back_s earlier."""

    message: str
    back_s: Annotated[float, Meta(gt=0, le=3600)] = 20.0


# The traction battery


class WeakCell(Lasting, frozen=True, kw_only=True, tag="weak_cell"):
    """An aged cell: this many times the resistance, and this much less charge than the others."""

    cell: Cell
    resistance_factor: Annotated[float, Meta(ge=1, le=20)] = 4.0
    charge_below_percent: Annotated[float, Meta(ge=0, le=60)] = 8.0


class MicroShort(Lasting, frozen=True, kw_only=True, tag="micro_short"):
    """A small internal short discharges one cell and hardly warms it."""

    cell: Cell
    ohm: Annotated[float, Meta(ge=0.005, le=100)] = 0.5


class ContactResistance(Lasting, frozen=True, kw_only=True, tag="contact_resistance"):
    """A busbar's screw has loosened: its milliohms show in one cell's measured voltage, under load only."""

    cell: Cell
    milliohm: Annotated[float, Meta(gt=0, le=50)] = 3.0


class CoolantLoss(Lasting, frozen=True, kw_only=True, tag="coolant_loss"):
    """The cooling plate runs dry: nothing takes the pack's heat away."""


class Runaway(Happening, frozen=True, kw_only=True, tag="runaway"):
    """Thermal runaway of one cell; each neighbour follows once it has stood next to fire for propagation_s."""

    cell: Cell
    rate_kps: Annotated[float, Meta(ge=1, le=50)] = 4.0
    propagation_s: Annotated[float, Meta(ge=1, le=3600)] = 20.0


class Charging(Lasting, frozen=True, kw_only=True, tag="charging"):
    """A parked car takes this power; with overcharge on, nobody stops it when the pack is full."""

    power_kw: Annotated[float, Meta(ge=0.5, le=60)] = 6.6
    overcharge: bool = False


class InsulationLoss(Lasting, frozen=True, kw_only=True, tag="insulation_loss"):
    """The pack's insulation against the body falls to this."""

    kohm: Annotated[float, Meta(ge=0, le=2000)] = 20.0


class HvilOpen(Lasting, frozen=True, kw_only=True, tag="hvil_open"):
    """The high-voltage interlock loop is open: a service plug or a connector is not seated."""


RoadEvent = Kerb | SpeedBump | RailCrossing | Hill | Grip
BoxEvent = Rollover | DoorSlam | Knock | Drop | LooseMount | CarWash | Tilt | Tow | Swell
CarEvent = TyreLeak | Crank | AlternatorFault | SmartAlternator | Drain | DoorOpen | BeltOpen | Misfire | LeanMixture
SensorEvent = SensorFault | GnssOutage | GnssSpoof
PackEvent = WeakCell | MicroShort | ContactResistance | CoolantLoss | Runaway | Charging | InsulationLoss | HvilOpen
BusEvent = BusFlood | BusFuzz | BusSilence | BusReplay
MoreEvents = RoadEvent | BoxEvent | CarEvent | SensorEvent | BusEvent | PackEvent
