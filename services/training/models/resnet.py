"""ResNet-50 (He et al., 2015): bottleneck blocks with batch normalisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Literal

import jax
import jax.numpy as jnp

from services.training.models.convolution import by_platform, convolve, convolve_plain, pool_3x3
from services.training.models.heads import linear_heads
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
)
from services.training.models.parts import centred
from services.training.models.registry import Example, register

EXPANSION = 4
EPSILON = 1e-5

_Apply = Callable[[int, Array], Array]
"""Applies the layer's unit of that number."""

_Run = Callable[[_Apply, Carry], Carry]


@register("resnet50")
@dataclass(frozen=True)
class ResNet50Config:
    """A stem, 3 + 4 + 6 + 3 bottleneck blocks, heads; over "images" [height, width, channel].

    Args:
        stem: "large" is the original 7x7 stem that shrinks images four times; "small" is a 3x3
            stem that does not, for images of 32x32 and so.
        width: Channels after the stem.
        blocks: Bottleneck blocks of each stage; every stage but the first halves the image.
    """

    stem: Literal["large", "small"] = "large"
    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Each block is one layer."""
        layers = [_stem(inputs["images"].shape[-1], self.width, self.stem)]
        channels = self.width
        for stage, count in enumerate(self.blocks):
            inner = self.width * 2**stage
            for number in range(count):
                stride = 2 if stage and not number else 1
                layers.append(_block(f"stage{stage}_block{number}", channels, inner, stride))
                channels = inner * EXPANSION
        return (*layers, linear_heads(channels, heads, _pooled, scale=0.01))

    @classmethod
    def example(cls) -> Example:
        """Two stages of one narrow block over 8x8 images."""
        config = cls(stem="small", width=4, blocks=(1, 1))
        return Example(config, InputSpec((Field("images", (8, 8, 3)),)))


@dataclass(frozen=True)
class _Unit:
    """A convolution and its batch normalisation: their place in the layer's vectors."""

    name: str
    k: int
    stride: int
    channels: int
    out: int

    def parameters(self) -> tuple[Parameter, ...]:
        rows = self.k * self.k * self.channels
        return (
            Parameter(f"{self.name}/weight", (rows, self.out), scale=sqrt(2.0 / rows)),
            Parameter(f"{self.name}/scale", (self.out,), fill=1.0),
            Parameter(f"{self.name}/shift", (self.out,)),
        )

    def state(self) -> tuple[Parameter, ...]:
        return (
            Parameter(f"{self.name}/mean", (self.out,)),
            Parameter(f"{self.name}/variance", (self.out,), fill=1.0),
        )

    def __call__(
        self, x: Array, p: Mapping[str, Array], state: Mapping[str, Array], step: Step
    ) -> tuple[Array, list[Array]]:
        gemm = partial(convolve, k=self.k, stride=self.stride)
        plain = partial(convolve_plain, k=self.k, stride=self.stride)
        weight = p[f"{self.name}/weight"]
        y = by_platform(step, gemm, plain)(centred(x, weight.dtype), weight)
        mean, variance = state[f"{self.name}/mean"], state[f"{self.name}/variance"]
        if step.is_training:
            wide = y.astype(jnp.promote_types(y.dtype, jnp.float32))
            mean = wide.mean((0, 1, 2))
            variance = jnp.maximum(jnp.square(wide).mean((0, 1, 2)) - jnp.square(mean), 0.0)
        scale = p[f"{self.name}/scale"] * jax.lax.rsqrt(variance + EPSILON)
        shift = p[f"{self.name}/shift"] - mean * scale
        rows = (1, 1, 1, self.out)
        normal = y * scale.astype(y.dtype).reshape(rows) + shift.astype(y.dtype).reshape(rows)
        return normal, [mean, variance]


def _layer(name: str, units: tuple[_Unit, ...], run: _Run) -> Layer:
    layout = Layout(tuple(p for unit in units for p in unit.parameters()))
    states = Layout(tuple(p for unit in units for p in unit.state()))

    def apply(flat: Array, state: Array, carry: Carry, step: Step) -> tuple[Carry, Array]:
        known, p = states.unpack(state), layout.unpack(flat)
        seen: list[Array] = []

        def unit(number: int, x: Array) -> Array:
            y, statistics = units[number](x, p, known, step)
            seen.extend(statistics)
            return y

        out = run(unit, carry)
        return out, jnp.concatenate(seen).astype(state.dtype)

    return Layer(name, layout, apply, states)


def _stem(channels: int, width: int, kind: str) -> Layer:
    k, stride = (7, 2) if kind == "large" else (3, 1)

    def run(unit: _Apply, carry: Carry) -> Carry:
        x = jax.nn.relu(unit(0, carry["images"]))
        return {"hidden": pool_3x3(x) if kind == "large" else x}

    return _layer("stem", (_Unit("a", k, stride, channels, width),), run)


def _block(name: str, channels: int, inner: int, stride: int) -> Layer:
    out = inner * EXPANSION
    units = [
        _Unit("a", 1, 1, channels, inner),
        _Unit("b", 3, stride, inner, inner),
        _Unit("c", 1, 1, inner, out),
    ]
    if stride > 1 or channels != out:
        units.append(_Unit("shortcut", 1, stride, channels, out))

    def run(unit: _Apply, carry: Carry) -> Carry:
        x = carry["hidden"]
        y = unit(2, jax.nn.relu(unit(1, jax.nn.relu(unit(0, x)))))
        return {"hidden": jax.nn.relu(y + (unit(3, x) if len(units) > 3 else x))}

    return _layer(name, tuple(units), run)


def _pooled(carry: Carry) -> Array:
    return carry["hidden"].mean((1, 2))
