"""An order in JSON becomes a job, and says what is wrong with it."""

import pytest

from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES
from services.training.engine.ps.schedule import Schedule
from shared.errors import InvalidArgumentError

ORDER = {
    "recipe": "dense",
    "arguments": {"widths": [784, 1024, 1024, 1024, 10], "rows": 64},
    "fit": {"batch_size": 32, "epochs": 2, "optimizer": {"kind": "sgd", "clip_norm": None}},
    "sharing": {"owners": 2, "schedule": {"kind": "wfbp", "piece_bytes": 1024}},
    "seed": 9,
}


def build(**changes):
    return order_builder(RECIPES)({**ORDER, **changes})


def test_an_order_becomes_a_job():
    job = build()
    assert (job.batch_size, job.total_steps, job.seed) == (32, 4, 9)
    assert job.sharing.schedule == Schedule("wfbp", 1024)
    assert job.config.optimizer.kind == "sgd"
    assert 2_900_000 < sum(vector.size for vector in job.vectors) < 3_000_000


def test_auto_leaves_the_schedule_to_be_found():
    assert build(sharing={"schedule": "auto"}).sharing.schedule is None


def test_a_registered_model_can_be_ordered_on_random_rows():
    arguments = {
        "model": {"type": "lenet5"},
        "shape": [28, 28, 1],
        "classes": 10,
        "rows": 8,
        "field": "images",
    }
    job = build(recipe="registered_model", arguments=arguments)
    assert job.rows.inputs["images"].shape == (8, 28, 28, 1)
    assert job.vectors[0].name == "convolution0+convolution1+dense0+dense1+heads"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "dens"}, "'dens' is unknown; use dense"),
        ({"sharings": {}}, "the order: 'sharings' is unknown; use sharing"),
        ({"fit": {"batchsize": 1}}, "fit: 'batchsize' is unknown; use batch_size"),
        ({"fit": {"optimizer": {"rate": 1}}}, "fit.optimizer: 'rate' is unknown"),
        ({"sharing": {"owner": 1}}, "sharing: 'owner' is unknown; use owners"),
        ({"sharing": {"wire": "float8"}}, "sharing.wire: 'float8' is unknown; use float32"),
        ({"sharing": {"schedule": {"piece": 1}}}, "sharing.schedule: 'piece' is unknown"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(changes, message):
    with pytest.raises(InvalidArgumentError, match=message):
        build(**changes)
