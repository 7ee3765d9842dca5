"""The run folder survives crashes without mixing one order's work into another's."""

from services.training.runs.config import RunConfig, from_yaml, to_yaml
from services.training.runs.folder import Order, RunFolder
from services.training.runs.run import RunResult

ORDER = Order("customers", "/datasets/d", "aa")
RESULT = RunResult({"evaluation.json": b"{}", "weights.safetensors": b"w"}, {"horizon_days": 90})


def test_a_result_is_found_again_by_the_same_order(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(ORDER, RunConfig())
    assert folder.result() is None
    folder.write_result(RESULT)
    folder.prepare(ORDER, RunConfig())
    assert folder.result() == RESULT


def test_another_order_takes_the_old_result_away(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(ORDER, RunConfig())
    folder.write_result(RESULT)
    folder.prepare(Order("customers", "/datasets/d", "bb"), RunConfig())
    assert folder.result() is None


def test_files_without_the_last_one_are_no_result(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.prepare(ORDER, RunConfig())
    folder.write_result(RESULT)
    (tmp_path / "run" / "result.json").unlink()
    assert folder.result() is None


def test_the_order_is_read_back_as_written(tmp_path):
    folder = RunFolder(tmp_path / "run")
    config = RunConfig(seed=7, model={"type": "mlp", "width": 8})
    folder.prepare(ORDER, config)
    assert folder.order() == (ORDER, config)


def test_a_config_survives_its_text():
    config = RunConfig(seed=3, half_life_days=0.0)
    assert from_yaml(to_yaml(config)) == config
    assert to_yaml(config) == to_yaml(from_yaml(to_yaml(config)))
