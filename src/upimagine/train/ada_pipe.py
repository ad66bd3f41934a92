"""The changes that ADA makes to pictures: flips, turns, shifts, scales and colours, each by chance, differentiable.

The "bgc" pipe of Karras et al. 2020 (2006.06676), with the strengths of stylegan2-ada, training/augment.py. All
geometry of a picture is one 3x3 matrix and all colour one 4x4 matrix, so that it is drawn anew once however much
happens to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from upimagine.train.warp import warp

_SHIFT, _SCALE, _STRETCH, _FINE_SHIFT = 0.125, 0.2, 0.2, 0.125  # shares of the side and deviations of log2
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.5, 1.0  # a deviation in [-1, 1], and deviations of log2


def ada_augment(pictures: Tensor, chance: float) -> Tensor:
    """(N, 3, H, W) in [-1, 1] to the same shape, each change made to each picture with this chance (torch's global
    random numbers). Pictures to which nothing happens come back bit for bit; colours may leave [-1, 1]."""
    count, _, height, width = pictures.shape
    with torch.autocast(pictures.device.type, enabled=False):
        pictures = pictures.float()
        pictures = _where_changed(pictures, draw_geometry(count, chance, height, width, pictures.device), warp)
        return _where_changed(pictures, draw_colours(count, chance, pictures.device), recolour)


def recolour(pictures: Tensor, matrices: Tensor) -> Tensor:
    """(N, 3, H, W) with every colour (r, g, b, 1) sent through the picture's own (4, 4) matrix."""
    return (matrices[:, :3, :3] @ pictures.flatten(2) + matrices[:, :3, 3:]).view_as(pictures)


def _where_changed(pictures: Tensor, matrices: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Leave alone, exactly and at no cost, the pictures whose matrix is the identity."""
    unchanged = torch.eye(matrices.shape[1], device=matrices.device)
    which = (matrices != unchanged).flatten(1).any(dim=1).nonzero().squeeze(1)
    if len(which) == 0:
        return pictures
    return pictures.index_copy(0, which, change(pictures[which], matrices[which]))


def draw_geometry(count: int, chance: float, height: int, width: int, device: torch.device) -> Tensor:
    """(count, 3, 3): where each place (x, y, 1) of the result comes from, in pixels from the centre."""

    def some(drawn: Tensor, neutral: float, chance: float = chance) -> Tensor:
        return torch.where(torch.rand(count, device=device) < chance, drawn, neutral)

    def share(drawn: Tensor) -> tuple[Tensor, Tensor]:
        right, down = some(torch.ones(count, device=device), 0.0) * drawn
        return right * width, down * height

    # Turned before and after stretching, so that it is stretched in any direction; together with this chance.
    turn_chance = 1 - math.sqrt(1 - chance)
    steps = [
        scaled(some(1 - 2 * _either(count, 2, device), 1.0), torch.ones(count, device=device)),
        turned(some(_either(count, 4, device) * math.pi / 2, 0.0)),
        shifted(*(pixels.round() for pixels in share(_SHIFT * (torch.rand(2, count, device=device) * 2 - 1)))),
        scaled(zoom := some(_powers(count, _SCALE, device), 1.0), zoom),
        turned(some(math.pi * _even(count, device), 0.0, turn_chance)),
        scaled(stretch := some(_powers(count, _STRETCH, device), 1.0), 1 / stretch),
        turned(some(math.pi * _even(count, device), 0.0, turn_chance)),
        shifted(*share(_FINE_SHIFT * torch.randn(2, count, device=device))),
    ]
    return reduce(torch.matmul, steps)


def draw_colours(count: int, chance: float, device: torch.device) -> Tensor:
    """(count, 4, 4): what becomes of each colour (r, g, b, 1)."""

    def some(drawn: Tensor, neutral: float) -> Tensor:
        return torch.where(torch.rand(count, device=device) < chance, drawn, neutral)

    steps = [
        brightened(some(_BRIGHTNESS * torch.randn(count, device=device), 0.0)),
        contrasted(some(_powers(count, _CONTRAST, device), 1.0)),
        luma_flipped(some(_either(count, 2, device), 0.0)),
        hue_turned(some(math.pi * _even(count, device), 0.0)),
        saturated(some(_powers(count, _SATURATION, device), 1.0)),
    ]
    return reduce(torch.matmul, reversed(steps))  # the first happens first


def _either(count: int, choices: int, device: torch.device) -> Tensor:
    return torch.randint(choices, (count,), device=device).float()


def _even(count: int, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * 2 - 1


def _powers(count: int, deviation: float, device: torch.device) -> Tensor:
    return torch.exp2(deviation * torch.randn(count, device=device))


def shifted(x: Tensor, y: Tensor) -> Tensor:
    """(N, 3, 3) that moves pictures by (N,) pixels to the right and down. As all of these, it leads from the result
    back to the picture."""
    return _rows([[1, 0, -x], [0, 1, -y], [0, 0, 1]], x)


def scaled(x: Tensor, y: Tensor) -> Tensor:
    """(N, 3, 3) that makes pictures (N,) times as wide and high; -1 mirrors them."""
    return _rows([[1 / x, 0, 0], [0, 1 / y, 0], [0, 0, 1]], x)


def turned(angle: Tensor) -> Tensor:
    """(N, 3, 3) that turns pictures by (N,) radians, counterclockwise."""
    cos, sin = angle.cos(), angle.sin()
    return _rows([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], angle)


def brightened(by: Tensor) -> Tensor:
    """(N, 4, 4) that adds (N,) to every channel."""
    return _rows([[1, 0, 0, by], [0, 1, 0, by], [0, 0, 1, by], [0, 0, 0, 1]], by)


def contrasted(times: Tensor) -> Tensor:
    """(N, 4, 4) that multiplies every channel, about mid-grey."""
    return _rows([[times, 0, 0, 0], [0, times, 0, 0], [0, 0, times, 0], [0, 0, 0, 1]], times)


def luma_flipped(whether: Tensor) -> Tensor:
    """(N, 4, 4) that, where (N,) is 1, turns light into dark and leaves the chroma."""
    return _from_identity(-2 * whether, _GREY)


def hue_turned(angle: Tensor) -> Tensor:
    """(N, 4, 4) that turns colours by (N,) radians about the grey axis (Rodrigues' formula)."""
    return _from_identity(angle.sin(), _ACROSS) + _from_identity(angle.cos() - 1, _CHROMA) - torch.eye(4).to(angle)


def saturated(times: Tensor) -> Tensor:
    """(N, 4, 4) that multiplies the chroma, the distance from grey, by (N,)."""
    return _from_identity(times - 1, _CHROMA)


_GREY = torch.full((3, 3), 1 / 3)  # the part of a colour along the grey axis
_CHROMA = torch.eye(3) - _GREY  # and the part across
_ACROSS = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # the cross product with the grey axis


def _from_identity(times: Tensor, linear: Tensor) -> Tensor:
    """(N, 4, 4): the identity, exactly where `times` is 0, plus (N,) times a (3, 3) matrix."""
    matrices = torch.eye(4).to(times).repeat(len(times), 1, 1)
    matrices[:, :3, :3] += times[:, None, None] * linear.to(times)
    return matrices


def _rows(entries: list[list[Tensor | int]], like: Tensor) -> Tensor:
    """(N, k, k) of k rows of numbers and (N,) tensors."""
    flat = [
        entry if isinstance(entry, Tensor) else like.new_tensor(entry).expand_as(like)
        for row in entries
        for entry in row
    ]
    return torch.stack(flat, dim=-1).view(len(like), len(entries), len(entries))
