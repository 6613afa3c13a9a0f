"""The minimum set of data (MSD) of EN 15722 in unaligned PER, msdVersion 2: what emergency desks read. Pure.

asn1tools takes 0.3 s to load and compile firmware_config/msd.asn, so that happens at the first use: keep that off the
loop.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal, get_args

from agent.core.errors import ProtocolError
from agent.core.paths import MSD_SCHEMA

SIZE_MAX: Final = 140
VERSION: Final = 2
NO_VIN: Final = "0" * 17
"""In place of a VIN that nobody told: no maker has such a one."""

Category = Literal["M1", "M2", "M3", "N1", "N2", "N3", "L1e", "L2e", "L3e", "L4e", "L5e", "L6e", "L7e"]
Propulsion = Literal["gasoline", "diesel", "cng", "lpg", "electric", "hydrogen", "other"]
Place = tuple[int, int]

PROPULSIONS: Final[tuple[Propulsion, ...]] = get_args(Propulsion)
_CATEGORIES: Final[Mapping[str, Category]] = {name.lower(): name for name in get_args(Category)}
_UNKNOWN: Final = 2_147_483_647
_MAS: Final = 3_600_000  # milliseconds of arc in a degree
_LATITUDE_MAX, _LONGITUDE_MAX = 90 * _MAS, 180 * _MAS
_NO_DIRECTION: Final = 255
_DELTA_MAS: Final = 100
_DELTAS: Final = range(-512, 512)
_VIN_PARTS: Final = (("wmi", 0, 3), ("vds", 3, 9), ("modelYear", 9, 10), ("plantAndNumber", 10, 17))


@dataclass(frozen=True, slots=True, kw_only=True)
class Msd:
    """A minimum set of data.

    place: latitude and longitude in milliseconds of arc, None where not known; trusted: it can be relied on. recent:
    up to two places before, as differences in 100 milliseconds of arc: the first to place, the second to the first.
    timestamp_s: UTC since 1970, 0 where not known. direction_deg: clockwise from north, in whole 2 degrees. passengers
    counts fastened belts. additional: relative OID and data of an extra block, in bytes.
    """

    vin: str = NO_VIN
    category: Category = "M1"
    propulsion: frozenset[Propulsion] = frozenset()
    timestamp_s: int = 0
    place: Place | None = None
    trusted: bool = False
    direction_deg: int | None = None
    recent: tuple[Place, ...] = ()
    passengers: int | None = None
    automatic: bool = True
    test: bool = False
    message_id: int = 1
    additional: tuple[bytes, bytes] | None = None


def encode_msd(msd: Msd) -> bytes:
    """UPER, canonical: defaults are left out. Raises ProtocolError for what has no place in it."""
    structure: dict[str, Any] = {
        "messageIdentifier": msd.message_id,
        "control": {
            "automatic": msd.automatic,
            "test": msd.test,
            "trusted": msd.trusted,
            "category": msd.category.lower(),
        },
        "vin": {name: msd.vin[start:end] for name, start, end in _VIN_PARTS},
        "propulsion": {name: name in msd.propulsion for name in PROPULSIONS},
        "timestamp": msd.timestamp_s,
        "location": dict(zip(("latitude", "longitude"), msd.place or (_UNKNOWN, _UNKNOWN), strict=True)),
        "direction": _NO_DIRECTION if msd.direction_deg is None else msd.direction_deg // 2,
    }
    for name, delta in zip(("recentN1", "recentN2"), msd.recent, strict=False):
        structure[name] = dict(zip(("latitude", "longitude"), delta, strict=True))
    if msd.passengers is not None:
        structure["passengers"] = msd.passengers
    message: dict[str, Any] = {"structure": structure}
    if msd.additional is not None:
        message["additional"] = dict(zip(("oid", "data"), msd.additional, strict=True))
    _check(msd)
    frame = _code("encode", "Frame", {"version": VERSION, "content": _code("encode", "Message", message)})
    if len(frame) > SIZE_MAX:
        raise ProtocolError(f"MSD of {len(frame)} bytes; {SIZE_MAX} are allowed")
    return bytes(frame)


def decode_msd(data: bytes) -> Msd:
    """Inverse of encode_msd; also of encoders that write defaults out, and of frames padded with zeros.

    Raises ProtocolError, also for other versions.
    """
    if len(data) > SIZE_MAX:
        raise ProtocolError(f"MSD of {len(data)} bytes; {SIZE_MAX} are allowed")
    if data and data[0] != VERSION:
        raise ProtocolError(f"MSD version {data[0]}; known is {VERSION}")
    frame = _code("decode", "Frame", data)
    length_bytes = 1 if len(frame["content"]) < 128 else 2  # X.691, 11.9
    if any(data[1 + length_bytes + len(frame["content"]) :]):
        raise ProtocolError("MSD with something behind its end")
    message = _code("decode", "Message", frame["content"])
    structure, additional = message["structure"], message.get("additional")
    location, direction = structure["location"], structure["direction"]
    place = (location["latitude"], location["longitude"])
    recent = [structure[name] for name in ("recentN1", "recentN2") if name in structure]
    msd = Msd(
        vin="".join(structure["vin"][name] for name, _, _ in _VIN_PARTS),
        category=_CATEGORIES[structure["control"]["category"]],
        propulsion=frozenset(name for name in PROPULSIONS if structure["propulsion"].get(name)),
        timestamp_s=structure["timestamp"],
        place=None if _UNKNOWN in place else place,
        trusted=structure["control"]["trusted"],
        direction_deg=None if direction == _NO_DIRECTION else 2 * direction,
        recent=tuple((delta["latitude"], delta["longitude"]) for delta in recent),
        passengers=structure.get("passengers"),
        automatic=structure["control"]["automatic"],
        test=structure["control"]["test"],
        message_id=structure["messageIdentifier"],
        additional=None if additional is None else (additional["oid"], additional["data"]),
    )
    _check(msd)
    return msd


def describe_msd(msd: Msd) -> str:
    """One line for a person; times are UTC."""
    when = (
        dt.datetime.fromtimestamp(msd.timestamp_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if msd.timestamp_s
        else "no date"
    )
    if msd.place is None:
        where = "nobody knows where"
    else:
        latitude, longitude = degrees_of(msd.place)
        where = f"at {latitude:.5f}, {longitude:.5f} ({'to be trusted' if msd.trusted else 'not to be trusted'})"
    return ", ".join(
        [
            "automatic" if msd.automatic else "by hand",
            *(["a test"] if msd.test else []),
            when,
            f"VIN {'not told' if msd.vin == NO_VIN else msd.vin}",
            f"{msd.category} {'+'.join(sorted(msd.propulsion)) or 'of unknown propulsion'}",
            where,
            "heading unknown" if msd.direction_deg is None else f"heading {msd.direction_deg} degrees",
            "belts unknown" if msd.passengers is None else f"{msd.passengers} belted",
        ]
    )


def place_of(latitude_deg: float, longitude_deg: float) -> Place:
    """Degrees as milliseconds of arc."""
    return round(latitude_deg * _MAS), round(longitude_deg * _MAS)


def degrees_of(place: Place) -> tuple[float, float]:
    """Latitude and longitude."""
    return place[0] / _MAS, place[1] / _MAS


def recent_of(places: Sequence[Place]) -> tuple[Place, ...]:
    """Differences for Msd.recent of a place and up to two before it, newest first; ends where one is too far."""
    deltas: list[Place] = []
    for (latitude, longitude), before in pairwise(places[:3]):
        delta = round((before[0] - latitude) / _DELTA_MAS), round((before[1] - longitude) / _DELTA_MAS)
        if delta[0] not in _DELTAS or delta[1] not in _DELTAS:
            break
        deltas.append(delta)
    return tuple(deltas)


def _check(msd: Msd) -> None:
    """What the schema does not say."""
    if msd.place is not None and (abs(msd.place[0]) > _LATITUDE_MAX or abs(msd.place[1]) > _LONGITUDE_MAX):
        raise ProtocolError(f"MSD at {msd.place}: no place on earth")
    if msd.direction_deg is not None and not 0 <= msd.direction_deg < 360:
        raise ProtocolError(f"MSD with a direction of {msd.direction_deg} degrees")
    if len(msd.vin) != 17 or len(msd.recent) > 2:
        raise ProtocolError("MSD: a VIN has 17 letters, and there are two recent places at most")


def _code(way: Literal["encode", "decode"], name: str, value: Any) -> Any:
    import asn1tools  # noqa: PLC0415  # takes long, and most boxes never need it

    schema = _schema()
    try:
        return schema.encode(name, value, check_constraints=True) if way == "encode" else schema.decode(name, value)
    except (asn1tools.Error, NotImplementedError) as exc:
        raise ProtocolError(f"not an MSD: {exc}") from exc


@lru_cache(maxsize=1)
def _schema() -> Any:
    import asn1tools  # noqa: PLC0415  # as above

    return asn1tools.compile_files(str(MSD_SCHEMA), "uper")
