"""Where published models live: immutable versions, checked files, movable aliases."""

from shared.registry._registry import ModelRegistry
from shared.registry._version import FORMAT_VERSION, ModelVersion

__all__ = ["FORMAT_VERSION", "ModelRegistry", "ModelVersion"]
