"""The VSS 6.0 paths this agent uses by name, and the overlay where VSS has none.

Source: COVESA VSS 6.0. `Vehicle.Private.*` holds what the standard lacks.
"""

from typing import Final

SPEED: Final = "Vehicle.Speed"  # km/h
ACCELERATION_LONGITUDINAL: Final = "Vehicle.Acceleration.Longitudinal"  # m/s^2, forward +
ACCELERATION_LATERAL: Final = "Vehicle.Acceleration.Lateral"  # m/s^2
ACCELERATION_VERTICAL: Final = "Vehicle.Acceleration.Vertical"  # m/s^2
YAW_RATE: Final = "Vehicle.AngularVelocity.Yaw"  # degrees/s
PITCH_RATE: Final = "Vehicle.AngularVelocity.Pitch"  # degrees/s
ROLL_RATE: Final = "Vehicle.AngularVelocity.Roll"  # degrees/s
BRAKE_PEDAL: Final = "Vehicle.Chassis.Brake.PedalPosition"  # percent
ACCELERATOR_PEDAL: Final = "Vehicle.Chassis.Accelerator.PedalPosition"  # percent
STEERING_ANGLE: Final = "Vehicle.Chassis.SteeringWheel.Angle"  # degrees, left +
CURRENT_GEAR: Final = "Vehicle.Powertrain.Transmission.CurrentGear"  # 0 neutral, forward +, backwards -
SELECTED_GEAR: Final = "Vehicle.Powertrain.Transmission.SelectedGear"  # the same; 126 park, 127 drive
ENGINE_SPEED: Final = "Vehicle.Powertrain.CombustionEngine.Speed"  # rpm
COOLANT_TEMPERATURE: Final = "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature"  # Celsius
MASS_AIR_FLOW: Final = "Vehicle.Powertrain.CombustionEngine.MAF"  # g/s
THROTTLE: Final = "Vehicle.Powertrain.CombustionEngine.TPS"  # percent
MANIFOLD_PRESSURE: Final = "Vehicle.Powertrain.CombustionEngine.MAP"  # kPa, absolute
INTAKE_TEMPERATURE: Final = "Vehicle.Private.OBD.IntakeTemp"  # Celsius
SHORT_TERM_FUEL_TRIM: Final = "Vehicle.Private.OBD.ShortTermFuelTrim1"  # percent, + adds fuel
LONG_TERM_FUEL_TRIM: Final = "Vehicle.Private.OBD.LongTermFuelTrim1"  # percent, + adds fuel
ENGINE_LOAD: Final = "Vehicle.Private.OBD.EngineLoad"  # percent, calculated
RUN_TIME: Final = "Vehicle.Private.OBD.RunTime"  # s since the engine's start
TRAVELED_DISTANCE: Final = "Vehicle.TraveledDistance"  # m (VSS 5: km)
AIR_TEMPERATURE: Final = "Vehicle.Exterior.AirTemperature"  # Celsius

_PACK: Final = "Vehicle.Powertrain.TractionBattery"
STATE_OF_CHARGE: Final = f"{_PACK}.StateOfCharge.Current"  # percent
PACK_VOLTAGE: Final = f"{_PACK}.CurrentVoltage"  # V
PACK_CURRENT: Final = f"{_PACK}.CurrentCurrent"  # A, + = charging
PACK_TEMPERATURE_MAX: Final = f"{_PACK}.Temperature.Max"  # Celsius
PACK_TEMPERATURE_MIN: Final = f"{_PACK}.Temperature.Min"  # Celsius
CELL_VOLTAGE_MAX: Final = f"{_PACK}.CellVoltage.Max"  # V
CELL_VOLTAGE_MIN: Final = f"{_PACK}.CellVoltage.Min"  # V
IS_CHARGING: Final = f"{_PACK}.Charging.IsCharging"  # 0 or 1
LOW_VOLTAGE: Final = "Vehicle.LowVoltageBattery.CurrentVoltage"  # V

LOW_VOLTAGE_STATE: Final = "Vehicle.LowVoltageSystemState"  # 0 UNDEFINED, 1 LOCK, 2 OFF, 3 ACC, 4 ON, 5 START

LATITUDE: Final = "Vehicle.CurrentLocation.Latitude"  # degrees
LONGITUDE: Final = "Vehicle.CurrentLocation.Longitude"  # degrees
ALTITUDE: Final = "Vehicle.CurrentLocation.Altitude"  # m
HEADING: Final = "Vehicle.CurrentLocation.Heading"  # degrees
HORIZONTAL_ACCURACY: Final = "Vehicle.CurrentLocation.HorizontalAccuracy"  # m

