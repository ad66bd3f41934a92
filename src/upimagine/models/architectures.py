"""The architectures that a model file may name. A dict, so that a file can never name anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.nets.enhance import EnhanceGan
from upimagine.nets.fastgan import FastganDiscriminator, FastganGenerator
from upimagine.nets.jnet import JNet, JNetDiscriminator
from upimagine.nets.pggan import PgganDiscriminator, PgganGenerator
from upimagine.nets.pix2pix import PatchDiscriminator, UNet
from upimagine.nets.stack import StackGenerator

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "began": BeganGenerator,
    "began-autoencoder": BeganAutoencoder,
    "dcgan": DcganGenerator,
    "dcgan-discriminator": DcganDiscriminator,
    "enhance": EnhanceGan,
    "fastgan": FastganGenerator,
    "fastgan-discriminator": FastganDiscriminator,
    "jnet": JNet,
    "jnet-discriminator": JNetDiscriminator,
    "patch-discriminator": PatchDiscriminator,
    "pggan": PgganGenerator,
    "pggan-discriminator": PgganDiscriminator,
    "stack": StackGenerator,
    "unet": UNet,
}


def architecture_of(net: nn.Module) -> tuple[str, dict[str, Any]]:
    """The name and configuration under which this network can be built again."""
    for name, kind in ARCHITECTURES.items():
        if type(net) is kind:
            return name, dict(net.config)  # type: ignore[arg-type]
    raise ValueError(f"{type(net).__name__} has no name in ARCHITECTURES")
