"""Compiled kernels that training uses where they were built; without them it uses plain JAX."""

from services.training.kernels.convolution import convolve_and_pool, fits
from services.training.kernels.products import multiplies, multiply

__all__ = ["convolve_and_pool", "fits", "multiplies", "multiply"]
