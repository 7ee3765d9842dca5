"""Logs are JSON lines; metrics are shown on a loopback port."""

import io
import json
import logging
import urllib.request

from shared.obs import logs
from shared.obs.metrics import JOB_SECONDS, MetricsPort


def test_a_log_line_is_one_json_object_with_its_fields():
    stream = io.StringIO()
    handler = logs.configure(stream=stream)
    try:
        logging.getLogger("oriel.test").info("rpc", extra={"code": "OK", "seconds": 0.5})
    finally:
        logging.getLogger().removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert line["message"] == "rpc"
    assert (line["logger"], line["level"], line["code"]) == ("oriel.test", "INFO", "OK")
    assert line["time"].startswith("20")


def test_a_trace_stays_inside_its_line():
    stream = io.StringIO()
    handler = logs.configure(stream=stream)
    try:
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("oriel.test").exception("bug")
    finally:
        logging.getLogger().removeHandler(handler)
    [line] = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exc_info"]


def test_metrics_are_shown_on_loopback_in_the_text_form():
    JOB_SECONDS.labels("imports", "SUCCEEDED").observe(0.5)
    port = MetricsPort()
    try:
        assert port.address.startswith("127.0.0.1:")
        with urllib.request.urlopen(f"http://{port.address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        port.close()
    assert 'oriel_jobs_duration_seconds_count{collection="imports",state="SUCCEEDED"}' in text
