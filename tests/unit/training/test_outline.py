"""What would be trained is what is trained, for users and for images."""

import numpy as np
import pytest

from services.training.adapters.messages import outline_message
from services.training.adapters.questions import config_of, names_of
from services.training.runs.config import RunConfig, from_yaml, to_yaml
from services.training.runs.image_config import ImageRunConfig
from services.training.runs.outline import outline
from shared.config.images import Augment
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.dataset.images import ImageRows, write_images
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from tests.support import pictures
from tests.unit.training import shop

CHURN, MNIST = shipped_text("churn_90d"), shipped_text("mnist")
NEXT_ORDER = shipped_text("next_order")


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "bars"
    images, labels = pictures.drawn(60)
    parts = np.repeat([0, 1, 2], [30, 12, 18]).astype(np.int8)
    write_images(
        folder,
        ImageRows(images, labels.astype(np.int32), parts),
        name="datasets/bars",
        predictions=("bars",),
        classes=("a", "b", "c"),
        source_files={},
    )
    return folder


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "shop"
    shop.write(folder)
    return folder


def test_of_images_it_names_parts_classes_and_layers(bars):
    message = outline_message(outline(bars, ImageRunConfig()))
    assert {part.name: part.row_count for part in message.parts} == {
        "train": 30,
        "validation": 12,
        "test": 18,
    }
    assert list(message.classes) == ["a", "b", "c"]
    assert (message.layers[0].name, message.layers[0].parameter_count) == ("convolution0", 156)
    assert message.member_count == 1


def test_of_users_it_counts_eligible_rows_and_the_networks_real_inputs(users):
    found = outline(users, RunConfig(members=2, model={"type": "mlp", "width": 8, "blocks": 1}))
    assert list(found.parts) == ["evaluation train", "evaluation test", "final train"]
    eligible = DatasetReader(users).arrays().eligible
    assert 0 < found.parts["evaluation train"] < found.parts["final train"] < eligible.sum() + 1
    assert found.members == 2
    assert all(layer.layout.size > 0 for layer in found.layers)


def test_a_dataset_of_the_other_kind_is_refused(bars, users):
    with pytest.raises(FailedPreconditionError, match="of images, not of users"):
        outline(bars, RunConfig())
    with pytest.raises(FailedPreconditionError, match="of users, not of images"):
        outline(users, ImageRunConfig())


def test_a_file_about_images_becomes_a_config_that_names_no_folder():
    config = config_of([MNIST], 5, RunConfig(bootstrap_samples=20))
    assert isinstance(config, ImageRunConfig)
    assert (config.seed, config.bootstrap_samples) == (5, 20)
    assert config.augment == Augment(shift=2)
    assert config.fit_config().optimizer.kind == "adamw"
    assert names_of([MNIST]) == ["mnist"]


def test_a_file_about_the_next_order_becomes_a_config_that_waits_for_it(users):
    config = config_of([NEXT_ORDER], 5, RunConfig(members=2))
    assert (config.awaited, config.seed) == ("order", 5)
    assert from_yaml(to_yaml(config)) == config
    parameters = outline(users, config).layers[-1].layout.parameters
    assert "hazard/bias" in [parameter.name for parameter in parameters]


@pytest.mark.parametrize(
    ("files", "seed", "error", "message"),
    [
        ([MNIST, CHURN], 0, InvalidArgumentError, "stands alone; start a run for each"),
        ([MNIST], -1, InvalidArgumentError, "seed -1"),
        ([CHURN, NEXT_ORDER], 0, InvalidArgumentError, "ask for different things"),
        ([MNIST.replace("lenet5", "lenet7")], 0, NotFoundError, "use 'lenet5'"),
        ([MNIST.replace("lenet5", "lenet5, filter: [1]")], 0, InvalidArgumentError, "'filters'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_worker_starts(files, seed, error, message):
    with pytest.raises(error, match=message):
        config_of(files, seed, RunConfig())
