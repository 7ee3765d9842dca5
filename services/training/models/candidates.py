"""Scores of candidate products: a wide and a deep part for each candidate, and one for repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import jax

from services.training.models.layer import (
    Array,
    Carry,
    Field,
    HeadSpec,
    InputSpec,
    Layer,
    LayerList,
    Layout,
    Parameter,
    Step,
    stateless,
)
from services.training.models.parts import dropout, linear
from services.training.models.registry import Example, register


@register("candidates")
@dataclass(frozen=True)
class CandidatesConfig:
    """Reads "features" [candidate, feature], "is_own" [candidate] and "rules" [candidate, head].

    A rule is what a head's score starts from, before anything is learned. All candidates share
    their weights, so a softmax over them is fair to a product never seen. A head of width w scores
    the first w candidates.

    Args:
        width: Numbers in a candidate's hidden row; 0 leaves the deep part out.
        dropout: Share of hidden values dropped in training.
    """

    width: int = 16
    dropout: float = 0.2

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Hidden rows, then heads over them and over the features as they are."""
        features = inputs["features"].shape[1]
        heads_layer = _heads(features, self.width, heads)
        if not self.width:
            return (heads_layer,)
        return (_deep("deep0", features, self), _deep("deep1", self.width, self), heads_layer)

    @classmethod
    def example(cls) -> Example:
        """Four candidates of five features."""
        own, rules = Field("is_own", (4,), "bool"), Field("rules", (4, 2))
        return Example(
            cls(width=48, dropout=0.1), InputSpec((Field("features", (4, 5)), own, rules))
        )


def _deep(name: str, size: int, config: CandidatesConfig) -> Layer:
    layout = Layout(
        (
            Parameter("weight", (size, config.width), scale=sqrt(2.0 / size)),
            Parameter("bias", (config.width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        before = carry.get("hidden", carry["features"])
        hidden = jax.nn.silu(linear(before, p["weight"], p["bias"]))
        return carry | {"hidden": dropout(hidden, config.dropout, step)}

    return stateless(name, layout, apply)


def _heads(features: int, width: int, heads: tuple[HeadSpec, ...]) -> Layer:
    """Starts from the rules alone: all other weights are zero."""
    layout = Layout(
        tuple(
            parameter
            for head in heads
            for parameter in (
                Parameter(f"{head.name}/rule", (1,), fill=1.0),
                Parameter(f"{head.name}/wide", (features, 1)),
                Parameter(f"{head.name}/copy", (features, 1)),
                Parameter(f"{head.name}/copy_bias", (1,)),
                *((Parameter(f"{head.name}/deep", (width, 1)),) if width else ()),
            )
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        rows = carry["features"]
        own = carry["is_own"].astype(rows.dtype)
        said = {}
        for number, head in enumerate(heads):
            ruled = carry["rules"][..., number] * p[f"{head.name}/rule"].reshape(1, 1)
            copied = linear(rows, p[f"{head.name}/copy"], p[f"{head.name}/copy_bias"])[..., 0]
            score = ruled + linear(rows, p[f"{head.name}/wide"])[..., 0] + own * copied
            if width:
                score = score + linear(carry["hidden"], p[f"{head.name}/deep"])[..., 0]
            said[head.name] = score[:, : head.width]
        return said

    return stateless("heads", layout, apply)
