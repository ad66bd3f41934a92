"""What a picture will look like on paper, and which of its colours the paper cannot hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyvips
import torch
from torch import Tensor

from upimagine.errors import PictureError, UpimagineError
from upimagine.pixels.vips import SRGB, enter
from upimagine.printing.profile import PaperProfile, from_paper, to_paper, under_white

View = Literal["relative", "absolute"]
Rendering = Literal["relative", "perceptual"]


@dataclass(frozen=True)
class Gamut:
    """What of a picture lies outside a paper's gamut."""

    share: float
    """Share of the pixels outside, 0 to 1."""
    worst: float
    """Largest difference, in ΔE2000."""
    outside: Tensor
    """(H, W) bool: pixels outside."""

    def mask(self) -> Tensor:
        """The mask as a picture (3, H, W) in [-1, 1]: white outside the gamut, black within."""
        return (self.outside.float() * 2 - 1).expand(3, -1, -1).contiguous()


def soft_proof(
    picture: Tensor,
    profile: PaperProfile,
    *,
    view: View = "relative",
    rendering: Rendering = "relative",
    black_point_compensation: bool = True,
) -> Tensor:
    """Show on an sRGB screen what a print will look like: (3, H, W) in [-1, 1] to the same, sRGB-encoded.

    The picture goes to the printer's channels and from there, by what the profile says they look like, back to the
    screen, as in a colour management system's proofing transform (ICC.1:2010, annex A; Little CMS,
    ``cmsCreateProofingTransform``).

    Args:
        picture: (3, H, W) in [-1, 1], sRGB-encoded.
        profile: of printer and paper.
        view: how the proof is shown. ``relative`` shows the paper's white as the screen's white; ``absolute`` as the
            yellowish or bluish grey that it is beside the screen's white. Ink's black stays as pale as it is in both.
        rendering: how the picture will be converted for the printer: ``relative`` colorimetric keeps all colours the
            paper can hold, ``perceptual`` moves them together by the profile's own recipe.
        black_point_compensation: when converting for the printer, scale darkness so that black becomes the darkest
            ink; without it all that is darker than the ink becomes one. Perceptual tables of old (version 2)
            profiles profit too; it is not made for the view.

    Raises:
        UpimagineError: a word for `view` or `rendering` that is none of these.
        PictureError: a pixel is NaN or infinite.
        ValueError: another shape.
    """
    if view not in ("relative", "absolute"):
        raise UpimagineError(f"the view {view!r} cannot be shown; choose relative or absolute")
    if rendering not in ("relative", "perceptual"):
        raise UpimagineError(f"the rendering {rendering!r} is unknown; choose relative or perceptual")
    inks = to_paper(_lab(picture), profile, rendering, black_point_compensation)
    seen = from_paper(inks, profile)
    if view == "absolute":
        seen = under_white(seen, profile)
    # The screen's white stands for the light the print is looked at in, so the way to the screen is relative always.
    shown = seen.icc_export(output_profile=SRGB, depth=16, intent="relative", pcs="lab")
    samples = torch.from_numpy(shown.numpy())  # (H, W, 3) uint16
    return samples.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format).div_(32767.5).sub_(1)


def measure_gamut(picture: Tensor, profile: PaperProfile, *, delta_e: float = 2.0) -> Gamut:
    """Tell which pixels of (3, H, W) in [-1, 1] the paper cannot hold: those that come back from it changed.

    The way there and back is relative colorimetric without black point compensation: colours that the paper holds
    return as they were, but for the grain of the profile's tables, others from the gamut's edge. The difference is
    CIEDE2000 (CIE 142-2001; Sharma, Wu and Dalal 2005).

    Args:
        picture: (3, H, W) in [-1, 1], sRGB-encoded.
        profile: of printer and paper.
        delta_e: differences beyond this are outside. Trained eyes see 1 side by side, most see 2.

    Raises:
        UpimagineError: a `delta_e` that is no positive number.
        PictureError: a pixel is NaN or infinite.
        ValueError: another shape.
    """
    if not 0 < delta_e < math.inf:
        raise UpimagineError(f"a difference of {delta_e:g} tells nothing; choose one above 0, 2 is usual")
    lab = _lab(picture)
    there_and_back = from_paper(to_paper(lab, profile, "relative", False), profile)
    difference = torch.from_numpy(lab.dE00(there_and_back).numpy()).reshape(picture.shape[1:])  # (H, W)
    outside = difference > delta_e
    return Gamut(float(outside.float().mean()), float(difference.max()), outside)


def _lab(picture: Tensor) -> pyvips.Image:
    """(3, H, W) in [-1, 1] to float Lab, D50."""
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(f"a picture is (3, H, W), not {tuple(picture.shape)}")
    enter()
    picture = picture.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(picture).all()):
        raise PictureError("a picture with NaN or infinite pixels has no proof; make it again")
    samples = picture.clamp(-1, 1).add(1).mul(32767.5).round().permute(1, 2, 0)  # (H, W, 3)
    image = pyvips.Image.new_from_array(samples.numpy().astype(np.uint16), interpretation="rgb16")
    return image.icc_import(input_profile=SRGB, intent="relative", pcs="lab")
