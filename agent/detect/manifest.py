"""The manifest lives in core, where drivers find it too; here is its name for those who deal with detectors."""

from agent.core.manifest import Manifest, load_manifest

__all__ = ["Manifest", "load_manifest"]
