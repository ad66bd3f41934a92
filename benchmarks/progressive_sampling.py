"""A Progressive GAN of 1024 px, one sample: plain float32 PyTorch against a model file as it is loaded here.

    python benchmarks/progressive_sampling.py [--threads 2] [--rounds 7]

The plain form is written below as one would from the paper's layer table: nearest-neighbour upsampling, a convolution
whose weights are scaled when used, leaky ReLU, pixel norm, contiguous float32. Both run the same weights and latent in
turn, in one run. The peak is that of a process of its own which loads the model and makes one sample.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from upimagine.models.file import save_model
from upimagine.models.loaded import load_generator
from upimagine.nets.pggan import PgganGenerator

GAIN = math.sqrt(2)
ALONE = """
import resource, sys, torch
from upimagine.models.loaded import load_generator
torch.set_num_threads(int(sys.argv[2]))
picture = load_generator(sys.argv[1]).generate(torch.randn(1, 512))
assert picture.shape == (1, 3, 1024, 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def plain(weights: dict[str, Tensor], z: Tensor) -> Tensor:
    """(N, 512) to (N, 3, 1024, 1024), layer by layer."""

    def normed(x: Tensor) -> Tensor:
        return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)

    def conv(x: Tensor, name: str, gain: float = GAIN, up: bool = False) -> Tensor:
        weight = weights[f"{name}.weight"]
        if up:  # kept as the transposed form; nearest and a convolution need it turned round
            weight = weight.transpose(0, 1).flip(2, 3)
        weight = weight * (gain / math.sqrt(weight[0].numel()))
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[2] // 2)

    x = F.linear(normed(z), weights["first.weight"] * (GAIN / 4 / math.sqrt(512))).view(-1, 512, 4, 4)
    x = normed(F.leaky_relu(x + weights["first.bias"][:, None, None], 0.2))
    x = normed(F.leaky_relu(conv(x, "again.4"), 0.2))
    extent = 4
    while extent < 1024:
        extent *= 2
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = normed(F.leaky_relu(conv(x, f"up.{extent}", up=True), 0.2))
        x = normed(F.leaky_relu(conv(x, f"again.{extent}"), 0.2))
    return conv(x, "colours.1024", gain=1.0).clamp(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = PgganGenerator(1024)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pggan.safetensors"
        save_model(path, "generator", net, None, {"data": "none"})
        alone = [sys.executable, "-c", ALONE, str(path), str(options.threads)]
        peak_mb = int(subprocess.run(alone, check=True, capture_output=True, text=True).stdout)
        weights = {name: value.half().float() if value.dim() > 1 else value for name, value in net.state_dict().items()}
        ours = load_generator(path)
    z = torch.randn(1, 512)
    forms = {"plain float32": lambda: plain(weights, z), "as loaded": lambda: ours.generate(z)}
    times: dict[str, list[float]] = {name: [] for name in forms}
    made: dict[str, Tensor] = {}
    with torch.inference_mode():
        for turn in range(options.rounds + 2):
            for name, form in forms.items():
                start = time.perf_counter()
                made[name] = form().float()
                if turn >= 2:  # the first ones warm up
                    times[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(each) for name, each in times.items()}
    for name, each in times.items():
        print(f"{name:14s} median {middle[name]:.3f} s, best {min(each):.3f} s")
    print(f"ratio of medians {middle['plain float32'] / middle['as loaded']:.2f}")
    difference = (made["plain float32"] - made["as loaded"]).abs()
    print(
        f"difference of pictures: mean {difference.mean() * 127.5:.2f}, largest {difference.max() * 127.5:.1f} of 255"
    )
    print(f"peak of a process that loads the model and makes one sample {peak_mb} MB; of this one "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")  # fmt: skip


if __name__ == "__main__":
    main()
