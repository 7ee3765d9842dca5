"""Probabilistic models of a customer base: who comes back, how often, and for how much."""

from services.training.customer_base.bg_nbd import BgNbd, fit_bg_nbd
from services.training.customer_base.gamma_gamma import GammaGamma, fit_gamma_gamma
from services.training.customer_base.histories import Histories

__all__ = ["BgNbd", "GammaGamma", "Histories", "fit_bg_nbd", "fit_gamma_gamma"]
