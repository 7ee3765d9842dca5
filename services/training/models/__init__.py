"""Model families: importing this package registers every one of them."""

from services.training.models.autoencoder import AutoencoderConfig
from services.training.models.candidates import CandidatesConfig
from services.training.models.cnn import CnnConfig
from services.training.models.dcn import DcnConfig
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
from services.training.models.lenet import LeNet5Config
from services.training.models.mlp import MlpConfig
from services.training.models.recurrent import GruConfig, LstmConfig
from services.training.models.registry import (
    Example,
    ModelConfig,
    parse_config,
    reads_sequences,
    register,
    registered,
)
from services.training.models.resnet import ResNet50Config
from services.training.models.sequence import sequence
from services.training.models.text import TextLstmConfig
from services.training.models.transformer import TransformerConfig

__all__ = [
    "AutoencoderConfig",
    "CandidatesConfig",
    "CnnConfig",
    "DcnConfig",
    "Example",
    "Field",
    "GruConfig",
    "HeadSpec",
    "InputSpec",
    "Layer",
    "LayerList",
    "Layout",
    "LeNet5Config",
    "LstmConfig",
    "MlpConfig",
    "ModelConfig",
    "Parameter",
    "ResNet50Config",
    "Step",
    "TextLstmConfig",
    "TransformerConfig",
    "parse_config",
    "reads_sequences",
    "register",
    "registered",
    "sequence",
    "stateless",
    "table",
]
