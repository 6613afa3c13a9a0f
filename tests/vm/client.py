"""Diagnostic clients that others made, on a real bus: can-isotp's own ISO-TP above a raw CAN socket, and udsoncan.

`client.py CHANNEL isotp BLOCK_SIZE REQUEST...` prints each answer in hexadecimal, a line each
`client.py CHANNEL uds`                         prints what udsoncan makes of DIDs and DTCs, as JSON
"""

import json
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final

import can
import isotp
import udsoncan
from udsoncan.client import Client
from udsoncan.connections import PythonIsoTpConnection

_REQUESTS_ID: Final = 0x7E0
_ANSWERS_ID: Final = 0x7E8
_LIMIT_S: Final = 10.0
# By the formulas of SAE J1979: (bytes, value of one step, offset).
_DIDS: Final = {
    0xF40D: (">B", 1.0, 0.0),
    0xF40C: (">H", 0.25, 0.0),
    0xF405: (">B", 1.0, -40.0),
    0xF410: (">H", 0.01, 0.0),
}
_VIN: Final = 0xF190
_UNKNOWN: Final = 0xF1FF
_CONFIRMED: Final = 0x08


class Scaled(udsoncan.DidCodec):
    """A number of so many steps."""

    def __init__(self, layout: str, step: float, offset: float) -> None:
        self._layout = layout
        self._step = step
        self._offset = offset

    def decode(self, payload: bytes) -> float:
        (raw,) = struct.unpack(self._layout, payload)
        return float(raw * self._step + self._offset)

    def __len__(self) -> int:
        return struct.calcsize(self._layout)


def open_stack(bus: can.BusABC, block_size: int) -> isotp.CanStack:
    """To the engine ECU, 11 bits, normal addressing."""
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=_REQUESTS_ID, rxid=_ANSWERS_ID)
    return isotp.CanStack(bus, address=address, params={"blocksize": block_size, "stmin": 1})


def exchange(bus: can.BusABC, block_size: int, requests: Sequence[str]) -> list[str]:
    """An answer to each request."""
    stack = open_stack(bus, block_size)
    stack.start()
    answers = []
    for request in requests:
        stack.send(bytes.fromhex(request))
        answers.append(bytes(stack.recv(block=True, timeout=_LIMIT_S) or b"").hex())
    stack.stop()
    return answers


def ask_uds(bus: can.BusABC) -> dict[str, Any]:
    """VIN, values, DTCs, and what comes of a DID that the ECU does not have."""
    codecs: dict[int | str, str | udsoncan.DidCodec | type[udsoncan.DidCodec]]
    codecs = {did: Scaled(*rule) for did, rule in _DIDS.items()}
    config = udsoncan.configs.default_client_config.copy()
    config["request_timeout"] = config["p2_timeout"] = _LIMIT_S
    config["data_identifiers"] = {**codecs, _VIN: udsoncan.AsciiCodec(17), _UNKNOWN: udsoncan.AsciiCodec(1)}
    with Client(PythonIsoTpConnection(open_stack(bus, 8)), config=config) as client:
        found = client.read_data_by_identifier([_VIN, *_DIDS]).service_data.values
        dtcs = client.get_dtc_by_status_mask(_CONFIRMED).service_data.dtcs
        count = client.get_number_of_dtc_by_status_mask(_CONFIRMED).service_data.dtc_count
        try:
            client.read_data_by_identifier([_UNKNOWN])
        except udsoncan.exceptions.NegativeResponseException as exc:
            refusal = exc.response.code_name
        else:
            refusal = "none"
    return {
        "vin": found[_VIN],
        "speed_kmh": found[0xF40D],
        "engine_rpm": found[0xF40C],
        "coolant_c": found[0xF405],
        "air_gps": found[0xF410],
        "dtcs": [(dtc.id, dtc.status.get_byte_as_int()) for dtc in dtcs],
        "count": count,
        "refusal": refusal,
    }


if __name__ == "__main__":
    with can.Bus(interface="socketcan", channel=sys.argv[1]) as opened:
        if sys.argv[2] == "isotp":
            sys.stdout.write("\n".join(exchange(opened, int(sys.argv[3]), sys.argv[4:])) + "\n")
        else:
            sys.stdout.write(json.dumps(ask_uds(opened)) + "\n")
