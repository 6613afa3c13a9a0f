"""From scenario and seed to the whole drive."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from agent.core import vss
from simulators.world.body import Body, equip, rough_rpm
from simulators.world.grid import CELL_STEP_S, SLOW_STEP_S, Floats, stream, times, to_ns
from simulators.world.inertial import feel
from simulators.world.motion import Motion, move
from simulators.world.pack import Pack, electrify
from simulators.world.position import locate
from simulators.world.powertrain import Powertrain, power
from simulators.world.scenario import CELL_COUNT, Scenario, ignition_off_s
from simulators.world.sensors import disturb, falsify
from simulators.world.truth import tell
from simulators.world.types import Drive, Times, Values

BALANCING: Final = "Vehicle.Private.Powertrain.TractionBattery.BalancingCells"
STATE_OF_HEALTH: Final = "Vehicle.Powertrain.TractionBattery.StateOfHealth"  # percent
FALL_ASLEEP_S: Final = 2.0  # from ignition off to the last frame


def simulate(scenario: Scenario, seed: int) -> Drive:
    """The same scenario and seed give the same bytes, in any process. Cost: about a thousandth of the drive's time."""
    off_s = ignition_off_s(scenario)
    motion = move(scenario, seed)
    drive_train = power(motion, scenario, ignition_off_s=off_s)
    pack = electrify(scenario, seed, drive_train.battery_kw, open_s=motion.crashed_s)
    body = equip(scenario, seed, motion, drive_train, pack)
    duration_ns = round(scenario.duration_s * 1e9)
    return Drive(
        scenario=scenario,
        seed=seed,
        duration_ns=duration_ns,
        sleep_ns=min(duration_ns, round((off_s + FALL_ASLEEP_S) * 1e9)) if np.isfinite(off_s) else duration_ns,
        signals=falsify(scenario, {**_signals(scenario, seed, motion, drive_train, pack, body), **body.signals}),
        imu=feel(scenario, seed, motion, drive_train.engine_rpm),
        gnss=disturb(scenario, locate(scenario, seed, motion)),
        memory=body.memory,
        truth=tell(scenario, motion, pack, body, ignition_off_s=off_s),
    )


def _signals(
    scenario: Scenario, seed: int, motion: Motion, train: Powertrain, pack: Pack, body: Body
) -> Mapping[str, tuple[Times, Values]]:
    """Everything the car's own sensors know, by VSS path, with a little sensor noise where a sensor has some."""
    rng = stream(seed, "signals")
    count = len(motion.t_s)

    def noisy(values: Floats, sigma: float) -> Floats:
        return values + sigma * rng.standard_normal(len(values))

    speed_kmh = np.abs(motion.speed) * 3.6
    fast = {
        vss.SPEED: np.where(speed_kmh > 0.3, np.maximum(noisy(speed_kmh, 0.03), 0), 0.0),
        vss.ENGINE_SPEED: np.where(
            train.engine_rpm > 300, noisy(train.engine_rpm, 6.0) + rough_rpm(scenario, seed, motion.t_s), 0.0
        ),
        vss.ACCELERATOR_PEDAL: train.accelerator,
        vss.BRAKE_PEDAL: train.brake,
        vss.THROTTLE: np.clip(train.throttle, 0, 100),
        vss.MASS_AIR_FLOW: np.maximum(train.air_gps * (1 + 0.01 * rng.standard_normal(count)), 0),
        vss.STEERING_ANGLE: noisy(train.steering_deg, 0.15),
        vss.YAW_RATE: noisy(motion.yaw_dps, 0.05),
        vss.ACCELERATION_LONGITUDINAL: noisy(motion.acceleration, 0.04),
        vss.ACCELERATION_LATERAL: noisy(motion.lateral, 0.04),
        vss.TRAVELED_DISTANCE: scenario.car.odometer_m + motion.distance_m,
        vss.PACK_CURRENT: noisy(pack.current_a, 0.1),
        vss.PACK_VOLTAGE: noisy(pack.voltage_v, 0.02),
        vss.STATE_OF_CHARGE: pack.soc_percent,
        vss.LOW_VOLTAGE: noisy(body.low_v, 0.02),
    }
    fast_ns = to_ns(motion.t_s)
    slow_ns = to_ns(times(scenario.duration_s, SLOW_STEP_S))
    cell_ns = to_ns(times(scenario.duration_s, CELL_STEP_S))
    signals = {path: (fast_ns, values) for path, values in fast.items()}
    signals[vss.COOLANT_TEMPERATURE] = (slow_ns, train.coolant_c)
    signals[vss.AIR_TEMPERATURE] = (slow_ns, np.full(len(slow_ns), scenario.car.air_c))
    signals[vss.PACK_TEMPERATURE_MAX] = (slow_ns, pack.cell_c.max(axis=0))
    signals[vss.PACK_TEMPERATURE_MIN] = (slow_ns, pack.cell_c.min(axis=0))
    signals[BALANCING] = (cell_ns, pack.balancing)
    signals[STATE_OF_HEALTH] = (slow_ns, np.full(len(slow_ns), scenario.car.soh_percent))
    signals[vss.CELL_VOLTAGE_MAX] = (cell_ns, pack.cell_v.max(axis=0))
    signals[vss.CELL_VOLTAGE_MIN] = (cell_ns, pack.cell_v.min(axis=0))
    for cell in range(CELL_COUNT):
        signals[vss.cell_voltage(cell)] = (cell_ns, pack.cell_v[cell])
        signals[vss.cell_temperature(cell)] = (slow_ns, pack.cell_c[cell])
    return signals
