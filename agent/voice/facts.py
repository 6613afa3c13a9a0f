"""What an event offers the prompts: its keys, most specific first, and its facts by placeholder."""

from collections.abc import Mapping
from typing import Final, get_args

from agent.core.desk_events import DeskKind
from agent.core.diagnosis_events import Drive, EngineFault
from agent.core.events import (
    AnyEvent,
    BatteryAdvice,
    BatteryAlarm,
    ChargeSession,
    Collision,
    ConfigApplied,
    DeskMessage,
    Diagnosis,
    EngineAdvice,
    Event,
    Feedback,
    HarshDriving,
    LowVoltageAlarm,
    ModelChanged,
    SourceChanged,
    TripEnded,
)
from agent.core.occasions import (
    ConsentSpoken,
    LowTyre,
    NothingHeard,
    Occasion,
    PartnerVisit,
    RenewalNear,
    WarningLamp,
)
from agent.voice.reading import Fact, FactKind

STOP_LEVEL: Final = 3  # from this alarm level on, the driver is asked to stop now
_CHARGE_KWH: Final = 1.0
_SURE: Final = 0.7  # below this confidence a collision is spoken of as a jolt

_ALARM_FACTS: Final[Mapping[str, set[str]]] = {
    "over_temperature": {"cell", "temperature", "limit"},
    "thermal_runaway": {"cell"},
    "temperature_difference": {"temperature", "limit"},
    "cell_over_voltage": {"cell", "voltage", "limit"},
    "cell_under_voltage": {"cell", "voltage", "limit"},
    "poor_cell_consistency": {"cell", "voltage", "limit"},
    "insulation": set(),
    "hvil": set(),
    "overcharge": {"voltage"},
    "brake_system": set(),
    "contactor": set(),
    "pack_over_voltage": {"voltage", "limit"},
    "pack_under_voltage": {"voltage", "limit"},
    "dcdc_status": set(),
    "dcdc_temperature": {"temperature", "limit"},
    "motor_temperature": {"temperature", "limit"},
    "motor_controller_temperature": {"temperature", "limit"},
}
_LOW_VOLTAGE: Final = ("weak_crank", "not_charging", "low", "flat", "over_voltage")
_TRIP_FACTS: Final = frozenset({"distance", "duration", "speed_max", "harsh"})
_OCCASION_FACTS: Final = {
    "partner_visit": frozenset({"place", "duration"}),
    "renewal_near": frozenset({"days"}),
    "low_tyre": frozenset({"wheel"}),
    "low_tyre.place": frozenset({"wheel", "place", "distance", "phone"}),
    "warning_lamp": frozenset({"lamp"}),
    **{f"consent_spoken.{what}": frozenset({"purposes"}) for what in ("taken_back", "which", "told")},
    **{f"consent_spoken.{what}": frozenset[str]() for what in ("all_taken_back", "none")},
}


KNOWN_KINDS: Final[Mapping[str, type[Event]]] = {
    str(kind.__struct_config__.tag): kind for kind in (*get_args(AnyEvent), *get_args(Occasion)) if not kind.bulk
}
"""Every kind of event that is spoken of; of fragments there is nothing to say."""


