"""What a J-net and its discriminator are told: every term of the two losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.losses.feature_matching import feature_matching
from upimagine.losses.laplacian import laplacian_l1
from upimagine.losses.low_res import low_res_l1
from upimagine.nets.jnet import SCALE, JNetDiscriminator
from upimagine.train.upres_settings import UpresSettings

_WARMUP_L1_WEIGHT = 10.0
Told = tuple[Tensor, dict[str, Tensor]]
"""A scalar to minimise and numbers to plot."""


class UpresTerms:
    """The losses of a step. Made tiles may outnumber the truths: those behind have no truth, since an earlier stage
    invented their low-res tiles, and are judged by the discriminator and held to those tiles alone."""

    def __init__(self, settings: UpresSettings, discriminator: JNetDiscriminator, perceptual: nn.Module | None) -> None:
        self._settings, self._discriminator, self._perceptual = settings, discriminator, perceptual

    def discriminator(self, high: Tensor, low: Tensor, fake: Tensor, fake_low: Tensor) -> Told:
        """Truths (N, 3, 8w, 8w) of low-res tiles (N, C, w, w) against made ones (M, 3, 8w, 8w) of (M, C, w, w).

        A share of what it shall call false may be truths beside low-res tiles of others (Zhang et al. 2016, 1612.03242:
        the matching-aware discriminator). Raises UpimagineError for a batch of one, which has no others.
        """
        judge, share = self._discriminator, self._settings.mismatch_share
        real_logits, fake_logits = judge(high, low), judge(fake.detach(), fake_low)
        plotted = {"real": real_logits.float().mean(), "fake": fake_logits.float().mean()}
        if share > 0:
            if len(low) < 2:
                raise UpimagineError("--mismatch-share needs --batch 2 or more: a tile is mismatched with another one")
            wrong_logits = judge(high, low.roll(1, 0))
            loss = (
                F.softplus(-real_logits.float()).mean()
                + (1 - share) * F.softplus(fake_logits.float()).mean()
                + share * F.softplus(wrong_logits.float()).mean()
            )
            plotted["mismatched"] = wrong_logits.float().mean()
        else:
            loss = non_saturating_discriminator(real_logits, fake_logits)
        return loss, {"loss": loss} | plotted

    def generator(self, high: Tensor, fake: Tensor, fake_low: Tensor, warming: bool) -> Told:
        """Fidelity to the pooled truth, whatever else is asked for against the truth, and the adversarial term; a
        plain L1 in place of the last while warming up."""
        s, paired = self._settings, fake[: len(high)]
        fidelity = _fidelity(high, fake, fake_low)
        loss = s.low_res_weight * fidelity
        plotted = {"low_res_l1": fidelity}
        if self._perceptual is not None:
            plotted["perceptual"] = self._perceptual(paired, high)
            loss = loss + s.perceptual_weight * plotted["perceptual"]
        if s.l1_weight > 0:
            plotted["l1"] = (paired.float() - high).abs().mean()
            loss = loss + s.l1_weight * plotted["l1"]
        if any(s.laplacian_weights):
            plotted["laplacian"] = laplacian_l1(paired, high, s.laplacian_weights)
            loss = loss + plotted["laplacian"]
        if warming:
            return loss + _WARMUP_L1_WEIGHT * (paired.float() - high).abs().mean(), plotted
        maps = self._discriminator.features(fake, fake_low)
        plotted["adversarial"] = non_saturating_generator(self._discriminator.head(maps[-1]))
        loss = loss + s.gan_weight * plotted["adversarial"]
        if s.feature_matching_weight > 0:
            with torch.no_grad():
                true = self._discriminator.features(high, fake_low[: len(high)])
            plotted["feature_matching"] = feature_matching([each[: len(high)] for each in maps], true)
            loss = loss + s.feature_matching_weight * plotted["feature_matching"]
        return loss, plotted


def _fidelity(high: Tensor, fake: Tensor, fake_low: Tensor) -> Tensor:
    """The low-res L1, against the pooled truth where there is one, elsewhere against the tile that was given."""
    if len(fake) == len(high):
        return low_res_l1(fake, high)
    given = fake_low[len(high) :, :3].float()
    wanted = torch.cat((F.avg_pool2d(high.float(), SCALE), given))
    return (F.avg_pool2d(fake.float(), SCALE) - wanted).abs().mean()
