"""How much arithmetic a growing network does at a size, counted without doing it."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from upimagine.nets.pggan import PgganDiscriminator, PgganGenerator


def arithmetic(generator: PgganGenerator, discriminator: PgganDiscriminator, size_px: int) -> float:
    """Floating-point operations for one picture of this size to be made and judged; backward passes go by these."""
    # On torch's meta device tensors have shapes and no content.
    nets = [copy.deepcopy(net).to("meta") for net in (generator, discriminator)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        nets[0](torch.empty(4, generator.latent_dim, device="meta"), size_px, 1.0)
        nets[1](torch.empty(4, 3, size_px, size_px, device="meta"), 1.0)
    return float(counter.get_total_flops()) / 4
