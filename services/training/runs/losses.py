"""Loss curves of a fold: the mean over members, each one's last value standing once it stopped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """Losses of one member after one epoch."""

    fold: str
    member: int
    epoch: int
    train_loss: float
    validation_loss: float


def curves(losses: Iterable[Loss]) -> list[Mapping[str, float | int | str]]:
    """One point per fold and epoch, folds in the order seen.

    >>> point = Loss("final", 0, 0, 1.0, 2.0)
    >>> curves([point])
    [{'fold': 'final', 'epoch': 0, 'train_loss': 1.0, 'validation_loss': 2.0}]
    """
    folds: dict[str, dict[int, list[Loss]]] = {}
    for loss in losses:
        folds.setdefault(loss.fold, {}).setdefault(loss.member, []).append(loss)
    return [
        {
            "fold": fold,
            "epoch": epoch,
            "train_loss": _mean([_at(each, epoch).train_loss for each in members.values()]),
            "validation_loss": _mean(
                [_at(each, epoch).validation_loss for each in members.values()]
            ),
        }
        for fold, members in folds.items()
        for epoch in range(max(len(each) for each in members.values()))
    ]


def _at(member: Sequence[Loss], epoch: int) -> Loss:
    return member[min(epoch, len(member) - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
