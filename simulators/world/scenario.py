"""What happens to the simulated car: the type of simulators/scenarios/*.toml."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from agent.core.config import Section
from agent.core.ports import Language
from simulators.world.happening import CELL_COUNT, Cell, Degrees, Happening, PulseShape, Seconds
from simulators.world.happenings import BoxEvent, CarEvent, RoadEvent
from simulators.world.happenings_pack import PackEvent
from simulators.world.happenings_wires import BusEvent, SensorEvent

__all__ = [
    "CELL_COUNT",
    "Answer",
    "Car",
    "CellOverheat",
    "Collision",
    "ConfigPush",
    "Curve",
    "Demo",
    "Driver",
    "Event",
    "Gnss",
    "HarshBrake",
    "IgnitionOff",
    "Imu",
    "Leg",
    "NetworkCut",
    "PastCycle",
    "Pothole",
    "Scenario",
    "Stretch",
    "Weather",
    "ignition_off_s",
]

Family = Literal[
    "driving", "crash", "road", "box", "battery", "electrics", "tyres", "cabin", "engine", "sensors", "bus"
]


class Car(Section, frozen=True, kw_only=True):
    """The vehicle at the start: a plug-in hybrid of the compact class with a small 88 V pack, if nothing else is said.

    ice: an engine alone, without the pack's messages on the bus. ev: a small electric car, whose engine never turns;
    give it more capacity_ah.
    """

    kind: Literal["hybrid", "ice", "ev"] = "hybrid"
    drag_area_m2: Annotated[float, Meta(ge=0.2, le=10)] = 0.62

    mass_kg: Annotated[float, Meta(ge=500, le=5000)] = 1650.0
    power_kw: Annotated[float, Meta(ge=20, le=500)] = 100.0
    soc_percent: Annotated[float, Meta(ge=5, le=100)] = 62.0
    pack_c: Annotated[float, Meta(ge=-30, le=50)] = 28.0
    chemistry: Literal["nmc", "lfp"] = "nmc"
    capacity_ah: Annotated[float, Meta(ge=20, le=1000)] = 100.0
    soh_percent: Annotated[float, Meta(ge=50, le=100)] = 100.0  # capacity left; the resistance grows as it falls
    coolant_c: Annotated[float, Meta(ge=-30, le=110)] = 74.0
    air_c: Annotated[float, Meta(ge=-40, le=50)] = 24.0
    odometer_m: Annotated[float, Meta(ge=0, le=1e9)] = 48_213_400.0
    latitude: Annotated[float, Meta(ge=-85, le=85)] = 31.2165
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 121.4365
    altitude_m: Annotated[float, Meta(ge=-500, le=6000)] = 14.0
    heading_deg: Annotated[float, Meta(ge=0, lt=360)] = 75.0


class Imu(Section, frozen=True, kw_only=True):
    """The box's accelerometer and gyroscope. The mounting is known to the box, the misalignment is not."""

    rate_hz: Literal[100, 200, 400, 800, 1600] = 400
    range_g: Annotated[float, Meta(ge=2, le=400)] = 16.0
    noise_mps2: Annotated[float, Meta(ge=0, le=1)] = 0.03
    bias_mps2: Annotated[float, Meta(ge=0, le=1)] = 0.04
    noise_dps: Annotated[float, Meta(ge=0, le=5)] = 0.08
    bias_dps: Annotated[float, Meta(ge=0, le=5)] = 0.1
    mounting_deg: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)
    misalignment_deg: Annotated[float, Meta(ge=0, le=10)] = 0.5


class Gnss(Section, frozen=True, kw_only=True):
    """The receiver."""

    rate_hz: Literal[1, 2, 5, 10] = 5
    accuracy_m: Annotated[float, Meta(ge=0.1, le=100)] = 2.5


class Weather(Section, frozen=True, kw_only=True):
    """Of the whole drive. The road decides what the tyres hold where no `grip` says otherwise; the air is car.air_c."""

    road: Literal["dry", "wet", "snow", "ice"] = "dry"
    headwind_kmh: Annotated[float, Meta(ge=-150, le=150)] = 0.0


class Driver(Section, frozen=True, kw_only=True):
    """Who drives along a route: this share of each limit, and no more than these accelerations."""

    keeps_share: Annotated[float, Meta(ge=0.3, le=1.6)] = 0.95
    acceleration_mps2: Annotated[float, Meta(ge=0.2, le=4)] = 1.7
    braking_mps2: Annotated[float, Meta(ge=0.2, le=4)] = 1.8


class Stretch(Section, frozen=True, kw_only=True):
    """A piece of road with one speed limit, and how long the driver stands at its end."""

    length_m: Annotated[float, Meta(ge=10, le=1_000_000)]
    limit_kmh: Annotated[float, Meta(ge=5, le=200)]
    stop_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class Leg(Section, frozen=True, kw_only=True):
    """From at_s on the driver wants this speed and takes no more than these accelerations to reach it."""

    at_s: Seconds
    speed_kmh: Annotated[float, Meta(ge=0, le=200)]
    acceleration_mps2: Annotated[float, Meta(ge=0.2, le=4)] = 1.7
    braking_mps2: Annotated[float, Meta(ge=0.2, le=4)] = 1.8


class Curve(Section, frozen=True, kw_only=True):
    """A bend of the road; the driver turns in and out smoothly."""

    at_s: Seconds
    duration_s: Annotated[float, Meta(ge=1, le=600)]
    radius_m: Annotated[float, Meta(ge=5, le=10_000)]
    turn: Literal["left", "right"]


