"""Models are found by name and refuse what they do not know."""

import pytest

from services.training.models import MlpConfig, parse_config, registered
from shared.errors import InvalidArgumentError, NotFoundError


def test_a_declaration_becomes_the_config():
    assert parse_config({"type": "mlp", "width": 32, "dropout": 0}) == MlpConfig(32, dropout=0.0)


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(InvalidArgumentError, match="no key 'widht'; did you mean 'width'"):
        parse_config({"type": "mlp", "widht": 32})


def test_an_unknown_model_is_refused_with_the_nearest():
    with pytest.raises(NotFoundError, match="'mpl' is unknown; use 'mlp'"):
        parse_config({"type": "mpl"})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("width", "wide", "a whole number"),
        ("width", True, "a whole number"),
        ("dropout", "0.1", "a number"),
        ("activation", "sine", "gelu, relu, silu, tanh"),
    ],
)
def test_a_wrong_value_is_refused_saying_what_is_right(key, value, words):
    with pytest.raises(InvalidArgumentError, match=words):
        parse_config({"type": "mlp", key: value})


def test_every_registered_model_is_made_of_its_defaults():
    assert registered()["mlp"] is MlpConfig
