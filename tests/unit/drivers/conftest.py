from collections.abc import AsyncIterator

import pytest

from tests.unit.drivers.datagram_kernel import Kernel


@pytest.fixture
async def kernel() -> AsyncIterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()
