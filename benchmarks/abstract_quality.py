"""Abstracts x8, 32 to 256 px, kept out of training: features and texture, beside bicubic.

    python benchmarks/abstract_quality.py HELD_OUT --vgg VGG16.safetensors --model abstract-x8 [--sheet FILE]

Each picture is made 256 px large, then small by the way training pairs are made, and enlarged as one tile. Texture is
the kernel distance (KID, on VGG16 features) between patches of 64 px of what was made and those of the truths.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import list_pictures
from upimagine.data.tiles import low_plane
from upimagine.errors import UpimagineError
from upimagine.measure.consistency import down_consistency, sharpness_ratio
from upimagine.measure.enlargement import bicubic
from upimagine.measure.features import feature_distance
from upimagine.measure.frechet import kernel_distance, set_features
from upimagine.models.loaded import load_upscaler
from upimagine.nets.vgg import load_vgg16
from upimagine.pixels.resizing import resize_antialiased
from upimagine.train.grid import picture_grid

_SIDE_PX, _PATCH_PX = 256, 64


def patches(pictures: Tensor) -> Tensor:
    """(N, 3, 256, 256) to (16 N, 3, 64, 64)."""
    cut = pictures.unfold(2, _PATCH_PX, _PATCH_PX).unfold(3, _PATCH_PX, _PATCH_PX)
    return cut.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, _PATCH_PX, _PATCH_PX)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held_out", type=Path, help="folder of square pictures, 256 px or more")
    parser.add_argument("--model", action="append", default=[], help="built-in upscaler without a guide, or a file")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--sheet", type=Path, help="write six pictures here: small, every enlarger, truth")
    args = parser.parse_args()
    try:
        eye = load_vgg16(args.vgg)
        found = [pixels.read(path).pixels[None, :3] for path in list_pictures([args.held_out])]
        truths = torch.cat([resize_antialiased(picture, (_SIDE_PX, _SIDE_PX)).clamp(-1, 1) for picture in found])
        small = torch.cat([low_plane(truth[None]) for truth in truths])
        known = {"bicubic": bicubic} | {model: load_upscaler(model).upscale for model in args.model}
        true_patches = set_features(eye, patches(truths))
        made = {name: torch.cat([enlarge(low[None]) for low in small]) for name, enlarge in known.items()}
        plain = [feature_distance(eye, made["bicubic"][i : i + 1], truths[i : i + 1]) for i in range(len(truths))]
        print("| | features, unit | features, L1 | texture | of bicubic's | sharpness | consistency |")
        print("|---|---|---|---|---|---|---|")
        base = 0.0
        for name, pictures in made.items():
            rows = list(zip(pictures.split(1), truths.split(1), small.split(1), plain, strict=True))
            ours = [feature_distance(eye, picture, truth) for picture, truth, _, _ in rows]
            unit = fmean(one.unit / row[3].unit for one, row in zip(ours, rows, strict=True))
            l1 = fmean(one.l1 / row[3].l1 for one, row in zip(ours, rows, strict=True))
            texture = kernel_distance(set_features(eye, patches(pictures)), true_patches).value
            base = base or texture
            sharp = fmean(sharpness_ratio(picture, truth) for picture, truth, _, _ in rows)
            held = fmean(down_consistency(picture, low) for picture, _, low, _ in rows)
            cells = f"{unit:.3f} | {l1:.3f} | {texture:.2f} | {texture / base:.2f} | {sharp:.2f} | {held:.1f} dB"
            print(f"| {name} | {cells} |")
        if args.sheet:
            columns = [F.interpolate(small, (_SIDE_PX, _SIDE_PX)), *made.values(), truths]
            sheet = picture_grid(torch.stack([column[:6] for column in columns], 1).flatten(0, 1), columns=len(columns))
            pixels.write(args.sheet, sheet, overwrite=True)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
