"""Faces, diversity and set distances of a folder of samples, beside the pictures a generator was trained on.

    python benchmarks/samples_quality.py SAMPLES TRAINING [--held-out FOLDER --vgg VGG16.safetensors]

All pictures are brought to the size of the samples (antialiased). Without --held-out and --vgg, no distances.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
from pathlib import Path

import torch
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import list_pictures
from upimagine.errors import PictureError, UpimagineError
from upimagine.measure.samples import evaluate_samples
from upimagine.nets.vgg import load_vgg16
from upimagine.pixels.resizing import resize_antialiased


def read_set(folder: Path, limit: int, size: tuple[int, int] | None) -> Tensor:
    """Up to `limit` pictures of a folder, drawn at random with a fixed seed, as (N, 3, H, W)."""
    paths = list_pictures([folder])
    if len(paths) > limit:
        paths = sorted(random.Random(0).sample(paths, limit))
    rows = []
    for path in paths:
        try:
            picture = pixels.read(path).pixels[None]
        except PictureError as error:
            print(f"passed over: {error}", file=sys.stderr)
            continue
        size = size or (picture.shape[-2], picture.shape[-1])
        rows.append(resize_antialiased(picture, size))
    if not rows:
        raise UpimagineError(f"{folder}: no picture in it can be read")
    return torch.cat(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="folder of unculled samples")
    parser.add_argument("training", type=Path, help="folder of training pictures")
    parser.add_argument("--held-out", type=Path, help="folder of pictures kept out of training")
    parser.add_argument("--vgg", type=Path, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--limit", type=int, default=1000, help="most pictures read of each folder")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    try:
        samples = read_set(args.samples, args.limit, None)
        size = (samples.shape[-2], samples.shape[-1])
        training = read_set(args.training, args.limit, size)
        held_out = read_set(args.held_out, args.limit, size) if args.held_out else None
        features = load_vgg16(args.vgg) if args.vgg else None
        report = evaluate_samples(samples, training, held_out=held_out, features=features)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report)
    if args.json:
        args.json.write_text(json.dumps(dataclasses.asdict(report), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
