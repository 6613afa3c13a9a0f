"""docs/wire.md tells the truth: its CDDL is the code's, its snippet opens its vector, and so do we."""

import re
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.events import AnyEvent, Event
from agent.core.records import ENVELOPE_SIZE_MAX, EVENT_SIZE_MAX, Told
from agent.link import wire
from agent.store.unseal import open_record

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
KINDS: tuple[type[Event], ...] = get_args(AnyEvent)
DEVICE_PUBLIC = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")

_PLAIN = {int: "int", float: "number", str: "tstr", bool: "bool", bytes: "bstr", type(None): "null"}


def cddl_type(kind: Any) -> str:
    options = get_args(kind)
    if get_origin(kind) is list:
        return f"[* {cddl_type(options[0])}]"
    if not options:
        return _PLAIN[kind]
    return " / ".join(f'"{option}"' if isinstance(option, str) else cddl_type(option) for option in options)


def cddl_of(kind: type[Event]) -> str:
    tag = str(kind.__struct_config__.tag)
    head = f"; version {kind.version}, priority {int(kind.priority)}, purpose {kind.purpose}"
    lines = [head, f"{tag.replace('_', '-')} = {{", f'  kind: "{tag}",']
    lines += [f"  {field.name}: {cddl_type(field.type)}," for field in msgspec.structs.fields(kind)]
    return "\n".join([*lines, "}\n"])


def vector() -> bytes:
    found = re.search(r"```text\n([0-9a-f\n]+)```", DOCUMENT)
    assert found
    return bytes.fromhex(found[1])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_described_as_it_is(kind: type[Event]) -> None:
    assert cddl_of(kind) in DOCUMENT


def test_the_list_of_kinds_is_complete() -> None:
    found = re.search(r"\nevent = ([a-z\-/\s]+?)\n\n", DOCUMENT)
    assert found
    described = {name.strip().replace("-", "_") for name in found[1].split("/")}
    assert described == {str(kind.__struct_config__.tag) for kind in KINDS}


def test_the_content_is_described_as_it_is() -> None:
    found = re.search(r"content = \{\n(.*?)\n\}", DOCUMENT, re.DOTALL)
    assert found
    assert re.findall(r"^  (\w+):", found[1], re.MULTILINE) == [field.name for field in msgspec.structs.fields(Told)]


def test_our_code_opens_the_vector() -> None:
    key = X25519PrivateKey.from_private_bytes(b"\2" * 32)
    header, told = open_record(vector(), key, Ed25519PublicKey.from_public_bytes(DEVICE_PUBLIC))
    assert (header.device, header.position) == ("car-1", (1, 2))
    assert told.event.kind == "collision"


def test_the_documents_own_code_opens_the_vector() -> None:
    found = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102  # the page's own snippet is what is tested
    content = names["open_envelope"](vector(), b"\1" * 32, DEVICE_PUBLIC)
    assert content["event"]["delta_v_kmh"] == 31.5
    assert content["wall_ns"] - content["event"]["t_ns"] == 1_790_000_000_000_000_000


def test_topics_and_limits_are_those_of_the_code() -> None:
    for topic in (
        wire.record_topic("{device}"),
        wire.receipt_topic("{device}"),
        wire.config_topic("{device}"),
        wire.group_config_topic("{group}"),
    ):
        assert f"`{topic}`" in DOCUMENT
    for limit in (ENVELOPE_SIZE_MAX, EVENT_SIZE_MAX, wire.RECEIPT_SIZE_MAX):
        assert f"{limit:,} bytes" in DOCUMENT
    assert f"[1*{wire.RECEIPT_RANGES_MAX} range]" in DOCUMENT
