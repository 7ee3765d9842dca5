"""The scorer of a stream over a real broker and a warehouse server: each event counts once."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from services.inference.adapters.models import LoadedModels
from services.inference.adapters.runner import ModelRunner
from services.inference.adapters.stream_audit import stream_audit
from services.inference.usecases.predict import Predictor
from shared.bus import Message, Partition
from shared.bus.cluster import Cluster
from shared.bus.reader import read
from shared.bus.topics import DECLARATION, parse_topics
from shared.bus.writer import KafkaWriter
from shared.config.home import Home
from shared.registry import ModelRegistry
from shared.warehouse import connect, migrate
from tests.support.native_front_process import running_front
from tests.support.scored_stream import MESSAGES, RULE, expected, sent
from tests.support.scorer_process import PASSWORD, publish
from tests.unit.inference.stand_ins import MemoryDatasets

pytestmark = [pytest.mark.server, pytest.mark.slow]

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 30.0
_POINTS = ("_produce", "_count", "")
"""Where each dies: predictions stored and not told, all stored and no features written, nowhere."""
_PART = MESSAGES // len(_POINTS)


def _scorer(bus, home, port, log, point):
    options = {
        "bus": ",".join(bus.servers),
        "prefix": bus.prefix,
        "warehouse-port": port,
        "home": home.path,
        "rule": RULE,
        "die-at": point,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.support.scorer_process", *words]
    return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)


def _begin(process):
    process.stdin.write(b"\n")
    process.stdin.close()


def _end(process):
    process.kill()
    process.wait()
    process.stdin.close()


def _consumed(warehouse):
    found = warehouse.query("SELECT sum(consumed) AS consumed FROM stream_scores FINAL")
    return int(found["consumed"][0].as_py() or 0)


def test_each_event_is_scored_once_and_accounted_for_though_its_scorer_is_killed(bus, tmp_path):
    with Cluster(bus) as cluster:
        cluster.apply(parse_topics(DECLARATION.read_text(encoding="utf-8")))
    home = Home(tmp_path / "home")
    publish(home)
    messages = sent(seed=1)
    writer = KafkaWriter(bus)
    known = {}
    with (
        running_front(tmp_path / "warehouse", PASSWORD) as place,
        (tmp_path / "log").open("ab") as log,
        ExitStack() as stack,
    ):
        warehouse = connect(place.host, place.port, place.user, place.password, "default")
        migrate(warehouse)
        processes = [_scorer(bus, home, place.port, log, point) for point in _POINTS]
        for process in processes:
            stack.callback(_end, process)
        for number, (point, process) in enumerate(zip(_POINTS, processes, strict=True)):
            part = messages[number * _PART : (number + 1) * _PART]
            for user, value, told in part:
                partition = Partition(bus.name("events.v1"), user % 2)
                of_partition = known.setdefault(partition, {})
                of_partition[len(of_partition)] = (user, told)
                writer.send(
                    Message(partition.topic, f"u{user}".encode(), value, partition=user % 2)
                )
            writer.flush()
            _begin(process)
            if point:
                assert process.wait(_PATIENCE_SECONDS) == -signal.SIGKILL
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _consumed(warehouse) < len(messages) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(_PATIENCE_SECONDS) == 0
        writer.close()
        scores = {
            row.pop("stream"): row
            for row in warehouse.query("SELECT * FROM stream_scores FINAL").to_pylist()
        }
        said = warehouse.query(
            "SELECT prediction_id, stream, stream_offset, churn_probability, eligible, "
            "consent_basis FROM predictions ORDER BY stream, stream_offset"
        ).to_pylist()
        audits = stream_audit(warehouse)
        warehouse.close(0)
    assert len(audits) == 2
    assert all(audit.is_exact for audit in audits)
    log_text = (tmp_path / "log").read_text()
    rows, told = [], []
    for partition, of_partition in known.items():
        counts, predicted = expected(of_partition)
        stream = f"churn_90d|{partition}"
        found = {name: scores[stream][name] for name in scores[stream] if name != "epoch"}
        assert found == {**dict.fromkeys(found, 0), **counts, "next_offset": len(of_partition)}, (
            log_text[-3000:]
        )
        of_stream = [row for row in said if row["stream"] == stream]
        assert [row["stream_offset"] for row in of_stream] == sorted(predicted)
        told += of_stream
        rows += [predicted[row["stream_offset"]] for row in of_stream]
    assert all(row["eligible"] and row["consent_basis"] == "granted: scores" for row in told)
    _require_equal_to_unary(home, rows, told)
    _require_told_on_the_bus(bus, {row["prediction_id"] for row in told})


def _require_equal_to_unary(home, rows, told):
    models = LoadedModels(ModelRegistry(home.registry_path), ModelRunner)
    predictor = Predictor(models, MemoryDatasets(), None)
    answer = predictor.for_features("models/tiny", np.array(rows, np.float32), has_reasons=False)
    one_by_one = [each.churn_probability for each in answer.predictions]
    np.testing.assert_allclose(
        [row["churn_probability"] for row in told], one_by_one, rtol=1e-6, atol=0
    )


def _require_told_on_the_bus(bus, prediction_ids):
    reader = read(bus, {Partition(bus.name("predictions.v1"), number): 0 for number in range(2)})
    heard = set()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        while len(heard) < len(prediction_ids) and time.monotonic() < deadline:
            for records in reader.poll(0.5, 1000).values():
                heard |= {json.loads(record.value)["prediction_id"] for record in records}
    finally:
        reader.close()
    assert heard == prediction_ids
