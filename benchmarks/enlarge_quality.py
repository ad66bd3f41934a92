"""Distance to the truth of ×8 enlargers, as a share of bicubic's, on large pictures kept out of training.

    python benchmarks/enlarge_quality.py FOLDER --vgg VGG16.safetensors [--last 12] [--model portrait-x8]...

Every truth is made small by the way training pairs are made, enlarged by each model (tiles, candidates, blending, the
guide drawn on the small picture alone) and by bicubic, and compared with the truth.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from upimagine.data.folder import list_pictures
from upimagine.data.tiles import low_plane
from upimagine.errors import UpimagineError
from upimagine.guide.kinds import guide_named
from upimagine.make.stages import render_settings
from upimagine.make.walk import find_recipe
from upimagine.measure.enlargement import Enlarger, evaluate
from upimagine.models.loaded import load_upscaler
from upimagine.nets.vgg import load_vgg16
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Enlarge
from upimagine.render.enlarge import MemorySink
from upimagine.render.enlarge import enlarge as enlarge_tiled


def through_model(model: str) -> Enlarger:
    """An enlarger that knows nothing but the small picture: its guide, too, is drawn on that."""
    upscaler = load_upscaler(model)
    guide = guide_named(upscaler.guide_kind)

    # Tiles, candidates and blending of `make portrait`.
    stage = next(stage for stage in find_recipe("portrait").stage if isinstance(stage, Enlarge))
    settings = render_settings(stage, upscaler.window_px)

    def enlarge(low: Tensor) -> Tensor:
        height, width = low.shape[-2:]
        # Landmarks are looked for at the size a generator makes, four thirds of the plane, as in training.
        seen = resize_antialiased(low, (height * 4 // 3, width * 4 // 3))
        drawn = None if guide is None else guide.draw(seen, (height, width))
        sink = MemorySink()
        enlarge_tiled(low, upscaler, guide=drawn, critic=upscaler.critic, settings=settings, sink=sink)
        return sink.picture()

    return enlarge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truths", type=Path, help="folder of large pictures (768x768)")
    parser.add_argument("--last", type=int, default=12, help="only the last so many by name; 0 for all")
    parser.add_argument("--model", action="append", default=[], help="built-in upscaler or model file; repeat for more")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--threads", type=int, help="threads of torch; default its own choice")
    parser.add_argument("--json", type=Path, help="write every score here too")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        enlargers = {model: through_model(model) for model in args.model}
        truths = list_pictures([args.truths])[-args.last :]
        table = evaluate(enlargers, truths, load_vgg16(args.vgg), low_plane)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table)
    for _, why in table.skipped:
        print(f"passed over: {why}", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(score) for score in table.scores], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
