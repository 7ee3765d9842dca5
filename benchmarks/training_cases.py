"""The networks that are timed, with the sizes that ours and the peers' must share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Case:
    """One network and batch; `steps` optimizer steps make a round.

    Args:
        cores: Cores that every contestant is held to.
        shape: Of one row: [height, width, channel], [feature] or [step, input].
        options: Of the network: widths, layers, dropout.
    """

    name: str
    batch: int
    steps: int
    cores: int
    shape: tuple[int, ...]
    classes: int
    options: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """As the workers are told."""
        return asdict(self)


MLP = {"width": 256, "blocks": 4, "expansion": 2, "dropout": 0.1}
LSTM = {"width": 128, "layers": 1}
TRANSFORMER = {"width": 128, "blocks": 2, "attention_heads": 4, "expansion": 4, "dropout": 0.1}

CASES = {
    case.name: case
    for case in (
        Case("lenet", 128, 40, 1, (28, 28, 1), 10, {}),
        Case("resnet50", 64, 1, 1, (32, 32, 3), 10, {}),
        Case("mlp", 256, 20, 1, (64,), 10, MLP),
        Case("lstm", 64, 5, 1, (64, 32), 10, LSTM),
        Case("transformer", 32, 5, 1, (64, 32), 10, TRANSFORMER),
    )
}
