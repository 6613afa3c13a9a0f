"""`outrider config schema`: what editors and operators' tools check files against."""

import json
import math
from typing import Any, Literal

import msgspec

from agent.core.config import Config
from agent.decode.profile import Profile


def print_schema(of: Literal["config", "profile"]) -> int:
    """Print the JSON Schema (draft 2020-12)."""
    print(json.dumps(schema_of(of), indent=2, allow_nan=False))
    return 0


def schema_of(of: Literal["config", "profile"]) -> dict[str, Any]:
    """Return the schema; defaults that JSON cannot hold (no limit) are left out."""
    schema = msgspec.json.schema(Config if of == "config" else Profile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_finite(schema)}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items() if not (isinstance(v, float) and not math.isfinite(v))}
    return [_finite(v) for v in value] if isinstance(value, list) else value
