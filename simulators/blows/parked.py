"""Plans of what happens to parked cars that nobody hits. Amplitudes are ours: docs/sources.md 11."""

import numpy as np

from agent.core import vss
from simulators.blows.road import begin, between, mostly_low
from simulators.blows.scene import Add, Plan
from simulators.blows.shapes import blow, direction, push, ringing, rocking
from simulators.world.happenings import CarWash, DoorSlam, Tilt, Tow
from simulators.world.scenario import Event, Leg, Scenario


def _stand(at_s: float, events: list[Event], *, lasts_s: float = 0.0, legs: list[Leg] | None = None) -> Scenario:
    return Scenario(name="blow", description="", duration_s=at_s + lasts_s + 3, events=events, legs=legs or [])


def door_slam(rng: np.random.Generator) -> Plan:
    """One to three doors, gently or with a will; a box near the door feels more."""
    at_s = begin(rng)
    slams: list[Event] = []
    to_car: list[Add] = []
    for k in range(int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1)))):
        start_s = at_s + k * between(rng, 0.6, 1.5)
        size, side = mostly_low(rng, 1.5, 30), "left" if rng.random() < 0.5 else "right"
        slams.append(DoorSlam(at_s=start_s, peak_mps2=0.4 * size, side="left" if side == "left" else "right"))
        sign = 1.0 if side == "left" else -1.0
        to_car.append(blow(start_s, between(rng, 0.006, 0.025), size * np.array([0.2, sign, 0.4])))
        to_car.append(ringing(start_s, between(rng, 15, 60), between(rng, 0.03, 0.1), 0.4 * size * direction(rng)))
    doors = {vss.DOORS_OPEN[0]: ((0.0, 1.0), (at_s, 0.0))}
    scenario = _stand(at_s, sorted(slams, key=lambda slam: slam.at_s), lasts_s=3)
    return Plan(scenario, to_car=tuple(to_car), awake=bool(rng.random() < 0.5), context=doors)


def boot_lid(rng: np.random.Generator) -> Plan:
    """The lid falls shut: from behind and downwards, the body rocks after it."""
    at_s, size = begin(rng), mostly_low(rng, 1.5, 25)
    to_car = (
        blow(at_s, between(rng, 0.008, 0.03), size * np.array([0.6, 0.1, -0.8])),
        ringing(at_s, between(rng, 12, 40), between(rng, 0.04, 0.12), 0.4 * size * direction(rng)),
        ringing(at_s, between(rng, 1.2, 2), 0.4, np.array([0.1, 0, 0.4])),
    )
    return Plan(_stand(at_s, [], lasts_s=1), to_car=to_car, awake=bool(rng.random() < 0.3))


def loading(rng: np.random.Generator) -> Plan:
    """Crates thrown into the boot, people who sit down: the springs give, thumps from above, some push along."""
    at_s = begin(rng)
    to_car: list[Add] = []
    for _ in range(int(rng.integers(1, 6))):
        start_s = at_s + between(rng, 0, 5)
        size = mostly_low(rng, 1, 12)
        sideways = size * np.array([between(rng, -0.3, 0.3), between(rng, -0.3, 0.3), -1.0])
        to_car.append(blow(start_s, between(rng, 0.03, 0.15), sideways))
        sway = np.array([between(rng, 0.05, 0.6), between(rng, 0.05, 0.6), between(rng, 0.2, 1.5)])
        to_car.append(ringing(start_s, between(rng, 1.1, 2.2), between(rng, 0.2, 0.6), sway))
    sinks = Tilt(at_s=at_s, pitch_deg=between(rng, -2, 1), roll_deg=between(rng, -1.5, 1.5), ramp_s=0.5)
    return Plan(_stand(at_s, [sinks], lasts_s=6), to_car=tuple(to_car), awake=bool(rng.random() < 0.3))


