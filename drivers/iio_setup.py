"""Brings a Linux IIO device to range, rate, clock, trigger and watermark, and reads back what it took.

What is set already is left alone: where the daemon may not write to sysfs, something that may can set it up before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.core.errors import SourceLost
from drivers.iio_sysfs import Attributes, Element, Layout, read_elements

AXES: Final = ("x", "y", "z")
_FULL_SHARE: Final = 0.99  # of the wanted range and rate: scales and rates are rounded
_BUFFER_S: Final = 2.0  # what a loop that stalls may miss and still lose nothing
_HRTIMER: Final = "outrider"


@dataclass(frozen=True, slots=True)
class Channel:
    """One axis as the buffer gives it: (word + offset) * scale; low and high are the words at the range's ends."""

    name: str
    scale: float
    offset: float
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a device. ranges: kind (accel, anglvel) -> what must fit, in the ABI's m/s^2 or rad/s."""

    ranges: dict[str, float]
    optional: frozenset[str]  # kinds whose range may be smaller: the largest is taken then
    rate_hz: int
    window_ms: int
    trigger: str


@dataclass(frozen=True, slots=True)
class Setup:
    """What the device was brought to."""

    layout: Layout
    channels: tuple[Channel, ...]
    rate_hz: float


def set_up(device: Attributes, wish: Wish, root: Path) -> Setup:
    """Bring the device to the wish, its buffer enabled. Raises SourceLost naming what is missing or refused."""
    names = [f"{kind}_{axis}" for kind in wish.ranges for axis in AXES]
    elements = read_elements(device)
    known = {element.name: element for element in elements}
    for name in (*names, "timestamp"):
        if name not in known:
            raise SourceLost(f"{device.folder.name}: scan_elements/in_{name}_en is missing: it cannot be captured")
        if known[name].repeat > 1:
            raise SourceLost(f"{device.folder.name}: in_{name}_type: a repeated element is no single axis")
    # The clock that drivers.clock.SystemClock has.
    settings = [("current_timestamp_clock", "boottime"), *_scales(device, wish, known), *_rates(device, wish)]
    settings += [(f"scan_elements/in_{e.name}_en", "1" if e.name in {*names, "timestamp"} else "0") for e in elements]
    _make_so(device, settings, wish, root)
    enabled = [e for e in elements if device.holds(f"scan_elements/in_{e.name}_en", "1")]
    channels = tuple(_channel(device, known[name]) for name in names)
    return Setup(Layout(enabled), channels, _read_rate(device, wish, root))


