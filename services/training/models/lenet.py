"""LeNet-5 (LeCun et al., 1998) for small images, with ReLU and max-pooling."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod, sqrt

import jax
import jax.numpy as jnp

from services.training import kernels
from services.training.models.convolution import (
    by_platform,
    convolve_and_pool,
    convolve_and_pool_plain,
)
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
from services.training.models.parts import centred, dropout
from services.training.models.registry import Example, register
from shared.errors import InvalidArgumentError

KERNEL = 5


@register("lenet5")
@dataclass(frozen=True)
class LeNet5Config:
    """Two convolutions with pooling, two dense layers, heads; over "images".

    Images are [height, width, channel], bytes or numbers from -1 to 1. Inside the model a batch is
    channel-major, [channel, height, width, batch]: the layout in which both the convolutions and
    the dense layers are plain matrix products.

    Args:
        filters: Channels after each convolution.
        dense: Widths of the dense layers.
        dropout: Share of values dropped before each dense layer in training.
    """

    filters: tuple[int, ...] = (6, 16)
    dense: tuple[int, ...] = (120, 84)
    dropout: float = 0.0

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Convolutions, dense layers, heads.

        Raises:
            InvalidArgumentError: The images cannot be halved as often as there are convolutions.
        """
        height, width, channels = inputs["images"].shape
        layers = []
        for number, filters in enumerate(self.filters):
            padding = KERNEL // 2 if number == 0 else 0
            height, width = (_halved(size, padding) for size in (height, width))
            layers.append(_convolution(number, channels, filters, padding))
            channels = filters
        size = prod((channels, height, width))
        for number, wide in enumerate(self.dense):
            layers.append(_dense(f"dense{number}", size, wide, self.dropout))
            size = wide
        return (*layers, _heads(size, heads))

    @classmethod
    def example(cls) -> Example:
        """A narrow one over 12x12 images of two channels."""
        images = InputSpec((Field("images", (12, 12, 2)),))
        return Example(cls(filters=(4, 6), dense=(16, 12)), images)


def _halved(size: int, padding: int) -> int:
    left = size + 2 * padding - KERNEL + 1
    if left < 2 or left % 2:
        raise InvalidArgumentError(
            f"images: a side of {size} leaves {left} to pool in pairs; use sides that are "
            "multiples of 4, at least 12",
            reason="IMAGE_SIZE_INVALID",
            size=size,
        )
    return left // 2


def _convolution(number: int, channels: int, filters: int, padding: int) -> Layer:
    fan_in = channels * KERNEL * KERNEL
    layout = Layout(
        (
            Parameter("weight", (filters, channels, KERNEL, KERNEL), scale=sqrt(2.0 / fan_in)),
            Parameter("bias", (filters,)),
        )
    )
    compiled = partial(kernels.convolve_and_pool, padding=padding)
    gemm = partial(convolve_and_pool, padding=padding)
    plain = partial(convolve_and_pool_plain, padding=padding)

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        dtype = p["weight"].dtype
        x = carry["hidden"] if number else centred(carry["images"], dtype).transpose(3, 1, 2, 0)
        trains_compiled = step.is_training and kernels.fits(x, p["weight"])
        form = compiled if trains_compiled else by_platform(step, gemm, plain)
        return {"hidden": form(x, p["weight"], p["bias"])}

    return stateless(f"convolution{number}", layout, apply)


def _dense(name: str, size: int, width: int, rate: float) -> Layer:
    layout = Layout(
        (
            Parameter("weight", (width, size), scale=sqrt(2.0 / size)),
            Parameter("bias", (width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden = carry["hidden"]
        flat = dropout(hidden.reshape(size, hidden.shape[-1]), rate, step)
        return {"hidden": jax.nn.relu(p["weight"] @ flat + p["bias"][:, None])}

    return stateless(name, layout, apply)


def _heads(size: int, heads: tuple[HeadSpec, ...]) -> Layer:
    layout = Layout(
        tuple(
            parameter
            for head in heads
            for parameter in (
                Parameter(f"{head.name}/weight", (head.width, size), scale=sqrt(1.0 / size)),
                Parameter(f"{head.name}/bias", (head.width,)),
            )
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        return {
            head.name: jnp.transpose(
                p[f"{head.name}/weight"] @ carry["hidden"] + p[f"{head.name}/bias"][:, None]
            )
            for head in heads
        }

    return stateless("heads", layout, apply)
