"""EnhanceGAN on pictures kept out of training, beside bicubic, the nearest training picture and a plain L2 net.

    python benchmarks/enhance_quality.py HELD_OUT --train TRAIN --vgg VGG16.safetensors [--l2 MODEL] [--model MODEL]...

The yardstick table of Pixel Recursive Super Resolution (Dahl, Norouzi & Shlens 2017, 1702.00783). Every model of a
chain has a row of its own. In place of people a small network learns, on training pictures, to tell true from made,
for each row anew; then it sees every held-out picture beside what was made of its reduction, and the share of pairs in
which it takes the made one for the true one is "fooled" (two-alternative forced choice; 50 % is perfect).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from upimagine.data.folder import to_float
from upimagine.errors import UpimagineError
from upimagine.losses.msssim import ms_ssim
from upimagine.losses.unit_distance import unit_distance
from upimagine.models.file import load_model_file
from upimagine.nets.enhance import EnhanceGan
from upimagine.nets.vgg import Vgg16Features, load_vgg16
from upimagine.train.squares import decode_squares

_LAYERS = ("relu1_2", "relu2_2", "relu3_3")  # at 32 px the next block is down to 4x4
_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One way to enlarge, on all held-out pictures."""

    name: str
    psnr_db: float
    ssim: float
    ms_ssim: float
    consistency: float  # mean squared error between what was made, pooled, and what went in; pixels in [0, 1]
    features: float  # distance of VGG16 features as unit vectors
    sharpness: float  # mean size of the gradient over that of the truth
    fooled: float  # mean over judges
    fooled_by_judge: tuple[float, ...]

    def __str__(self) -> str:
        judges = " ".join(f"{100 * share:.0f}" for share in self.fooled_by_judge)
        return (
            f"| {self.name} | {self.psnr_db:.2f} | {self.ssim:.3f} | {self.ms_ssim:.3f} | {self.consistency:.4f} | "
            f"{self.features:.4f} | {self.sharpness:.2f} | {100 * self.fooled:.1f} % ({judges}) |"
        )


HEAD = (
    "| | pSNR | SSIM | MS-SSIM | consistency | VGG16 distance | gradient / truth | fooled (each judge) |\n"
    "|---|---|---|---|---|---|---|---|"
)

Enlarger = Callable[[Tensor], Tensor]


