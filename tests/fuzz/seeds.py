"""Good inputs to begin with, each in the shape its target takes apart."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from agent.proto import gbt32960, isotp, j1939, j1939_extended
from agent.proto.gbt32960 import Edition, build_struct, edition2016, edition2025
from agent.proto.nmea import encode_sentence


def _hex(*texts: str) -> list[bytes]:
    return list(map(bytes.fromhex, texts))


def _chunks(parts: Iterable[bytes], before: bytes = b"\0") -> bytes:
    """Each part behind its control byte and its length."""
    return b"".join(before + bytes([len(part)]) + part for part in parts)


_ANSWERS: Final = [
    b"ELM327 v1.5\r>", b"\r\rELM327 v1.5\r>", b"OK\r>", b"OK\r>", b"OK\r>", b"OK\r>", b"OK\r>",
    b"SEARCHING...\r7E8064100BE3FA813\r\r>", b"A6\r>", b"7E8 05 41 0C 1A F8\r\r>", b"NO DATA\r\r>", b"?\r>",
    b"STOPPED\r>",
    b"CAN ERROR\r>", b"014\r0: 49 02 01 4C\r1: 52 44\r>",
]  # fmt: skip

ISOTP: Final = [
    b"\0" + _chunks(isotp.encode_frames(bytes(range(40)))),
    b"\x39" + _chunks(isotp.encode_frames(bytes(200), frame_size=64, address=isotp.Address.mixed(0x99))),
    b"\0" + _chunks(_hex("10 00 ff ff ff ff 00 00", "30 02 01", "31 00 f3", "32 00 00")),
]

OBD: Final = _hex(
    "02 0c0d 410c1af80d32", "06 060708090c0d 4106808007800c1af8", "00 43020133c100", "00 4e",
    "00 4902014c52445445535443415230303030303037", "00 490401 4f555452494445522d53494d00000000",
    "00 4601870b038401c204b0", "00 4600c0000001", "00 420c001af8",
    "00 7f0112", "010c",
)  # fmt: skip

UDS: Final = _hex(
    "00 5902ffd12800af5614872f", "00 62f1904c52445445535443415230303030303037", "02 010102 010201 620101aabb0102cc",
    "00 5901ff010003", "00 5904d128002f0101f44650", "00 7f2278", "22f190", "19022f",
)  # fmt: skip

ELM327: Final = [_chunks(_ANSWERS), _chunks(_ANSWERS[:3], b"\0") + _chunks(_ANSWERS[9:], b"\x80")]

_LONG: Final = bytes(range(20))
J1939: Final = [
    bytes.fromhex("04ffbe000405ffff"),
    b"\0\0\0\0\4\x08" + j1939.encode_broadcast(0xFECA, _LONG)
    + b"".join(b"\1\0\0\0\4\x08" + packet for packet in j1939.encode_packets(_LONG)),
    b"\0\0\0\0\0\x08" + j1939.encode_request_to_send(0xFECA, _LONG)
    + b"\0\0\0\0\0\x08" + j1939.encode_clear_to_send(0xFECA, packets=3, first=1)
    + b"".join(b"\1\0\0\0\0\x08" + packet for packet in j1939.encode_packets(_LONG)),
    *(
        b"".join((b"\2\0\xc8\0\0\x08" if control else b"\2\0\xc7\0\0\x08") + frame for control, frame in frames[:count])
        for frames in [j1939_extended.encode_extended(0xFECA, bytes(1786), packets=9)]
        for count in (12, len(frames))
    ),
]  # fmt: skip

NMEA: Final = [
    encode_sentence("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W"),
    encode_sentence("GNGGA,123519.5,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
    encode_sentence("GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1"),
    encode_sentence("GPVTG,054.7,T,,M,005.5,N,010.2,K"),
    b"123519,A,4807.038,N,01131.000,E,022.4,084.4,230394",
]


def _gbt32960() -> list[bytes]:
    time = datetime(2026, 9, 17, 12, 30, tzinfo=gbt32960.TIME_ZONE)
    old, new = edition2016, edition2025
    cells = build_struct(old.CellSystem, number=1, first=1, total=2, cells_v=(3.3, 3.4))
    pack = build_struct(new.CellPack, number=1, cells_v=(3.3, 3.4))
    alarm = build_struct(new.AlarmLevel, bit=23, level=4)
    realtimes = [
        (old.Vehicle, {"gear": 14, "speed_kmh": 50}), (old.Motors, {"motors": [build_struct(old.Motor)]}),
        (old.FuelCell, {"probes_celsius": (20, 30)}), (old.Alarms, {"flags": 9, "other_codes": (1, 2)}),
        (old.Cells, {"systems": [cells]}), (old.Extremes, {}), (old.Position, {"status": 2}),
    ]  # fmt: skip
    newer = [
        (new.Vehicle, {"gear": 14, "speed_kmh": 50}), (new.Motors, {"motors": [build_struct(new.Motor)]}),
        (new.Hydrogen, {}), (new.Alarms, {"flags": 1 << 23, "flag_levels": [alarm]}), (new.Cells, {"packs": [pack]}),
        (new.Supercapacitor, {"cells_v": (2.5,), "probes_celsius": (20,)}), (new.SupercapacitorExtremes, {}),
        (new.Stacks, {"stacks": [build_struct(new.Stack, coolant_celsius=(60,))]}), (new.Position, {"status": 0}),
    ]  # fmt: skip
    signature = gbt32960.Signature(1, b"r", b"s")
    messages: list[gbt32960.Message] = [
        gbt32960.Realtime(time, tuple(build_struct(struct, **values) for struct, values in realtimes)),  # type: ignore[arg-type]
        gbt32960.Realtime(time, tuple(build_struct(struct, **values) for struct, values in newer), signature),  # type: ignore[arg-type]
        gbt32960.Login2016(time, 1, "8" * 20, 2, ("AB", "CD")),
        gbt32960.Login2025(time, 1, "8" * 20, (("P" * 24,), ())),
        gbt32960.Logout(time, 1),
    ]  # fmt: skip
    data = [
        bytes([start]) + gbt32960.encode_message(each) for start, each in zip((1, 9, 0, 8, 3), messages, strict=True)
    ]
    frame = gbt32960.Frame(Edition.V2016, gbt32960.Command.LOGOUT, "L" * 17, data[-1][1:])
    return [*data, gbt32960.encode_frame(frame) * 2]


GBT32960: Final = _gbt32960()
