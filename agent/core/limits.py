"""The limits of every detector, as config gives them and an operator may push them; where the defaults are from."""

from typing import Annotated, Literal

from msgspec import Meta

from agent.core.section import Name, NameOrNone, Section


class Driving(Section, frozen=True, kw_only=True):
    """Harsh driving. Defaults: Digital Matter's published limits; minimum speeds of Teltonika's GNSS mode."""

    acceleration_mps2: Annotated[float, Meta(ge=1, le=15)] = 4.4
    braking_mps2: Annotated[float, Meta(ge=1, le=15)] = 4.4
    cornering_mps2: Annotated[float, Meta(ge=1, le=15)] = 5.5
    duration_min_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.3
    hysteresis: Annotated[float, Meta(ge=0, le=0.9)] = 0.17
    gap_min_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    speed_min_kmh: Annotated[float, Meta(ge=0, le=100)] = 10.0
    cornering_speed_min_kmh: Annotated[float, Meta(ge=0, le=150)] = 30.0


class Trip(Section, frozen=True, kw_only=True):
    """Trips. Defaults: Samsara's published start of 5 mph and end after 5 min below."""

    start_speed_kmh: Annotated[float, Meta(ge=1, le=50)] = 8.0
    end_after_s: Annotated[float, Meta(ge=10, le=3600)] = 300.0


class CollisionLimits(Section, frozen=True, kw_only=True):
    """Collision trigger: delta-v within a span, 49 CFR 563 semantics.

    frontal_deg: frontal and rear reach so far to either side; common knowledge in the field (11 to 1 o'clock).
    events_max: impacts told of one crash; UN R160 wants room for three (second-hand).
    lock_delta_v_kmh: longitudinal delta-v from which a record is locked, and a crash is severe: 25 km/h in UN R160
    (second-hand); one source has 24 for GB 39732. moderate_delta_v_kmh: below a crash is minor; ours.
    records_per_hour: crash records that may be withdrawn; beyond it they begin when a crash is sure, and it has one.
    """

    delta_v_kmh: Annotated[float, Meta(ge=3, le=50)] = 8.0
    span_ms: Annotated[int, Meta(ge=20, le=500)] = 150
    stationary_delta_v_kmh: Annotated[float, Meta(ge=1, le=50)] = 3.0
    sensor_range_mps2: Annotated[float, Meta(ge=19, le=5000)] = 156.9
    frontal_deg: Annotated[float, Meta(ge=15, le=75)] = 45.0
    events_max: Annotated[int, Meta(ge=1, le=20)] = 5
    lock_delta_v_kmh: Annotated[float, Meta(ge=8, le=50)] = 25.0
    moderate_delta_v_kmh: Annotated[float, Meta(ge=3, le=50)] = 15.0
    records_per_hour: Annotated[int, Meta(ge=1, le=1000)] = 20


class RolloverLimits(Section, frozen=True, kw_only=True):
    """Rollover: roll from which a car has turned over, as Digital Matter publishes it; slower cars are not believed."""

    angle_deg: Annotated[float, Meta(ge=45, le=180)] = 60.0
    speed_min_kmh: Annotated[float, Meta(ge=0, le=100)] = 10.0


class RoadLimits(Section, frozen=True, kw_only=True):
    """Potholes and kerbs: nothing is published, so the defaults are ours."""

    peak_mps2: Annotated[float, Meta(ge=3, le=200)] = 10.0
    gap_min_s: Annotated[float, Meta(ge=1, le=3600)] = 10.0
    speed_min_kmh: Annotated[float, Meta(ge=0, le=100)] = 10.0


class BatteryLimits(Section, frozen=True, kw_only=True):
    """Traction battery limits; the defaults per chemistry are common knowledge in the field, not a standard's.

    capacity_ah: of one cell (or the cells in parallel) when new; without it a leak is told in percent an hour.
    cells_in_series: without it the pack's voltage is held to no limit. Temperatures of DC-DC converter, motor and its
    controller are ours: makers publish none. motor_speed_rpm, motor_current_a: not watched where they are not told.
    report_days: how often the battery report comes.
    """

    chemistry: Literal["lfp", "nmc"] = "nmc"
    capacity_ah: Annotated[float, Meta(ge=1, le=2000)] | None = None
    cell_over_voltage_v: Annotated[float, Meta(ge=2, le=5)] | None = None
    cell_under_voltage_v: Annotated[float, Meta(ge=1, le=4)] | None = None
    over_temperature_c: Annotated[float, Meta(ge=30, le=100)] = 55.0
    over_temperature_release_c: Annotated[float, Meta(ge=20, le=100)] = 50.0
    temperature_spread_c: Annotated[float, Meta(ge=2, le=50)] = 15.0
    cell_spread_v: Annotated[float, Meta(ge=0.01, le=2)] = 0.3
    cells_in_series: Annotated[int, Meta(ge=1, le=256)] | None = None
    soc_low_percent: Annotated[float, Meta(ge=0, le=50)] = 5.0
    soc_jump_percent: Annotated[float, Meta(ge=1, le=50)] = 8.0
    insulation_warn_ohm_per_v: Annotated[float, Meta(ge=50, le=5000)] = 500.0
    insulation_stop_ohm_per_v: Annotated[float, Meta(ge=20, le=1000)] = 100.0
    dcdc_temperature_c: Annotated[float, Meta(ge=50, le=200)] = 95.0
    motor_temperature_c: Annotated[float, Meta(ge=60, le=250)] = 150.0
    motor_controller_temperature_c: Annotated[float, Meta(ge=50, le=200)] = 90.0
    motor_speed_rpm: Annotated[float, Meta(ge=1000, le=50_000)] | None = None
    motor_current_a: Annotated[float, Meta(ge=10, le=5000)] | None = None
    report_days: Annotated[int, Meta(ge=1, le=366)] = 30


class Anomalies(Section, frozen=True, kw_only=True):
    """The ONNX model that watches the drive. shadow: a second one that scores in silence, to be compared."""

    enabled: bool = True
    model: Name = "drive"
    shadow: NameOrNone = ""
    period_s: Annotated[float, Meta(ge=0.1, le=600)] = 1.0
    deadline_s: Annotated[float, Meta(ge=0.05, le=1)] = 0.5


class Models(Section, frozen=True, kw_only=True):
    """The process of all ONNX models, and those that say how sure a collision, or advice on cells, is; empty: rules.

    What it does not answer within collision_deadline_s goes out without it. The process is given up for this run when
    it would be started again more than restarts_max times within restarts_within_s.
    """

    collision: NameOrNone = "collision"
    battery: NameOrNone = "battery"
    collision_deadline_s: Annotated[float, Meta(ge=0.001, le=0.5)] = 0.02
    restarts_max: Annotated[int, Meta(ge=0, le=100)] = 5
    restarts_within_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0


class BusLimits(Section, frozen=True, kw_only=True):
    """The watch over frames that do not belong on a bus. Off by default: with it every frame of a bus is read.

    learn_s: seconds of traffic from which the habits of a bus are learnt, over several boots where need be.
    """

    enabled: bool = False
    learn_s: Annotated[int, Meta(ge=60, le=1_000_000)] = 600


class Detect(Section, frozen=True, kw_only=True):
    """All detectors' limits."""

    driving: Driving = Driving()
    trip: Trip = Trip()
    collision: CollisionLimits = CollisionLimits()
    rollover: RolloverLimits = RolloverLimits()
    road: RoadLimits = RoadLimits()
    battery: BatteryLimits = BatteryLimits()
    anomaly: Anomalies = Anomalies()
    bus: BusLimits = BusLimits()
