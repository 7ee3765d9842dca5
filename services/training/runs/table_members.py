"""The ensemble of a table or of texts, cross-fitted: networks, straight lines and trees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression

from services.training.engine import Arrays, Fitter, predict_fn
from services.training.evaluation.baselines import Split, fit_at_strength, fit_logistic
from services.training.models import LayerList
from services.training.runs.kept import Fits
from services.training.runs.networks import Listener, MemberRows, fit_networks
from services.training.runs.stacking import fit_bend, fit_stack
from services.training.runs.table_answer import TableShape, pack_table
from services.training.runs.table_config import HEAD, TableRunConfig
from services.training.runs.trees import Trees, fit_trees, trees_logit
from shared.dataset.tables import TableRows

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

GROUPS = 5
"""Parts that rows are cut into; a member is fitted without one of them and judged on it."""

_TEXT_STRENGTH = 4.0
"""C of straight lines over terms: best of 1, 3, 4 and 5 in cross-validations of reviews."""

_ROWS_A_CALL = 2_048


class Reading(Protocol):
    """How rows are read, as fitted on some of them."""

    @property
    def size(self) -> int:
        """Inputs of a model, or words that are told apart."""

    @property
    def weights(self) -> Mapping[str, NumpyArray]:
        """Arrays of the program."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """What brings rows to the program's inputs, for the version."""

    def raw(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What the program takes."""

    def network(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What a network is fitted to."""

    def design(self, rows: TableRows) -> Any:
        """What straight lines are fitted to."""

    def branches(self, rows: TableRows) -> NumpyArray | None:
        """What trees are grown on; None where none are."""


@dataclass(frozen=True)
class TableFitted:
    """A calibrated ensemble."""

    shape: TableShape
    weights: Mapping[str, NumpyArray]
    reading: Reading
    best_epochs: tuple[int, ...]

    @property
    def stack(self) -> Mapping[str, float]:
        """What each voice counts."""
        weights = self.weights["stack/weights"]
        return {voice: float(w) for voice, w in zip(self.shape.voices, weights, strict=False)}


def objective(outputs: dict[str, Array], wanted: dict[str, Array], weights: Array) -> Array:
    """Cross-entropy of each row's answer, times its weight."""
    logit = outputs[HEAD][:, 0]
    return (jnp.logaddexp(0.0, logit) - wanted["label"] * logit) * weights


def groups_within(rows: TableRows) -> NumpyArray:
    """The part of each row; rows that stay together are in one."""
    found, place = np.unique(rows.groups, return_inverse=True)
    # Another choice than that of the folds, which also goes by the groups' hashes.
    order = np.argsort((found * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11), kind="stable")
    part_of = np.empty(len(found), np.int64)
    part_of[order] = np.arange(len(found)) % GROUPS
    part: NumpyArray = part_of[place]
    return part


def fit_table_members(
    rows: TableRows,
    reading: Reading,
    layers: LayerList,
    fitter: Fitter,
    config: TableRunConfig,
    *,
    name: str,
    fits: Fits,
    listener: Listener,
) -> TableFitted:
    """Fit an ensemble to rows and calibrate it on what each member left out.

    Args:
        rows: To fit to.
        reading: Fitted on these rows.
        layers: Of each network.
        fitter: Of these layers.
        config: All choices of the run.
        name: First part of the names of the fits.
        fits: Carries out the fits of networks.
        listener: Hears how they go.
    """
    group, design = groups_within(rows), reading.design(rows)
    inputs = reading.network(rows)
    lengths = inputs["mask"].sum(axis=1).astype(np.int32) if "mask" in inputs else None

    def arrays(chosen: NumpyArray) -> Arrays:
        return Arrays(
            {each: value[chosen] for each, value in inputs.items()},
            {"label": rows.labels[chosen].astype(np.float32)},
            lengths=None if lengths is None else lengths[chosen],
            sequences=() if lengths is None else ("tokens", "mask"),
        )

    def rows_of(number: int) -> MemberRows:
        seed = config.seed * 1000 + number
        return MemberRows(arrays(group != number), arrays(group == number), seed)

    results = fit_networks(fitter, rows_of, config.members, name=name, fits=fits, listener=listener)
    lines = _lines(design, rows.labels, group, config)
    grown_on = reading.branches(rows)
    trees = [
        fit_trees(grown_on[group != number], rows.labels[group != number], config.seed + number)
        for number in range(config.members)
        if grown_on is not None
    ]
    networks = [{k: np.asarray(v) for k, v in result.parameters.items()} for result in results]
    voices = np.zeros((len(rows), 3 if trees else 2))
    for number in range(config.members):
        out = group == number
        voices[out, 0] = _network_logits(layers, networks[number], inputs, out)
        voices[out, 1] = design[out] @ lines[number][:-1] + lines[number][-1]
        if grown_on is not None:
            voices[out, 2] = _tree_logits(trees[number], grown_on[out])
    judged = group < config.members
    stack = fit_stack(voices[judged], rows.labels[judged])
    bend = fit_bend(voices[judged] @ stack[:-1] + stack[-1], rows.labels[judged])
    return TableFitted(
        shape=TableShape(
            layers,
            config.members,
            reading.size,
            config.is_text,
            tuple(each.depth for each in trees),
        ),
        weights=pack_table(
            networks,
            np.mean(lines, axis=0),
            [each.weights for each in trees],
            reading.weights,
            stack,
            bend,
        ),
        reading=reading,
        best_epochs=tuple(result.best_epoch for result in results),
    )


def line_over_terms(design: Any, labels: NumpyArray) -> NumpyArray:
    """Coefficients of a logistic regression over the weights of terms, the intercept last."""
    line = LogisticRegression(C=_TEXT_STRENGTH, solver="liblinear", max_iter=500)
    line.fit(design, labels)
    return np.append(line.coef_[0], line.intercept_[0])


def _lines(
    design: Any, labels: NumpyArray, group: NumpyArray, config: TableRunConfig
) -> list[NumpyArray]:
    kept = [group != number for number in range(GROUPS)]
    if config.is_text:
        return [line_over_terms(design[each], labels[each]) for each in kept]
    strength = fit_logistic(design, labels, [Split(fit=kept[0], judge=~kept[0])]).strength
    lines = [fit_at_strength(design[each], labels[each], strength) for each in kept]
    return [np.append(each.coefficients, each.intercept) for each in lines]


def _network_logits(
    layers: LayerList, weights: Mapping[str, Any], inputs: Mapping[str, NumpyArray], out: NumpyArray
) -> NumpyArray:
    run = jax.jit(predict_fn(layers))
    places, said = np.flatnonzero(out), []
    for start in range(0, len(places), _ROWS_A_CALL):
        few = places[start : start + _ROWS_A_CALL]
        # Filled up with its own rows, so that all calls share one compiled program.
        full = np.resize(few, _ROWS_A_CALL)
        outputs = run(dict(weights), {name: value[full] for name, value in inputs.items()})
        said.append(np.asarray(outputs[HEAD])[: len(few), 0])
    return np.concatenate(said)


def _tree_logits(trees: Trees, inputs: NumpyArray) -> NumpyArray:
    run = jax.jit(trees_logit, static_argnums=2)
    return np.asarray(run(trees.weights, inputs, trees.depth))
