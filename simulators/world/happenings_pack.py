"""What can befall the traction battery and its charging: event types of a scenario file."""

from typing import Annotated, Literal

from msgspec import Meta

from simulators.world.happening import Cell, Happening, Lasting

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
    """A parked car takes this power; with overcharge on, nobody stops it when the pack is full.

    dc: the roadside charger's power falls from 80 % of charge on, to a fifth of it.
    """

    power_kw: Annotated[float, Meta(ge=0.5, le=60)] = 6.6
    mode: Literal["ac", "dc"] = "ac"
    overcharge: bool = False


class ChargerFault(Lasting, frozen=True, kw_only=True, tag="charger_fault"):
    """The charger breaks off; the cable stays in. Charging goes on where the fault ends in time."""


class GridFault(Lasting, frozen=True, kw_only=True, tag="grid_fault"):
    """The grid has this voltage instead of 220 V: below 187 V or above 253 V an AC charger waits."""

    volts: Annotated[float, Meta(ge=0, le=400)] = 0.0


class InsulationLoss(Lasting, frozen=True, kw_only=True, tag="insulation_loss"):
    """The pack's insulation against the body falls to this."""

    kohm: Annotated[float, Meta(ge=0, le=2000)] = 20.0


class WaterIngress(Lasting, frozen=True, kw_only=True, tag="water_ingress"):
    """Water creeps into the pack: the insulation halves every halving_s, down to 5 kOhm; gone once it has dried."""

    halving_s: Annotated[float, Meta(ge=1, le=36_000)] = 12.0


class HvilOpen(Lasting, frozen=True, kw_only=True, tag="hvil_open"):
    """The high-voltage interlock loop is open: a service plug or a connector is not seated."""


PackEvent = (
    WeakCell
    | MicroShort
    | ContactResistance
    | CoolantLoss
    | Runaway
    | Charging
    | ChargerFault
    | GridFault
    | InsulationLoss
    | WaterIngress
    | HvilOpen
)
