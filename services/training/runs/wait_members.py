"""Networks and straight lines cross-fitted over groups of users, the customer-base model beside
them for orders; then calibrated on users held out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from services.training.engine import Arrays, Fitter
from services.training.runs.answer import Network, blend, customer_base
from services.training.runs.config import RunConfig
from services.training.runs.correcting import UNWEIGHED, Weighing, fit_weighing, windows_of
from services.training.runs.ensemble import EnsembleRows, ensemble_rows
from services.training.runs.kept import Fits
from services.training.runs.leaks import require_apart
from services.training.runs.linear import fit_linear
from services.training.runs.networks import Listener, MemberRows, fit_networks
from services.training.runs.pretraining import pretrained
from services.training.runs.returning import Returning, fit_returning
from services.training.runs.rows import NumpyArray, ages_weight, thin
from services.training.runs.timing import Sample
from services.training.runs.unfolding import network_layers
from services.training.runs.wait_answer import member_logits, pack
from services.training.runs.wait_curve import HEADS, PARTS, base_logits, objective, parts_of
from services.training.runs.wait_rows import WaitRows

_PRIOR_ROWS = 20.0
"""Weight of the eligible users' chances in those of users the question does not fit."""


@dataclass(frozen=True)
class FittedWaits:
    """A calibrated ensemble: its shape, its numbers, and what a member's layers are timed on."""

    network: Network
    weights: Mapping[str, NumpyArray]
    sample: Sample
    returning: Returning | None
    best_epochs: tuple[int, ...]


def fit_waits(
    waits: WaitRows,
    config: RunConfig,
    *,
    horizon_days: int,
    listener: Listener,
    fits: Fits,
    name: str,
) -> FittedWaits:
    """Fit an ensemble to rows; each member leaves out one group of users and is judged on it.

    Args:
        waits: All rows; ineligible ones give base rates.
        config: All choices of the run.
        horizon_days: Length of a label window.
        listener: Hears how members go.
        fits: Carries out the fits of members.
        name: First part of the names of these fits.

    Raises:
        FailedPreconditionError: There are too few rows, or too few of one kind.
    """
    made = ensemble_rows(waits.rows, config)
    require_apart(made.rows.user_keys, made.group)
    parts = parts_of(waits.eligible.days, horizon_days)
    base = base_logits(parts, made.weights)
    layers = network_layers(config.model_config(), made.scaling, made.rows.steps, HEADS)

    def rows_of(number: int) -> MemberRows:
        train, valid = _train(made, parts, number), _valid(made, parts, number)
        return MemberRows(train, valid, made.seed(number), partial(pretrained, made, number))

    linear = fit_linear(
        made.inputs,
        made.rows,
        made.group,
        count=config.members,
        horizon_days=horizon_days,
        most_rows=config.most_rows,
    )
    returning = fit_returning(made.rows)
    results = fit_networks(
        Fitter(layers, objective(base), made.fit_config),
        rows_of,
        config.members,
        name=name,
        fits=fits,
        listener=listener,
    )
    members = [
        {key: np.asarray(value) for key, value in result.parameters.items()} for result in results
    ]
    run = jax.jit(member_logits(layers))
    unseen, straight = np.zeros(len(made.rows)), np.zeros(len(made.rows))
    for number, member in enumerate(members):
        out = made.group == number
        unseen[out] = np.asarray(run(member, base, made.inputs))[out, -1]
        straight[out] = linear.logits(made.inputs[out], number)
    history = made.rows.history if returning is not None else ()
    network = Network(layers, config.members, made.scaling.flagged, horizon_days, history)
    others = _others(waits, config.half_life_days, horizon_days)

    def packed(weighing: Weighing) -> Mapping[str, NumpyArray]:
        return pack(members, linear.mean(), made.scaling, returning, base, weighing, others)

    by_base = jax.jit(partial(customer_base, network))(dict(packed(UNWEIGHED)), made.inputs)
    weighing = fit_weighing(
        blend(unseen, straight),
        None if by_base is None else np.asarray(by_base[0], np.float64),
        made.rows.is_active,
        made.weights.astype(np.float64),
        windows_of(made.rows.as_ofs, horizon_days),
    )
    few = np.arange(min(made.fit_config.batch_size, len(made.rows)))
    return FittedWaits(
        network,
        packed(weighing),
        Sample(layers, objective(base), _arrays(made, parts, few, made.weights[few])),
        returning,
        tuple(result.best_epoch for result in results),
    )


def _train(made: EnsembleRows, parts: NumpyArray, member: int) -> Arrays:
    """What a member is fitted to: all other groups, thinned where they are many."""
    places = np.flatnonzero(made.group != member)
    kept, weights = thin(made.weights[places], made.rows.user_keys[places], made.config.most_rows)
    return _arrays(made, parts, places[kept], weights)


def _valid(made: EnsembleRows, parts: NumpyArray, member: int) -> Arrays:
    """What a member is judged on while it is fitted: its own group."""
    out = np.flatnonzero(made.group == member)
    return _arrays(made, parts, out, made.weights[out])


def _arrays(
    made: EnsembleRows, parts: NumpyArray, chosen: NumpyArray, weights: NumpyArray
) -> Arrays:
    targets: dict[str, Any] = {"part": parts[chosen].astype(np.int32)}
    return Arrays({"features": made.inputs[chosen]}, targets, weights)


def _others(waits: WaitRows, half_life_days: float, horizon_days: int) -> NumpyArray:
    """Chances by part of users the question does not fit, drawn towards those of users it does."""
    weights = ages_weight(waits.rows.as_ofs, half_life_days).astype(np.float64)
    has_happened = parts_of(waits.days, horizon_days)[:, None] <= np.arange(PARTS)
    fits, others = weights * waits.rows.eligible, weights * ~waits.rows.eligible
    usual = fits @ has_happened / max(fits.sum(), 1e-12)
    drawn: NumpyArray = (others @ has_happened + _PRIOR_ROWS * usual) / (others.sum() + _PRIOR_ROWS)
    return drawn