def leaning(rng: np.random.Generator) -> Plan:
    """Somebody leans on the car, rocks it, sits on the bonnet; or a lorry passes close by."""
    at_s = begin(rng)
    size = np.array([between(rng, -0.8, 0.8), between(rng, -1.8, 1.8), between(rng, -0.6, 0.6)])
    to_car = (
        rocking(at_s, at_s + between(rng, 1.5, 6), between(rng, 0.6, 2.5), size),
        push(at_s, between(rng, 0.6, 3), between(rng, 0.1, 0.3), 0.6 * size),
    )
    return Plan(_stand(at_s, [], lasts_s=6), to_car=to_car, awake=False)


def bumped_lightly(rng: np.random.Generator) -> Plan:
    """A shopping trolley, a neighbour's door, a ball: sheet metal rings, the car hardly moves."""
    at_s, size = begin(rng), mostly_low(rng, 2, 25)
    towards = direction(rng, up=0.3)
    to_car = (
        blow(at_s, between(rng, 0.006, 0.03), size * towards),
        ringing(at_s, between(rng, 15, 90), between(rng, 0.02, 0.1), 0.6 * size * direction(rng)),
        ringing(at_s, between(rng, 1, 2), 0.3, between(rng, 0.02, 0.3) * towards),
    )
    return Plan(_stand(at_s, []), to_car=to_car, awake=False)


def car_wash(rng: np.random.Generator) -> Plan:
    """Brushes rock and strike the car, blowers push it, the conveyor pulls."""
    at_s = begin(rng)
    wash = CarWash(at_s=at_s, duration_s=14, sway_mps2=mostly_low(rng, 0.3, 2.5))
    to_car: list[Add] = [
        blow(at_s + between(rng, 0, 14), between(rng, 0.02, 0.08), mostly_low(rng, 1, 10) * direction(rng, up=0.4))
        for _ in range(int(rng.integers(2, 12)))
    ]
    to_car += [
        push(at_s + between(rng, 1, 10), between(rng, 0.5, 3), 0.2, np.array([between(rng, -0.8, 0.8), 0, 0]))
        for _ in range(2)
    ]
    return Plan(_stand(at_s, [wash], lasts_s=15), to_car=tuple(to_car), awake=bool(rng.random() < 0.5))


def jack(rng: np.random.Generator) -> Plan:
    """Lifted on a jack or a lift, wheel nuts wrenched, let down again with a thump."""
    at_s = begin(rng)
    lift = Tilt(
        at_s=at_s,
        duration_s=between(rng, 6, 10),
        pitch_deg=between(rng, -8, 8),
        roll_deg=between(rng, -12, 12),
        ramp_s=mostly_low(rng, 0.5, 6),
    )
    thump = blow(lift.until_s, between(rng, 0.04, 0.12), np.array([0.1, 0.2, between(rng, 2, 18)]))
    wrench = tuple(
        blow(at_s + 3 + between(rng, 0, 3), between(rng, 0.05, 0.3), mostly_low(rng, 0.5, 4) * direction(rng))
        for _ in range(4)
    )
    return Plan(_stand(at_s, [lift], lasts_s=11), to_car=(thump, *wrench), awake=False)


def towing(rng: np.random.Generator) -> Plan:
    """Hooked and lifted, or winched on a flatbed with jerks and chains, then driven away."""
    at_s = begin(rng)
    lift = Tow(at_s=at_s, duration_s=40, lift_deg=between(rng, 3, 15), ramp_s=between(rng, 2, 8))
    to_car: list[Add] = [
        blow(at_s + between(rng, 0, 10), between(rng, 0.1, 0.4), between(rng, 0.5, 4) * np.array([1.0, 0.2, 0.3]))
        for _ in range(5)
    ]
    to_car += [
        blow(at_s + between(rng, 0, 10), between(rng, 0.005, 0.03), mostly_low(rng, 3, 40) * direction(rng))
        for _ in range(5)
    ]
    legs = [Leg(at_s=at_s + 9, speed_kmh=between(rng, 10, 40))]
    return Plan(_stand(at_s, [lift], lasts_s=12, legs=legs), to_car=tuple(to_car), awake=False)