def _known_keys() -> dict[str, frozenset[str]]:
    keys: dict[str, frozenset[str]] = {kind: frozenset() for kind in KNOWN_KINDS}
    del keys["battery_alarm"]  # says nothing without naming the alarm
    variants = ("harsh_driving.acceleration", "harsh_driving.braking", "harsh_driving.cornering")
    states = ["source_changed.lost", "source_changed.silenced", "source_changed.restored"]
    states += ["model_changed.down", "model_changed.restored", "model_changed.given_up"]
    collisions = [f"collision.{variant}" for variant in ("severe", "minor", "stationary", "parked")]
    for key in (*variants, *states, *collisions, "model_changed.refused", "battery_alarm.cleared"):
        keys[key] = frozenset()
    for alarm, facts in _ALARM_FACTS.items():
        keys[f"battery_alarm.{alarm}"] = frozenset(facts)
        keys[f"battery_alarm.{alarm}.stop"] = frozenset(facts)
    for level in ("advice", "service_soon", "stop_now"):
        keys[f"battery_advice.{level}"] = frozenset({"cell"})
    for alarm in _LOW_VOLTAGE:
        keys[f"low_voltage_alarm.{alarm}"] = frozenset({"voltage"})
    for fault in get_args(EngineFault):
        keys[f"engine_advice.{fault}"] = frozenset()
    for drive in get_args(Drive):
        keys[f"diagnosis.{drive}"] = frozenset({"code", "cause"})
        keys[f"diagnosis.{drive}.unknown"] = frozenset({"code"})
    keys["trip_ended"] = keys["trip_ended.calm"] = _TRIP_FACTS
    for key in ("charge_session", *(f"charge_session.{variant}" for variant in ("faulty", "interrupted", "slow"))):
        keys[key] = frozenset({"energy"})
    for what in get_args(DeskKind):
        keys[f"desk_message.{what}"] = frozenset({"text"})
    keys["feedback.remark"] = keys["feedback.remark.now"] = keys["nothing_heard.deaf"] = frozenset()
    keys["config_applied"] = frozenset({"config_version"})
    return keys | _OCCASION_FACTS


KNOWN_KEYS: Final = _known_keys()
"""Every key a prompt may have, with the placeholders its text may use."""


def keys_of(event: Event, *, empty: bool = False) -> tuple[str, ...]:
    """Keys to look a prompt up by, the most specific first. empty: as far as is known nobody was in the car.

    A severe blow is spoken to whoever may be there: people sleep in parked cars.
    """
    kind = event.kind
    match event:
        case BatteryAlarm() | BatteryAdvice() | ChargeSession() | LowVoltageAlarm():
            return _battery_keys(event)
        case HarshDriving():
            return (f"{kind}.{event.maneuver}", kind)
        case Collision():
            return _collision_keys(event, empty=empty)
        case EngineAdvice():
            return (f"{kind}.{event.fault}", kind)
        case Diagnosis() | DeskMessage() | ConsentSpoken():
            return _told_keys(event)
        case TripEnded() if _harsh_count(event) == 0:
            return (f"{kind}.calm", kind)
        case SourceChanged() | ModelChanged():
            return (f"{kind}.{event.state}", kind)
        case Feedback(question="free_words"):
            return (f"{kind}.remark.{event.urgency}", f"{kind}.remark")
        case LowTyre() | NothingHeard():
            return _occasion_keys(event)
        case _:
            return (kind,)


def _occasion_keys(event: LowTyre | NothingHeard) -> tuple[str, ...]:
    kind = event.kind
    if isinstance(event, LowTyre):
        return (f"{kind}.place", kind) if event.place else (kind,)
    return (f"{kind}.deaf",) if event.deaf else (kind,)


def _collision_keys(event: Collision, *, empty: bool) -> tuple[str, ...]:
    kind = event.kind
    if event.severity == "severe":
        return (f"{kind}.severe", kind)
    if event.stationary:
        return (f"{kind}.parked",) if empty else (f"{kind}.stationary", kind)
    return (f"{kind}.minor", kind) if is_slight(event) else (kind,)


def _battery_keys(event: BatteryAlarm | BatteryAdvice | ChargeSession | LowVoltageAlarm) -> tuple[str, ...]:
    if isinstance(event, LowVoltageAlarm):
        return () if event.cleared else (f"{event.kind}.{event.alarm}",)
    if isinstance(event, ChargeSession):
        return _charge_keys(event)
    if isinstance(event, BatteryAdvice):
        return () if event.cell is None else (f"{event.kind}.{event.level}",)  # another pack: its workshop knows
    if event.cleared:
        # A battery that has burnt is never declared safe by a box.
        return () if event.alarm == "thermal_runaway" else (f"{event.kind}.cleared",)
    stop = (f"{event.kind}.{event.alarm}.stop",) if event.level >= STOP_LEVEL else ()
    return (*stop, f"{event.kind}.{event.alarm}")


