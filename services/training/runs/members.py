"""The ensemble: networks and straight lines cross-fitted over groups of users, the customer-base
models beside them; then calibrated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays, EpochReport, Fitter, Pace
from services.training.runs import heads
from services.training.runs.answer import (
    BaseRates,
    Network,
    blend,
    customer_base,
    located,
    member_outputs,
    pack,
)
from services.training.runs.calibration import Calibration, quantile
from services.training.runs.config import RunConfig
from services.training.runs.correcting import UNCALIBRATED, HeldOut, calibrate, windows_of
from services.training.runs.ensemble import Limits, ensemble_rows
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.leaks import require_apart
from services.training.runs.linear import fit_linear
from services.training.runs.networks import Listener, MemberRows, fit_networks
from services.training.runs.pretraining import pretrained
from services.training.runs.returning import fit_returning
from services.training.runs.rows import NumpyArray, Rows, ages_weight
from services.training.runs.scaling import Scaling, scale_rows
from services.training.runs.timing import Sample

OnEpoch = Callable[[int, EpochReport], None]

_PRIOR_ROWS = 20.0
"""Weight of the eligible users' rate in that of users the question does not fit."""

_MOST_LEVEL = 0.95


@dataclass(frozen=True)
class Fitted:
    """A calibrated ensemble: its shape, its numbers, and what they were fitted with."""

    network: Network
    weights: Mapping[str, NumpyArray]
    scaling: Scaling
    base: BaseRates
    best_epochs: tuple[int, ...]


def fit_members(
    rows: Rows,
    limits: Limits,
    config: RunConfig,
    *,
    horizon_days: int,
    on_epoch: OnEpoch = lambda _member, _report: None,
    on_fitted: Callable[[int], None] = lambda _member: None,
    on_pace: Callable[[Pace], None] = lambda _pace: None,
    fits: Fits | None = None,
    name: str = "member",
) -> Fitted:
    """Fit an ensemble to rows; each member leaves out one group of users and is judged on it.

    Args:
        rows: All rows; ineligible ones give base rates.
        limits: Between the value segments.
        config: All choices of the run.
        horizon_days: Length of a label window.
        on_epoch: Hears each epoch of each member, from several threads.
        on_fitted: Hears of each member that is fitted, from several threads.
        on_pace: Hears how fast members go, from several threads.
        fits: Carries out the fits of members.
        name: First part of the names of these fits.

    Raises:
        FailedPreconditionError: There are too few rows, or too few of one kind.
    """
    made = ensemble_rows(rows, config)
    fitted, inputs, group, weights = made.rows, made.inputs, made.group, made.weights
    require_apart(fitted.user_keys, group)
    scale = made.spend_scale
    run = jax.jit(member_outputs(made.layers, jnp.array([scale.centre, scale.spread, scale.most])))
    fits = fits or FreshFits()

    def rows_of(number: int) -> MemberRows:
        learned = partial(pretrained, made, number)
        return MemberRows(made.train(number), made.valid(number), made.seed(number), learned)

    linear = fit_linear(
        inputs,
        fitted,
        group,
        count=config.members,
        horizon_days=horizon_days,
        most_rows=config.most_rows,
    )
    returning = fit_returning(fitted)
    results = fit_networks(
        Fitter(made.layers, heads.objective, made.fit_config),
        rows_of,
        config.members,
        name=name,
        fits=fits,
        listener=Listener(on_epoch, on_pace, on_fitted),
    )
    members: list[Mapping[str, Any]] = [_numpy(result.parameters) for result in results]
    unseen: dict[str, NumpyArray] = {}
    most = int(np.bincount(group).max())
    for number, member in enumerate(members):
        out = group == number
        for name, value in run(member, inputs[_resized(out, most)]).items():
            unseen.setdefault(name, np.zeros(len(fitted)))[out] = np.asarray(value)[: out.sum(), 0]
        unseen.setdefault("straight", np.zeros(len(fitted)))[out] = linear.logits(
            inputs[out], number
        )

    history = fitted.history if returning is not None else ()
    network = Network(made.layers, config.members, made.scaling.flagged, horizon_days, history)
    base = base_rates(rows, limits, config.half_life_days)

    def packed(calibration: Calibration) -> Mapping[str, NumpyArray]:
        return pack(
            members, linear.mean(), made.scaling, scale, returning, limits, calibration, base
        )

    by_base = jax.jit(partial(customer_base, network))(dict(packed(UNCALIBRATED)), inputs)
    said = HeldOut(
        logit=blend(unseen["active"], unseen["straight"]),
        base=None if by_base is None else by_base[0],
        windows=windows_of(fitted.as_ofs, horizon_days),
        location=located(unseen["location"], None if by_base is None else by_base[1]),
        spread=unseen["spread"],
    )
    return Fitted(
        network=network,
        weights=packed(calibrate(said, fitted.spend, limits, scale.most, weights)),
        scaling=made.scaling,
        base=base,
        best_epochs=tuple(result.best_epoch for result in results),
    )


def sample_of(fitted: Fitted, rows: Rows, config: RunConfig) -> Sample:
    """A batch of these rows for a member's layers."""
    size = config.fit_config(min(int(rows.eligible.sum()), config.most_rows)).batch_size
    few = rows.where(np.arange(len(rows)) < size)
    targets = heads.targets(few.spend, heads.fit_spend_scale(rows.spend))
    inputs = {"features": scale_rows(few.features, fitted.scaling)}
    return Sample(fitted.network.layers, heads.objective, Arrays(inputs, targets))


def base_rates(rows: Rows, limits: Limits, half_life_days: float) -> BaseRates:
    """Rates of users the question does not fit, drawn towards those of users it does.

    Rows count the less the older they are, as in training.
    """
    weights = ages_weight(rows.as_ofs, half_life_days).astype(np.float64)
    fits, others = weights * rows.eligible, weights * ~rows.eligible
    total = others.sum() + _PRIOR_ROWS

    def drawn(values: NumpyArray) -> float:
        usual = np.average(values, weights=fits)
        return float(((others * values).sum() + _PRIOR_ROWS * usual) / total)

    classes = heads.segments(rows.spend, limits)
    shares = np.bincount(classes, weights=fits, minlength=4)[1:] + 1.0
    drawn_weights = others / total + fits / max(fits.sum(), 1e-12) * _PRIOR_ROWS / total
    most = quantile(rows.spend, drawn_weights, _MOST_LEVEL)
    return BaseRates(drawn(rows.is_active), drawn(rows.spend), shares / shares.sum(), most)


def _resized(mask: NumpyArray, size: int) -> NumpyArray:
    """Places of a mask, repeated up to a size, so that all groups run in one compiled program."""
    places: NumpyArray = np.resize(np.flatnonzero(mask), size)
    return places


def _numpy(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in weights.items()}