def enlargers(models: list[Path], l2: Path | None, train: Tensor, low_px: int) -> dict[str, Enlarger]:
    """By name: (N, 3, low, low) to (N, 3, 4 low, 4 low), both in [-1, 1]."""
    size = train.shape[-1]
    train_low = F.avg_pool2d(train, size // low_px).flatten(1)

    def bicubic(low: Tensor) -> Tensor:
        return F.interpolate(low, (size, size), mode="bicubic", align_corners=False).clamp(-1, 1)

    def nearest(low: Tensor) -> Tensor:
        # A training picture is not its own neighbour, or judges would learn from nothing.
        distances = torch.cdist(low.flatten(1), train_low)
        return train[distances.masked_fill(distances < 1e-3, torch.inf).argmin(1)]

    found: dict[str, Enlarger] = {"bicubic": bicubic, "nearest training picture": nearest}
    for path in ([l2] if l2 else []) + models:
        chain = load_model_file(path).main
        if not isinstance(chain, EnhanceGan) or chain.window_px != low_px or chain.high_px != size:
            raise UpimagineError(
                f"{path} is no EnhanceGAN from {low_px} to {size} px; give one made with --low-px {low_px}"
            )
        chain = chain.float().eval()
        names = ["A", "B", "C"][: len(str(chain.config["stages"]))]
        for place, part in enumerate(names):
            name = "L2 net" if path == l2 else f"{path.stem if path.stem != 'model' else path.parent.name}: {part}"

            def through(low: Tensor, chain: EnhanceGan = chain, place: int = place) -> Tensor:
                with torch.inference_mode():
                    return torch.cat([chain.enhance(part).pictures[place] for part in low.split(_BATCH)])

            found[name] = through
    return found


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """(H, W, 3) in [0, 1]; windows of 7 px."""
    return float(structural_similarity(one, other, channel_axis=2, data_range=1.0, win_size=7))


def gradient(pictures: Tensor) -> float:
    return float((pictures[..., 1:] - pictures[..., :-1]).abs().mean())


def judge(true: Tensor, made: Tensor, seed: int, steps: int) -> nn.Module:
    """A small network that has learned to tell (N, 3, s, s) true from made: higher is truer."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(16, 32, 3, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 32, 3, 2, 1), nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(steps):
        chosen = torch.randint(len(true), (32,))
        pair = torch.stack([true[chosen], made[chosen]])
        pair = pair.flip(4) if torch.rand(()) < 0.5 else pair
        difference = net(pair[0]) - net(pair[1])
        loss = F.softplus(-difference).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def fooled(net: nn.Module, true: Tensor, made: Tensor) -> float:
    with torch.inference_mode():
        return float((net(made) > net(true)).float().mean())


def measure(
    name: str,
    enlarge: Enlarger,
    sets: tuple[Tensor, Tensor],
    vgg: Vgg16Features,
    low_px: int,
    options: argparse.Namespace,
) -> Row:
    train, held_out = sets
    pool = train.shape[-1] // low_px
    low = F.avg_pool2d(held_out, pool)
    made = enlarge(low)
    pairs = [
        tuple(((each + 1) / 2).permute(1, 2, 0).numpy() for each in pair) for pair in zip(held_out, made, strict=True)
    ]
    with torch.inference_mode():
        ours, theirs = vgg(made, _LAYERS), vgg(held_out, _LAYERS)
        features = float(torch.stack([unit_distance(ours[layer], theirs[layer]) for layer in _LAYERS]).mean())
    made_train = enlarge(F.avg_pool2d(train, pool))
    judges = [judge(train, made_train, seed, options.steps) for seed in range(options.judges)]
    shares = tuple(fooled(net, held_out, made) for net in judges)
    return Row(
        name,
        float(np.mean([peak_signal_noise_ratio(one, other, data_range=1.0) for one, other in pairs])),
        float(np.mean([ssim(*pair) for pair in pairs])),
        float(ms_ssim(held_out, made).mean()),  # as many scales as fit: two at 32 px
        float((F.avg_pool2d(made, pool) - low).square().mean() / 4),
        features,
        gradient(made) / gradient(held_out),
        float(np.mean(shares)),
        shares,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held_out", type=Path, help="folder of pictures that no model was trained on")
    parser.add_argument("--train", type=Path, required=True, help="folder of the training pictures")
    parser.add_argument("--model", type=Path, action="append", default=[], help="an EnhanceGAN; repeatable")
    parser.add_argument("--l2", type=Path, help="a model A trained with --pixel-distance l2 and nothing else")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--low-px", type=int, default=8, help="side of the tiny picture")
    parser.add_argument("--judges", type=int, default=3, help="networks that are to be fooled, for each row")
    parser.add_argument("--steps", type=int, default=300, help="that each judge learns for")
    parser.add_argument("--sheet", type=Path, help="write eight held-out pictures here: tiny, every row, truth")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    args = parser.parse_args()
    try:
        train, held_out = (
            to_float(torch.stack(decode_squares([folder], 4 * args.low_px, complain).pictures))
            for folder in (args.train, args.held_out)
        )
        known = enlargers(args.model, args.l2, train, args.low_px)
        vgg = load_vgg16(args.vgg)
        print(HEAD)
        rows = []
        for name, enlarge in known.items():
            rows.append(measure(name, enlarge, (train, held_out), vgg, args.low_px, args))
            print(rows[-1], flush=True)
        if args.sheet:
            write_sheet(args.sheet, known, held_out[:8], args.low_px)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


def complain(path: Path, reason: str) -> None:
    print(f"passed over: {reason}", file=sys.stderr)


def write_sheet(path: Path, known: dict[str, Enlarger], truth: Tensor, low_px: int) -> None:
    from upimagine import pixels
    from upimagine.train.grid import picture_grid

    low = F.avg_pool2d(truth, truth.shape[-1] // low_px)
    columns = [F.interpolate(low, truth.shape[-2:]), *(enlarge(low) for enlarge in known.values()), truth]
    sheet = picture_grid(torch.stack(columns, dim=1).flatten(0, 1), columns=len(columns))
    pixels.write(path, F.interpolate(sheet[None], scale_factor=3.0)[0], overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
