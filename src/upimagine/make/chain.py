"""Which models lead from a picture to a size, and what each of them shall make."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.make.stages import Machine, Sized
from upimagine.models.loaded import load_upscaler
from upimagine.recipe import Enlarge

#: Short side of the plane on which the built-in network with a face guide learned its faces.
_FACE_PLANE_PX = 96
#: Short side up to which a picture with a face is taken for a small portrait.
_SMALL_PX = 192
#: A plane may be this much larger than the picture, plainly resampled, before another pass pays.
_STRETCH = 1.5
_GENERAL_MODEL = "detail-x8"
_FACE_MODEL = "portrait-x8"


def choose_models(picture: Tensor, to_px: int) -> tuple[str, ...]:
    """Which built-in models lead from this picture (1, 3, H, W) to a longer side of `to_px`."""
    longer, shorter = max(picture.shape[2:]), min(picture.shape[2:])
    chain: list[str] = []
    if shorter <= _SMALL_PX and find_face(picture) is not None:
        chain.append(_FACE_MODEL)
        longer = round(min(shorter, _FACE_PLANE_PX) * 8 * longer / shorter)
        if longer * _STRETCH >= to_px:
            return tuple(chain)
    passes = max(1, math.ceil(math.log(to_px / longer / _STRETCH, 8) - 1e-9))
    return tuple(chain + [_GENERAL_MODEL] * passes)


def plan_stages(
    picture: Tensor, models: tuple[str, ...], to_px: int, options: Enlarge, machine: Machine
) -> list[Sized]:
    """Each model with the size that its result shall have: the last one the wanted size, one before it all that it
    makes of the picture as it comes, but no more than is wanted."""
    height, width = picture.shape[2:]
    stages: list[Sized] = []
    guided = False
    here = max(height, width)
    for position, model in enumerate(models):
        upscaler = load_upscaler(model, machine.device, machine.dtype)
        plane_px = None
        takes_raster = upscaler.guide_kind.startswith("raster")
        if takes_raster and options.guide is None:
            raise UpimagineError(f"{model} learned with guides drawn beside its pictures; give --guide FILE or FOLDER")
        guided = guided or takes_raster
        if upscaler.guide_kind.startswith("face"):  # its faces have a size
            plane_px = min(round(min(height, width) * here / max(height, width)), _FACE_PLANE_PX)
            here = round(plane_px * max(height, width) / min(height, width))
        here = min(here * upscaler.scale, to_px)
        new = {"model": model, "plane_px": plane_px, "short_px": None}
        stage = options.model_copy(update=new if takes_raster else new | {"guide": None})
        stages.append((stage, _scaled(height, width, to_px if position == len(models) - 1 else here)))
    if options.guide is not None and not guided:
        take = "takes" if len(models) == 1 else "take"
        raise UpimagineError(f"{' and '.join(models)} {take} no guide of your own; leave --guide away")
    return stages


def scales_of(picture: Tensor, stages: Sequence[Sized], machine: Machine) -> tuple[float, ...]:
    """What each stage's model multiplies its picture's sides by; less than its scale where that is first shrunk."""
    scales = []
    here_px = min(picture.shape[2:])
    for stage, size_px in stages:
        scale = load_upscaler(stage.model, machine.device, machine.dtype).scale
        scales.append(scale * (stage.plane_px or here_px) / here_px)
        here_px = min(size_px) if size_px is not None else round(here_px * scales[-1])
    return tuple(scales)


def _scaled(height: int, width: int, longer_px: int) -> tuple[int, int]:
    ratio = longer_px / max(height, width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))
