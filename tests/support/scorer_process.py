"""One member that scores the events of a bus by a small model, as a process that can be killed."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from services.inference import scorer as scoring
from services.inference.main import InferenceSettings, scorer
from services.ingestion.main import event_decoder
from shared.bus import BusSettings, ReaderLimits
from shared.config.home import Home, WorkspaceSettings
from shared.config.prediction import PredictionFile, parse_prediction
from shared.features import FEATURES, feature_set_version
from shared.registry import ModelRegistry
from shared.warehouse import connect
from tests.support.native_front import USER
from tests.unit.inference import tiny_model

SESSION_SECONDS = 1.5
PASSWORD = "history"
SECRET = b"0123456789abcdef0123456789abcdef"
WORKSPACE = WorkspaceSettings(pseudonym_key=SECRET)
_FILE = """
name: churn_90d
target: {kind: churn}
eligible: orders_ever >= 1
horizon: 90d
stream: %s
"""


def prediction_file(rule: str) -> PredictionFile:
    """Return a file with a rule for the stream, as YAML."""
    return parse_prediction(_FILE % rule)


def publish(home: Home) -> None:
    """Publish the small model under the true version of its features."""
    features = [FEATURES[name] for name in tiny_model.FEATURES]
    manifest = {**tiny_model.MANIFEST, "feature_set_version": feature_set_version(features)}
    ModelRegistry(home.registry_path).publish("tiny", _files(), manifest)


def _files() -> dict[str, bytes]:
    files: dict[str, bytes] = tiny_model.files()  # type: ignore[no-untyped-call]  # for tests
    return files


def die_at(point: str) -> None:
    """Kill this process before a method of the scoring, as `kill -9` would."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(scoring.StreamScoring, point, die)


def main() -> None:
    """Score events until SIGTERM, once a line comes in: loading takes far longer than scoring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bus", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--warehouse-port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rule", required=True, help="as JSON")
    parser.add_argument("--die-at", default="")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    scoring.SNAPSHOT_SECONDS = 0.2
    if arguments.die_at:
        die_at(arguments.die_at)
    warehouse = connect("127.0.0.1", arguments.warehouse_port, USER, PASSWORD, "default")
    bus = BusSettings.parse(arguments.bus, arguments.prefix)
    member = scorer(
        InferenceSettings(Home(arguments.home), WORKSPACE),
        warehouse,
        bus,
        event_decoder(WORKSPACE, bus),
        prediction_file(arguments.rule),
        limits=ReaderLimits(session_seconds=SESSION_SECONDS),
    )
    signal.signal(signal.SIGTERM, lambda *_: member.stop())
    sys.stdin.readline()
    member.run()


if __name__ == "__main__":
    main()
