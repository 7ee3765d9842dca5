"""Model families: importing this package registers every one of them."""

from services.training.models.layer import (
    Field,
    HeadSpec,
    InputSpec,
    Layer,
    LayerList,
    Layout,
    Parameter,
    Step,
    stateless,
    table,
)
from services.training.models.mlp import MlpConfig
from services.training.models.registry import (
    Example,
    ModelConfig,
    parse_config,
    register,
    registered,
)

__all__ = [
    "Example",
    "Field",
    "HeadSpec",
    "InputSpec",
    "Layer",
    "LayerList",
    "Layout",
    "MlpConfig",
    "ModelConfig",
    "Parameter",
    "Step",
    "parse_config",
    "register",
    "registered",
    "stateless",
    "table",
]
