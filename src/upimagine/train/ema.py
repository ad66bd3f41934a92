"""Exponential moving average of a network's weights; all pictures are made with the average."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def make_average(net: nn.Module) -> nn.Module:
    """A frozen copy to average into."""
    average = copy.deepcopy(net).eval()
    for parameter in average.parameters():
        parameter.requires_grad_(False)
    return average


def ema_beta(batch: int, shown: int, ema_kimg: float, rampup: float) -> float:
    """0.5 ** (batch / half-life), the half-life in pictures being limited to `rampup` of those shown so far.

    Source: NVlabs/stylegan2-ada-pytorch, training_loop.py.
    """
    half_life = min(ema_kimg * 1000, max(shown, 1) * rampup)
    return float(0.5 ** (batch / max(half_life, 1e-8)))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, beta: float) -> None:
    """average <- beta * average + (1 - beta) * net; buffers (batch-norm statistics) are copied."""
    averaged: list[Tensor] = list(average.parameters())
    current = [p.detach() for p in net.parameters()]
    torch._foreach_lerp_(averaged, current, 1 - beta)
    for kept, new in zip(average.buffers(), net.buffers(), strict=True):
        kept.copy_(new)
