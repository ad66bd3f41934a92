"""Which candidate won where, as a picture: one flat field a tile, one colour a candidate."""

from __future__ import annotations

import colorsys
from collections import Counter

import torch
from torch import Tensor

from upimagine.render.candidates import Variant
from upimagine.render.settings import Report

_FIELD_PX = 16


def draw_winners(report: Report, field_px: int = _FIELD_PX) -> Tensor:
    """(3, tile rows * field_px, tile columns * field_px) in [-1, 1]; the plain candidate is grey."""
    colours = torch.tensor([_colour(index, len(report.variants)) for index in range(len(report.variants))])
    fields = colours[torch.tensor(report.winners)]  # (rows, cols, 3)
    return fields.permute(2, 0, 1).repeat_interleave(field_px, 1).repeat_interleave(field_px, 2) * 2 - 1


def tell_winners(report: Report) -> str:
    """How many tiles each kind of candidate won, most first, in words, with its colour in the picture."""
    won = Counter(winner for row in report.winners for winner in row)
    return ", ".join(
        f"{name_of(report.variants[winner])} {count / report.tiles:.0%} ({_hex(_colour(winner, len(report.variants)))})"
        for winner, count in won.most_common()
    )


def name_of(variant: Variant) -> str:
    """A candidate in words."""
    words = [f"model {variant.model + 1}"] if variant.model else []
    words += ["mirrored"] if variant.flip else []
    words += [f"contrast {variant.contrast:g}"] if variant.contrast != 1.0 else []
    words += [f"saturation {variant.saturation:g}"] if variant.saturation != 1.0 else []
    words += [f"grain {variant.noise_seed}"] if variant.noise_seed is not None else []
    return " ".join(words) or "plain"


def _colour(index: int, count: int) -> tuple[float, float, float]:
    if index == 0:
        return 0.55, 0.55, 0.55
    return colorsys.hsv_to_rgb((index - 1) / max(count - 1, 1), 0.65, 0.9)


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(value * 255):02x}" for value in colour)
