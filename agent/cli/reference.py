"""`outrider config reference`: every key, its default and its range, read off the types themselves."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.core.config import Config

Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """(key, default, allowed) for every key of the config file, tables in dotted form."""
    schema = msgspec.json.schema(Config)
    yield from _walk(schema["$defs"]["Config"], schema["$defs"], "")


def _walk(table: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[Row]:
    for name, spec in table["properties"].items():
        key = f"{prefix}{name}"
        inner = _table_of(spec, definitions)
        if inner is None:
            default = json.dumps(spec["default"], ensure_ascii=False) if "default" in spec else "required"
            yield key, default, _allowed(spec)
        else:
            mark = "[]" if spec.get("type") == "array" else ""
            yield from _walk(inner, definitions, f"{key}{mark}.")


def _table_of(spec: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """The nested table behind a reference, a list of tables, or an optional table."""
    for candidate in (spec, spec.get("items", {}), *spec.get("anyOf", ()), *spec.get("allOf", ())):
        if isinstance(candidate, dict) and "$ref" in candidate:
            found = definitions[candidate["$ref"].rpartition("/")[2]]
            return found if isinstance(found, dict) else None
    return None


def _allowed(spec: dict[str, Any]) -> str:
    """Ranges and choices in words."""
    parts = [" or ".join(_allowed(choice) for choice in spec.get("anyOf", ()) if choice.get("type") != "null")]
    if "enum" in spec:
        parts.append(" or ".join(json.dumps(choice) for choice in spec["enum"]))
    elif "type" in spec:
        parts.append(str(spec["type"]))
    if "prefixItems" in spec:
        parts.append(f"of {len(spec['prefixItems'])} {_allowed(spec['prefixItems'][0])}")
    elif "items" in spec:
        parts.append(f"of {_allowed(spec['items'])}")
    if "minimum" in spec or "maximum" in spec:
        parts.append(f"{spec.get('minimum', '')} to {spec.get('maximum', '')}")
    if "pattern" in spec:
        parts.append(spec["pattern"])
    return " ".join(part for part in parts if part)
