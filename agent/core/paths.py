"""Where the shipped data lies: beside the packages, in a clone as in /opt/outrider."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FIRMWARE_CONFIG: Final = ROOT / "firmware_config"
VEHICLES: Final = FIRMWARE_CONFIG / "vehicles"
KEYWORDS: Final = FIRMWARE_CONFIG / "keywords"
UNDERSTANDING: Final = FIRMWARE_CONFIG / "understanding"
PROMPTS: Final = FIRMWARE_CONFIG / "prompts"
SCENES: Final = FIRMWARE_CONFIG / "scenes"
DBC: Final = FIRMWARE_CONFIG / "dbc"
OBD_PIDS: Final = FIRMWARE_CONFIG / "obd_pids.toml"
QUALITY: Final = FIRMWARE_CONFIG / "quality.toml"
EVIDENCE: Final = FIRMWARE_CONFIG / "evidence"
COVERAGE: Final = FIRMWARE_CONFIG / "coverage.toml"
DICTIONARIES: Final = FIRMWARE_CONFIG / "zstd"
HABITS: Final = FIRMWARE_CONFIG / "habits"
MSD_SCHEMA: Final = FIRMWARE_CONFIG / "msd.asn"
DESK: Final = FIRMWARE_CONFIG / "desk"
DIAGNOSIS: Final = FIRMWARE_CONFIG / "diagnosis"
CONSENT: Final = FIRMWARE_CONFIG / "consent"
BATTERY: Final = FIRMWARE_CONFIG / "battery"
PAGE: Final = FIRMWARE_CONFIG / "page"
MODELS: Final = ROOT / "models"


def find_dbc(name: str) -> Path:
    """Return a path as given where it exists, else below firmware_config/dbc."""
    path = Path(name)
    return path if path.exists() else DBC / name
