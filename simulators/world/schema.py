"""The JSON Schema of scenario files, for editors: simulators/scenarios/schema.json holds it."""

import json
from typing import Any, Final

import msgspec

from simulators.world.loading import SCENARIOS
from simulators.world.scenario import Scenario

SCHEMA: Final = SCENARIOS / "schema.json"


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scenario file. With a base only the name is required."""
    (schema,), components = msgspec.json.schema_components([Scenario], ref_template="#/$defs/{name}")
    whole = components["Scenario"]
    whole["required"] = ["name"]
    whole["anyOf"] = [{"required": ["base"]}, {"required": ["description", "duration_s"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": components}


def schema_text() -> str:
    """As it stands in the file."""
    return json.dumps(scenario_schema(), indent=2, allow_nan=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
