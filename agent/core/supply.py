"""The section [supply] of the config."""

from typing import Annotated

from msgspec import Meta

from agent.core.section import Section


class Supply(Section, frozen=True, kw_only=True):
    """The voltage that the box itself is fed with, as Linux shows it (IIO, hwmon): known also while the buses sleep.

    path: the attribute, such as /sys/bus/iio/devices/iio:device0/in_voltage0_raw. volts_per_count: what one count of it
    is worth at the battery, dividers included. drop_v: what fuse and wires take on the way, added.
    """

    path: Annotated[str, Meta(min_length=1, max_length=256)]
    volts_per_count: Annotated[float, Meta(gt=0, le=100)]
    drop_v: Annotated[float, Meta(ge=0, le=2)] = 0.0
    period_s: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
