"""Training on a mesh of devices, one host or many: one program, gradients in collectives."""

from services.training.engine.spmd.exchange import Exchange, exchange_for
from services.training.engine.spmd.group import join_group
from services.training.engine.spmd.mesh import OnMesh, data_mesh
from services.training.engine.spmd.runtime import SpmdRuntime

__all__ = ["Exchange", "OnMesh", "SpmdRuntime", "data_mesh", "exchange_for", "join_group"]
