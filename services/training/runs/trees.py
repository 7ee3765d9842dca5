"""Gradient-boosted trees as arrays: grown by scikit-learn, walked by the exported program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Trees:
    """Binary trees of a boosted logit.

    Attributes:
        feature: int32 [tree, node], the input that a node asks for.
        threshold: float32 [tree, node]; inputs up to it go left.
        children: int32 [tree, node, 2], left and right; a leaf is its own child.
        value: float32 [tree, node], what a leaf adds to the logit.
        start: The logit before any tree.
        depth: Questions on the longest way to a leaf.
    """

    feature: NumpyArray
    threshold: NumpyArray
    children: NumpyArray
    value: NumpyArray
    start: float
    depth: int

    @property
    def weights(self) -> Mapping[str, NumpyArray]:
        """The arrays by name, for the program; its loop takes the depth from the last one."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "children": self.children,
            "value": self.value,
            "start": np.array([self.start], np.float32),
        }


def boosted(seed: int) -> HistGradientBoostingClassifier:
    """The trees that do best over the shipped tables: large leaves, random inputs."""
    return HistGradientBoostingClassifier(
        learning_rate=0.03,
        max_iter=200,
        max_leaf_nodes=16,
        min_samples_leaf=60,
        l2_regularization=10.0,
        max_features=0.5,
        early_stopping=False,
        random_state=seed,
    )


def fit_trees(inputs: NumpyArray, labels: NumpyArray, seed: int) -> Trees:
    """Grow trees on rows of finite inputs."""
    # Nodes are small: threads that wait for one another took fifteen times as long.
    with threadpool_limits(1):
        model = boosted(seed).fit(inputs, labels)
    # The library gives its trees out by no public way; a test holds these to its predictions.
    nodes = [each[0].nodes for each in model._predictors]
    size = max(map(len, nodes))
    shape = (len(nodes), size)
    feature, threshold = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    value, children = np.zeros(shape, np.float32), np.zeros((*shape, 2), np.int32)
    for number, tree in enumerate(nodes):
        count, is_leaf = len(tree), tree["is_leaf"].astype(bool)
        own = np.arange(count)
        feature[number, :count] = np.where(is_leaf, 0, tree["feature_idx"])
        threshold[number, :count] = np.where(is_leaf, 0.0, tree["num_threshold"])
        children[number, :count, 0] = np.where(is_leaf, own, tree["left"])
        children[number, :count, 1] = np.where(is_leaf, own, tree["right"])
        value[number, :count] = tree["value"]
    return Trees(
        feature=feature,
        threshold=threshold,
        children=children,
        value=value,
        start=float(np.ravel(model._baseline_prediction)[0]),
        depth=max(int(tree["depth"].max()) for tree in nodes),
    )


def trees_logit(weights: Mapping[str, Any], inputs: Array, depth: int) -> Array:
    """The logit that trees add up to: [row].

    Args:
        weights: Those of `Trees`.
        inputs: float32 [row, input].
        depth: Of the deepest tree.
    """
    trees = jnp.arange(weights["feature"].shape[0], dtype=jnp.int32)[None, :]
    node = jnp.zeros((inputs.shape[0], weights["feature"].shape[0]), jnp.int32)
    for _ in range(depth):
        asked = jnp.take_along_axis(inputs, weights["feature"][trees, node], axis=1)
        side = (asked > weights["threshold"][trees, node]).astype(jnp.int32)
        node = weights["children"][trees, node, side]
    total: Array = weights["value"][trees, node].sum(axis=1) + weights["start"]
    return total
