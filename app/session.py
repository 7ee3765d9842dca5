"""A channel to the services of a workspace, wherever they run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler

import click
import grpc

from app import lock
from app.deployment import service_addresses
from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from oriel.inference.v1 import inference_pb2, inference_pb2_grpc
from shared import rpc
from shared.config.home import Home, WorkspaceSettings
from shared.errors import DomainError
from shared.obs import logs

_LOG = logging.getLogger(__name__)

_LOG_BYTES = 10_000_000
_LOG_FILES = 4


@contextmanager
def open_session(home: Home, command: str) -> Iterator[grpc.Channel]:
    """Yield a channel to the services: as the environment names them, or of who holds the folder.

    Where neither is so, they are started here.

    Raises:
        FailedPreconditionError: The folder is no workspace, or its holder does not answer.
    """
    workspace = WorkspaceSettings.load(home.settings_file)
    if addresses := service_addresses():
        with logging_to(home, "command.log"), rpc.connect_each(addresses) as channel:
            yield channel
        return
    while (held := lock.acquire(home.lock_path, command)) is None:
        address = lock.wait_for_address(home.lock_path)
        if address:
            with logging_to(home, "command.log"), rpc.connect(address) as channel:
                yield channel
            return
    with logging_to(home):
        from app import embedded  # the engine and the services take seconds to load

        services = embedded.start(home, workspace, held)
        try:
            services.set_ready()
            yield services.channel
        finally:
            services.stop()


@contextmanager
def logging_to(home: Home, name: str = "oriel.log") -> Iterator[None]:
    """Send the log of this process to the workspace's folder, and what ends it by surprise."""
    home.logs_path.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        home.logs_path / name,
        maxBytes=_LOG_BYTES,
        backupCount=_LOG_FILES,
        encoding="utf-8",
    )
    logs.attach(handler)
    logging.captureWarnings(True)
    try:
        yield
    except (DomainError, click.ClickException, click.exceptions.Exit):
        raise  # told to the person, not a surprise
    except Exception:
        _LOG.exception("command failed")
        raise
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        handler.close()


def load_newest_snapshot(channel: grpc.Channel) -> inference_pb2.LoadFeatureSnapshotResponse | None:
    """Load the features of the newest scoring dataset into serving; None when there is none."""
    features = feature_pb2_grpc.FeatureServiceStub(channel)
    token = ""
    while True:
        page = features.ListDatasets(feature_pb2.ListDatasetsRequest(page_token=token))
        for dataset in page.datasets:
            is_scoring = dataset.purpose == feature_pb2.DATASET_PURPOSE_SCORING
            if is_scoring and dataset.state == common_pb2.STATE_SUCCEEDED:
                return inference_pb2_grpc.InferenceServiceStub(channel).LoadFeatureSnapshot(
                    inference_pb2.LoadFeatureSnapshotRequest(dataset=dataset.name)
                )
        token = page.next_page_token
        if not token:
            return None
