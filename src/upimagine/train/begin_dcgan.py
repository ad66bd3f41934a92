"""Begin a DCGAN with a model of its size, or of half its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from upimagine.data.folder import to_float
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file
from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.nets.doubling import double_discriminator, double_generator
from upimagine.train.begin import begin_with, origin_of

_SEEN_WHEN_DOUBLING = 256  # pictures that set the new batch norm


def begin_dcgan(
    path: Path,
    generator: DcganGenerator | BeganGenerator,
    discriminator: DcganDiscriminator | BeganAutoencoder,
    pictures: list[Tensor],
) -> dict[str, Any]:
    """Take the weights of a model of the same size, or of half the size, which is doubled."""
    model = load_model_file(path)
    small, critic = model.main, model.critic
    large = generator if isinstance(generator, DcganGenerator) else None
    if not isinstance(small, DcganGenerator) or large is None or 2 * small.size_px != large.size_px:
        return begin_with(path, generator, discriminator)
    norm = discriminator.config["norm"] if isinstance(discriminator, DcganDiscriminator) else "none"
    if not isinstance(discriminator, DcganDiscriminator) or norm not in ("batch", "batch-own"):
        raise UpimagineError(
            f"--init-from {path} makes {small.size_px} px pictures and can only be doubled beside a discriminator with "
            f"batch norm, not with {norm}: use a model of {large.size_px} px or another --objective or --norm"
        )
    if large.config["norm"] != "batch" or small.config["norm"] != "batch":
        raise UpimagineError(
            f"--init-from {path} makes {small.size_px} px pictures and can only be doubled with --generator-norm batch"
        )
    try:
        double_generator(small, large, torch.randn(_SEEN_WHEN_DOUBLING, small.latent_dim))
        if isinstance(critic, DcganDiscriminator):
            double_discriminator(critic, discriminator, to_float(torch.stack(pictures[:_SEEN_WHEN_DOUBLING])))
    except (ValueError, RuntimeError) as error:
        width = int(small.config["width"] or 0)
        raise UpimagineError(
            f"--init-from {path} makes {small.size_px} px pictures with a width of {width}: doubling it needs --width "
            f"{width // 2} (at least 6) and the other settings it was made with"
        ) from error
    return origin_of(model)
