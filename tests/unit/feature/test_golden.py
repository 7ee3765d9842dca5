"""The values of a stored shop's dataset; ORIEL_GOLDEN=write rewrites them for review."""

import json
import os
from pathlib import Path

from services.feature.adapters.history import EventHistory
from tests.support.shops import ZONE, build, random_shop

GOLDEN = Path(__file__).parents[2] / "golden" / "dataset" / "training.json"


def test_the_dataset_of_a_stored_shop_is_the_reviewed_one(warehouse, tmp_path):
    random_shop(7).store(warehouse)
    manifest = build(EventHistory(warehouse, ZONE), tmp_path / "a", "training").manifest
    found = {
        "content_hash": manifest.content_hash,
        "feature_set_version": manifest.feature_set_version,
        "row_count": manifest.row_count,
        "user_count": manifest.user_count,
        "segment_limits_micros": list(manifest.fold("final").segment_limits_micros),
        "means": {name: round(each.mean, 6) for name, each in manifest.statistics.items()},
        "missing": {name: each.missing for name, each in manifest.statistics.items()},
    }
    if os.environ.get("ORIEL_GOLDEN") == "write":
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8")), "ORIEL_GOLDEN=write, if meant"