def _make_so(device: Attributes, settings: Sequence[tuple[str, str]], wish: Wish, root: Path) -> None:
    """Write what differs, with the buffer off meanwhile: a device that captures takes no setting."""
    attributes = [name for name, _ in settings]
    for name in attributes:
        if not device.has(name):
            raise SourceLost(f"{device.folder.name}: {name} is missing: this kernel or driver cannot do it")
    length = max(2, round(_BUFFER_S * wish.rate_hz))
    ready = device.holds("buffer/enable", "1") and device.number("buffer/length") >= length
    if ready and all(device.holds(name, value) for name, value in settings) and _has_trigger(device, wish.trigger):
        return
    device.set("buffer/enable", "0")
    for name, value in settings:
        device.set(name, value)
    _choose_trigger(device, wish, root)
    if device.number("buffer/length") < length:
        device.write("buffer/length", str(length))
        if device.number("buffer/length") < length:
            raise SourceLost(f"{device.folder.name}: buffer/length holds less than {length} scans")
    if device.has("buffer/watermark"):  # a driver may take another one: then it wakes us sooner or later
        device.write("buffer/watermark", str(max(1, wish.rate_hz * wish.window_ms // 1000)))
    device.set("buffer/enable", "1")


def _scales(device: Attributes, wish: Wish, known: dict[str, Element]) -> list[tuple[str, str]]:
    """The finest scale of each kind whose range is wide enough."""
    settings = []
    for kind, wanted in wish.ranges.items():
        name = f"in_{kind}_scale" if device.has(f"in_{kind}_scale") else f"in_{kind}_x_scale"
        reach = float(_ends(device, known[f"{kind}_x"])[1])
        offered = device.numbers(f"in_{kind}_scale_available") or device.numbers(f"{name}_available")
        scales = sorted(offered or [device.number(name)])
        fitting = [scale for scale in scales if scale * reach >= _FULL_SHARE * wanted]
        if not fitting and kind not in wish.optional:
            raise SourceLost(
                f"{device.folder.name}: {name} reaches {scales[-1] * reach:.1f} at most, {wanted:.1f} is wanted"
            )
        scale = f"{fitting[0] if fitting else scales[-1]:.9f}"
        axes = [f"in_{kind}_{axis}_scale" for axis in AXES] if name.endswith("_x_scale") else [name]
        settings += [(attribute, scale) for attribute in axes]
    return settings


def _rates(device: Attributes, wish: Wish) -> list[tuple[str, str]]:
    """The slowest rate that is fast enough, for every rate the device has."""
    settings = []
    for name in _rate_attributes(device, wish):
        offered = sorted(device.numbers(f"{name}_available"))
        fast = [rate for rate in offered if rate >= _FULL_SHARE * wish.rate_hz]
        if offered and not fast:
            raise SourceLost(f"{device.folder.name}: {name} offers {offered[-1]:g} Hz at most, {wish.rate_hz} wanted")
        settings.append((name, f"{fast[0]:g}" if fast else str(wish.rate_hz)))
    return settings


def _rate_attributes(device: Attributes, wish: Wish) -> list[str]:
    names = ["sampling_frequency", *(f"in_{kind}_sampling_frequency" for kind in wish.ranges)]
    return [name for name in names if device.has(name)]


def _read_rate(device: Attributes, wish: Wish, root: Path) -> float:
    """What it runs at: by its own word, else its trigger's. Raises SourceLost where nobody knows or it is too slow."""
    rates = [device.number(name) for name in _rate_attributes(device, wish)]
    if not rates:
        trigger = _triggers(root).get(device.read("trigger/current_trigger")) if _has_trigger_folder(device) else None
        if trigger is None or not trigger.has("sampling_frequency"):
            raise SourceLost(f"{device.folder.name}: sampling_frequency is missing, of the device and of its trigger")
        rates = [trigger.number("sampling_frequency")]
    if min(rates) < _FULL_SHARE * wish.rate_hz:
        raise SourceLost(f"{device.folder.name}: sampling_frequency reads {min(rates):g} Hz, {wish.rate_hz} wanted")
    return min(rates)


def _channel(device: Attributes, element: Element) -> Channel:
    kind = element.name.rpartition("_")[0]

    def find(what: str) -> float | None:
        own, shared = f"in_{element.name}_{what}", f"in_{kind}_{what}"
        name = own if device.has(own) else shared
        return device.number(name) if device.has(name) else None

    low, high = _ends(device, element)
    return Channel(element.name, find("scale") or 0.0, find("offset") or 0.0, low, high)


def _ends(device: Attributes, element: Element) -> tuple[int, int]:
    """The words at which the axis clips: told by the driver, else all that its bits can say."""
    kind = element.name.rpartition("_")[0]
    told = device.numbers(f"in_{element.name}_raw_available") or device.numbers(f"in_{kind}_raw_available")
    return (int(told[0]), int(told[-1])) if told else element.ends


def _has_trigger_folder(device: Attributes) -> bool:
    return device.has("trigger/current_trigger")


def _has_trigger(device: Attributes, wanted: str) -> bool:
    """Whether nothing is missing: a device with a queue of its own wants no trigger."""
    if not _has_trigger_folder(device):
        return True
    current = device.read("trigger/current_trigger")
    return current == wanted if wanted else current != ""


def _triggers(root: Path) -> dict[str, Attributes]:
    """By name."""
    folders = sorted((root / "sys/bus/iio/devices").glob("trigger*"))
    return {Attributes(folder).read("name"): Attributes(folder) for folder in folders if (folder / "name").exists()}


def _choose_trigger(device: Attributes, wish: Wish, root: Path) -> None:
    """The configured trigger, the one that is set, the device's own data-ready, or a timer made for it."""
    if not _has_trigger_folder(device):
        return
    there = _triggers(root)
    current = device.read("trigger/current_trigger")
    own = f"{device.read('name')}-dev{device.folder.name.removeprefix('iio:device')}"
    if wish.trigger and wish.trigger not in there:
        raise SourceLost(f"no trigger {wish.trigger!r}; triggers: {', '.join(sorted(there)) or 'none'}")
    chosen = wish.trigger or current or (own if own in there else "")
    if not chosen:
        chosen = _make_timer(device, root)
        there = _triggers(root)
    trigger = there.get(chosen)
    if trigger is not None and trigger.has("sampling_frequency"):
        trigger.set("sampling_frequency", str(wish.rate_hz))
    device.set("trigger/current_trigger", chosen)


def _make_timer(device: Attributes, root: Path) -> str:
    """A high resolution timer by configfs. Raises SourceLost saying what the kernel lacks."""
    if _HRTIMER in _triggers(root):
        return _HRTIMER
    folder = root / "sys/kernel/config/iio/triggers/hrtimer"
    lacks = f"{device.folder.name}: trigger/current_trigger is empty, no trigger of its own, and"
    if not folder.is_dir():
        raise SourceLost(f"{lacks} no {folder}: load iio-trig-hrtimer and mount configfs, or set imu.trigger")
    try:
        (folder / _HRTIMER).mkdir(exist_ok=True)
    except OSError as exc:
        raise SourceLost(f"{lacks} {folder} takes no new one: {exc.strerror}") from exc
    if _HRTIMER not in _triggers(root):
        raise SourceLost(f"{lacks} the timer made in {folder} does not show")
    return _HRTIMER
