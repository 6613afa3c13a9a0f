"""What may be asked is written down twice on purpose: in the guard, which trusts nobody, and with each protocol.

A slip in one of them must not go unnoticed, so both are held against each other here.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.proto import guard, obd, uds
from agent.proto.obd import RequestRefused

UDS_SERVICES = {uds.READ_DTCS, uds.READ_DATA}
FILLINGS = (0x00, 0x01, 0x02, 0x06, 0x0C, 0x15, 0x7F, 0x80, 0x82, 0xFF)


def passes(check: Callable[[bytes], bytes], request: bytes) -> bool:
    try:
        return check(request) == request
    except RequestRefused:
        return False


def agree(request: bytes) -> bool:
    known = passes(obd.check_request, request) or passes(uds.check_request, request)
    return passes(guard.check_request, request) == known


@pytest.mark.parametrize("service", [*obd.READ_ONLY_SERVICES, *UDS_SERVICES])
def test_the_guard_lets_through_what_the_protocols_know_and_nothing_else(service: int) -> None:
    for first in range(256):
        for filling in FILLINGS:
            for length in (0, 1, 2, 3, 4, 5, 6, 7, 30, 31, 32):
                assert agree((bytes([service, first]) + bytes([filling]) * length)[: 1 + length])


@pytest.mark.parametrize("service", sorted(set(range(256)) - obd.READ_ONLY_SERVICES - UDS_SERVICES))
def test_no_other_service_passes_anywhere(service: int) -> None:
    for filling in FILLINGS:
        for length in range(8):
            assert not passes(guard.check_request, bytes([service]) + bytes([filling]) * length)
            assert agree(bytes([service]) + bytes([filling]) * length)


@given(st.binary(max_size=40))
def test_they_agree_on_any_bytes(request: bytes) -> None:
    assert agree(request)


def test_no_service_is_in_both_protocols_and_together_they_are_the_guards() -> None:
    assert not obd.READ_ONLY_SERVICES & UDS_SERVICES
    let_through = {s for s in range(256) for n in range(7) if passes(guard.check_request, bytes([s]) + b"\x02" * n)}
    assert let_through == obd.READ_ONLY_SERVICES | UDS_SERVICES


def test_the_tables_themselves_are_equal() -> None:
    assert guard._DTC_PARAMETERS == uds._DTC_PARAMETERS
    assert guard._DIDS_MAX == uds.DIDS_PER_REQUEST
    assert guard._PIDS_MAX == obd.PIDS_PER_REQUEST
    assert guard.RequestRefused is obd.RequestRefused
