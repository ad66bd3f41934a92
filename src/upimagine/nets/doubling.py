"""A DCGAN that works already, made twice as large without forgetting anything (Net2Net, Chen et al. 2015, 1511.05641).

Pose, hair and expression are learned several times faster on small pictures. The doubled generator makes the very
pictures that the small one made, enlarged, and the doubled discriminator sees its pictures shrunk, until training
teaches them more. Both new layers carry the three colours and their negatives through a nonlinearity that keeps one
sign; their other channels are new.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator

_SLOPE = 0.2  # of the discriminator's LeakyReLU
_QUIET = 0.1  # what new channels say at first, as a share of how they were drawn


@torch.no_grad()
def double_generator(small: DcganGenerator, large: DcganGenerator, latents: Tensor) -> None:
    """Fill `large`, of twice the size, so that it makes `small`'s pictures enlarged bilinearly (before the tanh).

    `latents` (N, latent_dim) are a sample from which the new batch norm takes its statistics. Raises ValueError when
    `large` does not go through the same maps: it needs half the width and twice the size.
    """
    old, new = list(small.layers), list(large.layers)
    # ... ConvTranspose2d, BatchNorm2d, ReLU | ConvTranspose2d, Tanh
    _copy(old[:-2], new[:-5])
    colours, norm, out = new[-5], new[-4], new[-2]
    assert isinstance(colours, nn.ConvTranspose2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(out, nn.ConvTranspose2d)
    if colours.out_channels < 6:
        raise ValueError(f"{colours.out_channels} channels are too few to carry colours and their negatives")
    weight = old[-2].weight  # (c, 3, 4, 4)
    assert isinstance(weight, Tensor)
    colours.weight[:, :3], colours.weight[:, 3:6] = weight, -weight
    training = small.training
    plain = nn.Sequential(*old[:-1]).eval()(latents[:, :, None, None])  # (N, 3, s, s) before the tanh
    small.train(training)
    _let_through(norm, plain)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    bilinear = taps[:, None] * taps
    out.weight.mul_(_QUIET)
    out.weight[:6] = 0
    for colour in range(3):
        out.weight[colour, colour], out.weight[3 + colour, colour] = bilinear, -bilinear


@torch.no_grad()
def double_discriminator(small: DcganDiscriminator, large: DcganDiscriminator, pictures: Tensor) -> None:
    """Fill `large`, of twice the size, so that it judges as `small` would judge the same pictures shrunk to half.

    `pictures` (N, 3, 2s, 2s) in [-1, 1] are a sample from which the new batch norm takes its statistics. Raises
    ValueError when `large` does not go through the same maps or has no batch norm.
    """
    old, new = list(small.features), list(large.features)
    # Conv2d, LeakyReLU | Conv2d, BatchNorm2d, LeakyReLU, ...
    _copy(old[2:], new[5:])
    _copy([small.spread, small.head], [large.spread, large.head])
    first, second, norm = new[0], new[2], new[3]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    if not isinstance(norm, nn.BatchNorm2d):
        raise ValueError("only a discriminator with batch norm can be doubled")
    if first.out_channels < 6:
        raise ValueError(f"{first.out_channels} channels are too few to carry colours and their negatives")
    first.weight[:6] = 0
    for colour in range(3):  # the mean of 2x2 pixels, which lie in the middle of the kernel
        first.weight[colour, colour, 1:3, 1:3], first.weight[3 + colour, colour, 1:3, 1:3] = 0.25, -0.25
    weight = old[0].weight  # (c, 3, 4, 4)
    assert isinstance(weight, Tensor)
    second.weight.mul_(_QUIET)
    # LeakyReLU(x) - LeakyReLU(-x) is (1 + slope) x
    second.weight[:, :3], second.weight[:, 3:6] = weight / (1 + _SLOPE), -weight / (1 + _SLOPE)
    seen = second(new[1](first(pictures)))
    norm.running_mean, norm.running_var = seen.mean((0, 2, 3)), seen.var((0, 2, 3))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)


def _let_through(norm: nn.BatchNorm2d, plain: Tensor) -> None:
    """Make the norm an identity for its first six channels, which see `plain` (N, 3, h, w) and its negative."""
    mean, variance = plain.mean((0, 2, 3)), plain.var((0, 2, 3))
    mean, variance = torch.cat((mean, -mean)), torch.cat((variance, variance))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean[:6], norm.running_var[:6] = mean, variance
    norm.weight[:6], norm.bias[:6] = (variance + norm.eps).sqrt(), mean


def _copy(old: list[nn.Module], new: list[nn.Module]) -> None:
    for source, target in zip(old, new, strict=True):
        fitting = {key: value.shape for key, value in target.state_dict().items()}
        if fitting != {key: value.shape for key, value in source.state_dict().items()}:
            raise ValueError("the larger network does not go through the same maps")
        target.load_state_dict(source.state_dict())