def _told_keys(event: Diagnosis | DeskMessage | ConsentSpoken) -> tuple[str, ...]:
    """What is pending only may be nothing, and is left to the record unless it is grave."""
    if isinstance(event, ConsentSpoken):
        return (f"{event.kind}.{event.what}",)
    if isinstance(event, DeskMessage):
        return (f"{event.kind}.{event.what}",) if event.channel == "voice" else ()
    if not event.confirmed and event.drive != "stop_now":
        return ()
    return (f"{event.kind}.{event.drive}" if event.causes else f"{event.kind}.{event.drive}.unknown",)


def _charge_keys(event: ChargeSession) -> tuple[str, ...]:
    """What the box itself saw go wrong is asked about as that; of a small charge without trouble nothing is asked."""
    if {"charger", "grid"} & set(event.faults):
        return (f"{event.kind}.faulty", event.kind)
    if event.interrupted > 0:
        return (f"{event.kind}.interrupted", event.kind)
    if "slow" in event.faults:
        return (f"{event.kind}.slow", event.kind)
    return (event.kind,) if event.energy_kwh >= _CHARGE_KWH else ()


def is_slight(collision: Collision) -> bool:
    """Whether a collision is minor or uncertain; a confidence that is no number is none."""
    return collision.severity == "minor" or not collision.confidence >= _SURE


def facts_of(event: Event) -> dict[str, Fact]:
    """The event's values by placeholder: at least those KNOWN_KEYS promises for its keys."""
    match event:
        case BatteryAlarm():
            quantity: FactKind = "temperature" if "temperature" in event.alarm else "voltage"
            return {
                "cell": Fact("cell", event.cell),
                quantity: Fact(quantity, event.value),
                "limit": Fact(quantity, event.limit),
            }
        case ChargeSession():
            return {"energy": Fact("energy", event.energy_kwh)}
        case LowVoltageAlarm():
            return {"voltage": Fact("voltage", event.value)}
        case BatteryAdvice():
            return {"cell": Fact("cell", event.cell)}
        case TripEnded():
            return {
                "distance": Fact("distance", event.distance_m),
                "duration": Fact("duration", event.duration_s),
                "speed_max": Fact("speed", event.speed_max_kmh),
                "harsh": Fact("harsh", _harsh_count(event)),
            }
        case Diagnosis():
            known = {"cause": Fact("name", text=event.causes[0])} if event.causes else {}
            return {"code": Fact("code", text=event.codes[0]), **known}
        case PartnerVisit() | RenewalNear() | LowTyre() | WarningLamp() | ConsentSpoken():
            return _facts_of_occasion(event)
        case DeskMessage():
            return {"text": Fact("text", text=event.text)}
        case ConfigApplied():
            return {"config_version": Fact("count", event.config_version)}
        case _:
            return {}


def _facts_of_occasion(
    event: PartnerVisit | RenewalNear | LowTyre | WarningLamp | ConsentSpoken,
) -> dict[str, Fact]:
    match event:
        case PartnerVisit():
            return {"place": Fact("name", text=event.place), "duration": Fact("duration", event.minutes * 60)}
        case RenewalNear():
            return {"days": Fact("count", event.days)}
        case WarningLamp():
            return {"lamp": Fact("name", text=f"lamp_{event.lamp}")}
        case LowTyre():
            return {
                "wheel": Fact("name", text=f"wheel_{event.wheel}"),
                "place": Fact("name", text=event.place),
                "distance": Fact("distance", event.distance_m),
                "phone": Fact("phone", text=event.phone),
            }
        case ConsentSpoken():
            return {"purposes": Fact("names", text=" ".join(f"purpose_{purpose}" for purpose in event.of_purposes))}


def _harsh_count(trip: TripEnded) -> int:
    return trip.harsh_acceleration_count + trip.harsh_braking_count + trip.harsh_cornering_count