GNSS_SPEED: Final = "Vehicle.Private.GNSS.Speed"  # km/h
IMU_HEADING_ERROR: Final = "Vehicle.Private.IMU.HeadingError"  # degrees; 180: which way is forward is not known
IMU_CLIPPED: Final = "Vehicle.Private.IMU.Clipped"  # accelerometer axes at the end of their range; told where any is

ENGINE_LAMP: Final = "Vehicle.Private.OBD.IsMILOn"  # 0 or 1
ABS_ENGAGED: Final = "Vehicle.ADAS.ABS.IsEngaged"  # 0 or 1
ESC_ENGAGED: Final = "Vehicle.ADAS.ESC.IsEngaged"  # 0 or 1
AIRBAG_LAMP: Final = "Vehicle.Private.Cabin.Airbag.IsWarningOn"  # 0 or 1
DOORS_OPEN: Final = tuple(
    f"Vehicle.Cabin.Door.Row{row}.{side}.IsOpen" for row in (1, 2) for side in ("DriverSide", "PassengerSide")
)  # 0 or 1
SEATS: Final = tuple(
    f"Vehicle.Cabin.Seat.Row{row}.{side}"
    for row, sides in ((1, ("DriverSide", "PassengerSide")), (2, ("DriverSide", "Middle", "PassengerSide")))
    for side in sides
)


_WHEELS: Final = tuple(
    f"Vehicle.Chassis.Axle.Row{row}.Wheel.{side}.Tire" for row in (1, 2) for side in ("Left", "Right")
)
TYRE_PRESSURES: Final = tuple(f"{wheel}.Pressure" for wheel in _WHEELS)  # kPa: front left, front right, rear left, ...
TYRES_LOW: Final = tuple(f"{wheel}.IsPressureLow" for wheel in _WHEELS)  # 0 or 1


def seat_belted(seat: str) -> str:
    """Path of a seat's belt: 1 where it is fastened."""
    return f"{seat}.IsBelted"


def seat_occupied(seat: str) -> str:
    """Path of whether somebody sits there: 1 where so."""
    return f"{seat}.IsOccupied"


def airbag_deployed(seat: str) -> str:
    """Path of a seat's air bag: 1 once it has fired."""
    return f"{seat}.Airbag.IsDeployed"


_PRIVATE_PACK: Final = "Vehicle.Private.Powertrain.TractionBattery"
INSULATION_RESISTANCE: Final = f"{_PRIVATE_PACK}.InsulationResistance"  # kOhm

HVIL_CLOSED: Final = f"{_PRIVATE_PACK}.IsHvilClosed"  # 0 or 1
ALARM_FLAGS: Final = f"{_PRIVATE_PACK}.AlarmFlags"  # the car's own, bits as in GB/T 32960.3
ALARM_LEVEL: Final = f"{_PRIVATE_PACK}.AlarmLevel"  # 0 to 4: the highest of the car's own
CONTACTORS: Final = (f"{_PACK}.IsPowerConnected", f"{_PACK}.IsGroundConnected")  # positive and negative, 0 or 1
CABLE_CONNECTED: Final = f"{_PACK}.Charging.ChargingPort.AnyPosition.IsChargingCableConnected"  # 0 or 1
CHARGE_POWER: Final = f"{_PRIVATE_PACK}.Charging.Power"  # kW, into the pack
CHARGER_STATE: Final = f"{_PRIVATE_PACK}.Charging.State"  # 0 idle, 1 waiting, 2 charging, 3 full, 4 fault
GRID_VOLTAGE: Final = f"{_PRIVATE_PACK}.Charging.GridVoltage"  # V, 0 without a cable
DCDC_TEMPERATURE: Final = "Vehicle.Private.Powertrain.DCDC.Temperature"  # Celsius
DCDC_OK: Final = "Vehicle.Private.Powertrain.DCDC.IsOk"  # 0 or 1
MOTOR_TEMPERATURE: Final = "Vehicle.Powertrain.ElectricMotor.Temperature"  # Celsius
MOTOR_SPEED: Final = "Vehicle.Powertrain.ElectricMotor.Speed"  # rpm
MOTOR_CURRENT: Final = "Vehicle.Private.Powertrain.ElectricMotor.Current"  # A
MOTOR_CONTROLLER_TEMPERATURE: Final = "Vehicle.Private.Powertrain.ElectricMotor.ControllerTemperature"  # Celsius
BRAKE_SYSTEM_OK: Final = "Vehicle.Private.Chassis.Brake.IsOk"  # 0 or 1


def cell_voltage(index: int) -> str:
    """Path of one cell's voltage in V; cells count from 0. VSS has one array, which cannot carry a quality a cell."""
    return f"Vehicle.Private.Powertrain.TractionBattery.Cell{index}.Voltage"


def cell_temperature(index: int) -> str:
    """Path of one cell's temperature in Celsius; cells count from 0."""
    return f"Vehicle.Private.Powertrain.TractionBattery.Cell{index}.Temperature"
