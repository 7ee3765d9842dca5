"""Composes the feature service."""

from dataclasses import dataclass

from oriel.feature.v1 import feature_pb2_grpc
from services.feature.adapters.history import EventHistory
from services.feature.adapters.product_history import ProductHistory
from services.feature.servicer import FeatureServicer
from services.feature.usecases.build import DatasetBuilder
from services.feature.usecases.build_product import ProductDatasetBuilder
from shared.config.home import Home, WorkspaceSettings
from shared.jobs import JobStore
from shared.rpc import Service
from shared.warehouse import Warehouse


@dataclass(frozen=True)
class FeatureSettings:
    """What the feature service needs to know."""

    home: Home
    workspace: WorkspaceSettings


def build(settings: FeatureSettings, warehouse: Warehouse) -> Service:
    """Compose the service over a warehouse.

    Args:
        settings: Where datasets go, and the workspace's zone and currency.
        warehouse: Where events lie; whoever opened it closes it.
    """
    zone, currency = settings.workspace.time_zone, settings.workspace.currency
    history = EventHistory(warehouse, zone)
    builder = DatasetBuilder(history, zone, currency)
    products = ProductDatasetBuilder(history, ProductHistory(warehouse), zone)
    jobs = JobStore(settings.home.jobs_path("feature"), "datasets")
    servicer = FeatureServicer(builder, products, jobs, settings.home.datasets_path)
    return Service(
        "oriel.feature.v1.FeatureService",
        lambda server: feature_pb2_grpc.add_FeatureServiceServicer_to_server(servicer, server),
        jobs.close,
    )
