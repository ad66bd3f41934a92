"""Enlargers judged on pictures whose truth is known: made small, enlarged ×8, compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine import pixels
from upimagine.errors import PictureError, UpimagineError
from upimagine.measure.consistency import down_consistency, sharpness_ratio
from upimagine.measure.features import feature_distance
from upimagine.nets.vgg import Vgg16Features

Enlarger = Callable[[Tensor], Tensor]
"""(1, 3, h, w) in [-1, 1] to (1, 3, 8 h, 8 w) in [-1, 1]."""

Shrinker = Callable[[Tensor], Tensor]
"""(1, 3, 8 h, 8 w) in [-1, 1] to the low-res plane (1, 3, h, w): the way training pairs are made."""

SCALE = 8
BASELINE = "bicubic"


@dataclass(frozen=True)
class EnlargementScore:
    """One enlarger on one picture."""

    picture: str
    enlarger: str
    l1: float
    """Feature distance to the truth, normalised L1 (`features.FeatureDistance.l1`)."""
    unit: float
    """Feature distance to the truth, unit channels (`features.FeatureDistance.unit`)."""
    l1_share: float
    """`l1` over that of bicubic on the same picture: under 1 is nearer to the truth than bicubic is."""
    unit_share: float
    """`unit` over that of bicubic on the same picture."""
    consistency_db: float
    """PSNR of the output, average-pooled, against the low-res input."""
    sharpness: float
    """Variance of the Laplacian over that of the truth."""


FIGURES = ("l1", "unit", "l1_share", "unit_share", "consistency_db", "sharpness")


@dataclass(frozen=True)
class EnlargementTable:
    """All scores, picture by picture, and the files that could not be used with the reason."""

    scores: list[EnlargementScore]
    truth_consistency_db: dict[str, float]
    """Of the truths themselves: an enlarger that invents honestly cannot be asked for much more."""
    skipped: list[tuple[Path, str]]

    @property
    def enlargers(self) -> list[str]:
        """Names in the order they were given, the baseline first."""
        return list(dict.fromkeys(score.enlarger for score in self.scores))

    def column(self, enlarger: str, figure: str) -> list[float]:
        """One of `FIGURES` for every picture."""
        return [float(getattr(score, figure)) for score in self.scores if score.enlarger == enlarger]

    def mean(self, enlarger: str, figure: str) -> float:
        """Mean over pictures."""
        return statistics.fmean(self.column(enlarger, figure))

    def median(self, enlarger: str, figure: str) -> float:
        """Median over pictures."""
        return statistics.median(self.column(enlarger, figure))

    def __str__(self) -> str:
        """A Markdown table: every picture, then mean and median of every enlarger."""
        lines = [
            "| picture | enlarger | L1 | share | unit | share | consistency dB | sharpness |",
            "|---|---|---|---|---|---|---|---|",
        ]
        order = ("l1", "l1_share", "unit", "unit_share", "consistency_db", "sharpness")
        lines += [_line(s.picture, s.enlarger, [float(getattr(s, name)) for name in order]) for s in self.scores]
        for enlarger in self.enlargers:
            lines.append(_line("**mean**", enlarger, [self.mean(enlarger, name) for name in order]))
            lines.append(_line("**median**", enlarger, [self.median(enlarger, name) for name in order]))
        ceiling = statistics.fmean(self.truth_consistency_db.values())
        lines.append(f"\nDown-consistency of the truths themselves: {ceiling:.1f} dB (mean).")
        return "\n".join(lines)


def bicubic(low_res: Tensor) -> Tensor:
    """The baseline: plain bicubic ×8, clipped to [-1, 1]."""
    return F.interpolate(low_res, scale_factor=SCALE, mode="bicubic", align_corners=False).clamp(-1, 1)


def evaluate(
    enlargers: Mapping[str, Enlarger], truths: Sequence[Path], features: Vgg16Features, shrink: Shrinker
) -> EnlargementTable:
    """Score every enlarger, and bicubic beside them, on every picture in `truths`, made small by `shrink`.

    Outputs are judged as they would be written, rounded to 8 bits like the truths. A truth that cannot be read, or does
    not shrink to an eighth, is passed over and named in `skipped`. Raises UpimagineError when none is left, or when an
    enlarger returns another size or something that is not finite.
    """
    named = {BASELINE: bicubic, **enlargers}
    scores: list[EnlargementScore] = []
    ceiling: dict[str, float] = {}
    skipped: list[tuple[Path, str]] = []
    for path in truths:
        try:
            truth, low_res = _pair(path, shrink)
        except PictureError as error:
            skipped.append((path, str(error)))
            continue
        ceiling[path.name] = down_consistency(truth, low_res)
        scores += _score_picture(named, path.name, truth, low_res, features)
    if not scores:
        why = f"; the first: {skipped[0][1]}" if skipped else ""
        raise UpimagineError(f"none of the {len(truths)} truths could be used{why}")
    return EnlargementTable(scores, ceiling, skipped)


def _pair(path: Path, shrink: Shrinker) -> tuple[Tensor, Tensor]:
    """The truth (1, 3, 8 h, 8 w) of a file and its low-res plane (1, 3, h, w)."""
    truth = pixels.read(path).pixels[None]
    height, width = truth.shape[-2:]
    if height % SCALE or width % SCALE or min(height, width) < 16:
        raise PictureError(f"{path} is {width}x{height} px: crop it to multiples of {SCALE} px, 16 at least")
    low_res = shrink(truth)
    if tuple(low_res.shape[-2:]) != (height // SCALE, width // SCALE):
        raise ValueError(f"shrink made {tuple(low_res.shape[-2:])} of {(height, width)}, not an eighth")
    return truth, low_res


def _score_picture(
    named: Mapping[str, Enlarger], picture: str, truth: Tensor, low_res: Tensor, features: Vgg16Features
) -> list[EnlargementScore]:
    """All enlargers on one picture; the baseline comes first and is what the shares are taken of."""
    scores: list[EnlargementScore] = []
    base_l1 = base_unit = float("nan")
    for enlarger, enlarge in named.items():
        with torch.inference_mode():
            output = enlarge(low_res).float().cpu()
            output = ((output.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1  # a NaN stays one
        if output.shape != truth.shape or not bool(output.isfinite().all()):
            raise UpimagineError(
                f"enlarger {enlarger} made {tuple(output.shape)} of {picture} (or values that are not finite); "
                f"it must return finite {tuple(truth.shape)}"
            )
        distance = feature_distance(features, output, truth)
        if enlarger == BASELINE:
            base_l1, base_unit = distance.l1, distance.unit
        scores.append(
            EnlargementScore(
                picture,
                enlarger,
                distance.l1,
                distance.unit,
                # A flat truth leaves bicubic nothing to miss; then there is no share to speak of.
                distance.l1 / base_l1 if base_l1 > 0 else float("nan"),
                distance.unit / base_unit if base_unit > 0 else float("nan"),
                down_consistency(output, low_res),
                sharpness_ratio(output, truth),
            )
        )
    return scores


def _line(picture: str, enlarger: str, figures: list[float]) -> str:
    l1, l1_share, unit, unit_share, consistency_db, sharpness = figures
    return (
        f"| {picture} | {enlarger} | {l1:.3f} | {l1_share:.3f} | {unit:.3f} | {unit_share:.3f} "
        f"| {consistency_db:.1f} | {sharpness:.3f} |"
    )