class HarshBrake(Happening, frozen=True, kw_only=True, tag="harsh_brake"):
    """The driver brakes this hard for this long, then goes on with the plan."""

    deceleration_mps2: Annotated[float, Meta(ge=2, le=10)] = 6.4
    duration_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.6
    antilock: bool = False  # the ABS works: wheels slip, the deceleration pulses


class Pothole(Happening, frozen=True, kw_only=True, tag="pothole"):
    """Front wheel, then rear wheel through a hole; peak is the front's vertical shock."""

    peak_mps2: Annotated[float, Meta(ge=2, le=150)] = 26.0
    side: Literal["left", "right"] = "right"


class CellOverheat(Happening, frozen=True, kw_only=True, tag="cell_overheat"):
    """An internal short heats one cell (counted from 0) at rate_kps until it reaches to_c."""

    cell: Cell
    rate_kps: Annotated[float, Meta(gt=0, le=50)] = 1.5
    to_c: Annotated[float, Meta(ge=30, le=86)] = 66.0


class Collision(Happening, frozen=True, kw_only=True, tag="collision"):
    """A pulse of acceleration. pdof_deg: 0 from ahead, 90 from the right. The car then comes to a stand.

    shape: haversine as in crash tests, triangle, half_sine, plateau (a wall that gives way evenly), or sawtooth (a
    triangle with an early peak).
    """

    delta_v_kmh: Annotated[float, Meta(ge=0.5, le=120)]
    duration_ms: Annotated[float, Meta(ge=20, le=300)] = 100.0
    pdof_deg: Degrees = 0.0
    shape: PulseShape = "haversine"


class IgnitionOff(Happening, frozen=True, kw_only=True, tag="ignition_off"):
    """The driver gets out: the buses fall asleep two seconds later, the box stays awake."""


Event = (
    HarshBrake
    | Pothole
    | CellOverheat
    | Collision
    | IgnitionOff
    | RoadEvent
    | BoxEvent
    | CarEvent
    | PackEvent
    | SensorEvent
    | BusEvent
)


class PastCycle(Section, frozen=True, kw_only=True):
    """A drive cycle before this one: which codes its monitors found, whether they had time to run, and how often."""

    failed: list[Annotated[str, Meta(pattern="^[PCBU][0-3][0-9A-F]{3}$")]] = field(default_factory=list)
    ran: bool = True
    warm_up: bool = True
    times: Annotated[int, Meta(ge=1, le=200)] = 1


class NetworkCut(Section, frozen=True, kw_only=True):
    """The insurer's cloud is out of reach from from_s to until_s."""

    from_s: Seconds
    until_s: Seconds

    def __post_init__(self) -> None:
        if self.until_s <= self.from_s:
            raise ValueError("until_s must lie after from_s")


class ConfigPush(Section, frozen=True, kw_only=True):
    """The operator pushes the running config with these keys changed, nested as in the config file."""

    at_s: Seconds
    change: dict[str, Any]


class Answer(Section, frozen=True, kw_only=True):
    """What the driver says, delay_s after the question about this kind of event. No answer listed means silence.

    aloud_zh, aloud_en: the same in words that the keyword model knows, for a driver who really speaks.
    """

    about: str
    zh: str
    en: str
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    aloud_zh: str = ""
    aloud_en: str = ""

    def words(self, language: Language, *, aloud: bool) -> str:
        """In this language, to be read or to be heard."""
        short, whole = (self.aloud_zh, self.zh) if language == "zh" else (self.aloud_en, self.en)
        return short or whole if aloud else whole


class DeskTurn(Section, frozen=True, kw_only=True):
    """The insurer's desk deals with what came in, its person answers one ticket, and what is due goes to the car."""

    at_s: Seconds


class Demo(Section, frozen=True, kw_only=True):
    """What happens around the car: network, operator, desk, driver. The world does not read it; demo and tests do."""

    network_cuts: list[NetworkCut] = field(default_factory=list)
    config_pushes: list[ConfigPush] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    desk_turns: list[DeskTurn] = field(default_factory=list)


class Scenario(Section, frozen=True, kw_only=True):
    """One drive. Times are seconds from its start.

    base: another scenario (a shipped name, or a .toml file beside this one) that holds where this file is silent:
    tables merge key by key, lists are replaced, but for `also`, whose events join the inherited ones.
    """

    name: str
    description: str
    duration_s: Annotated[float, Meta(ge=1, le=86_400)]
    base: str = ""
    family: Family = "driving"
    car: Car = Car()
    imu: Imu = Imu()
    gnss: Gnss = Gnss()
    weather: Weather = Weather()
    driver: Driver = Driver()
    route: list[Stretch] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    also: list[Event] = field(default_factory=list)
    past_cycles: list[PastCycle] = field(default_factory=list)
    demo: Demo = Demo()

    def __post_init__(self) -> None:
        if self.route and self.legs:
            raise ValueError("route and legs exclude each other: a route says where to drive how fast, legs when")
        for what, times in (
            ("legs", [leg.at_s for leg in self.legs]),
            ("curves", [curve.at_s for curve in self.curves]),
            ("events", [event.at_s for event in self.events]),
            ("also", [event.at_s for event in self.also]),
        ):
            if times != sorted(times):
                raise ValueError(f"{what} must stand in the order of at_s")
            if times and times[-1] >= self.duration_s:
                raise ValueError(f"{what}: at_s {times[-1]:g} lies beyond duration_s {self.duration_s:g}")


def ignition_off_s(scenario: Scenario) -> float:
    """When the driver gets out, inf where he does not."""
    return min((event.at_s for event in scenario.events if isinstance(event, IgnitionOff)), default=float("inf"))
