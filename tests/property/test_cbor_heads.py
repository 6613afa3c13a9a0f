"""What is put together from heads is what the encoder writes."""

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from agent.core.cose import byte_string, head


@given(st.integers(0, 2**32 - 1))
def test_a_head_is_the_encoders(argument: int) -> None:
    assert head(0, argument) == cbor2.dumps(argument, canonical=True)


@given(st.binary(max_size=70_000))
def test_a_byte_string_is_the_encoders(data: bytes) -> None:
    assert byte_string(data) == cbor2.dumps(data, canonical=True)
