"""Is a training that was killed and resumed the same, bit for bit, as one that never stopped?

    python benchmarks/resume_kills.py [--kills 10] [--seed 0]

Small networks on noise, one thread, float32, a checkpoint after every step. Every second run is killed (SIGKILL) while
a checkpoint is being written, the others at a random instant; then the same run is started again. At the end every
tensor of networks, optimisers and average is compared. Runs are forked, so that each need not load PyTorch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from upimagine.data.folder import Decoded
from upimagine.pixels.atomic import UNFINISHED_SUFFIX
from upimagine.train.checkpoint import load_checkpoint
from upimagine.train.dcgan import DcganSettings, DcganTask
from upimagine.train.engine import Engine
from upimagine.train.fastgan import FastganSettings, FastganTask
from upimagine.train.journal import Journal
from upimagine.train.loop import fit
from upimagine.train.progressive import ProgressiveSettings, ProgressiveTask
from upimagine.train.settings import LoopSettings
from upimagine.train.task import Task

_STEPS, _BATCH = 10, 4
_FORK = multiprocessing.get_context("fork")

Make = Callable[[Decoded], Callable[[Engine], Task]]

_ADA = DcganSettings(size_px=64, width=4, ada=True, hold_out=0.2)
_BEGAN = DcganSettings(size_px=64, width=4, objective="began")
_CRITIC = DcganSettings(size_px=64, width=4, objective="wgan-gp", critic_steps=2)
_FASTGAN = FastganSettings(size_px=64, width=2, latent_dim=16, anchor_weight=10.0, coarse_weight=10.0)
_GROWING = ProgressiveSettings(
    size_px=64, stable_kimg=0.008, fade_kimg=0.008, fmap_base=64, fmap_max=8, latent_dim=16, batch_at=("8=2",)
)
#: What else has to be resumed: ADA's chance, BEGAN's k, a rhythm of steps, memories, the size that is reached, parts.
KINDS: dict[str, tuple[Make, int]] = {
    "dcgan, ADA, held-out pictures": (lambda seen: lambda engine: DcganTask(_ADA, seen, engine, 0), 1),
    "began": (lambda seen: lambda engine: DcganTask(_BEGAN, seen, engine, 0), 1),
    "wgan-gp, batches in two parts": (lambda seen: lambda engine: DcganTask(_CRITIC, seen, engine, 0), 2),
    "fastgan, anchor, coarse": (lambda seen: lambda engine: FastganTask(_FASTGAN, seen, engine, 0), 1),
    "progressive, growing": (lambda seen: lambda engine: ProgressiveTask(_GROWING, seen, engine, 0, _BATCH), 1),
}


def run(kind: str, seen: Decoded, folder: Path) -> None:
    """Train to the end, from wherever the folder's checkpoint stands."""
    make, parts = KINDS[kind]
    settings = LoopSettings(
        kimg=_STEPS * _BATCH / 1000,
        batch=_BATCH,
        accumulate=parts,
        precision="float32",
        device="cpu",
        threads=1,
        tick_kimg=0.008,
        preview_kimg=100,
        checkpoint_minutes=1e-6,
    )
    fit(make(seen), settings, folder)


def killed(kind: str, seen: Decoded, folder: Path, after_s: float, writing: bool) -> str | None:
    """Start and kill; tells where it was, or None when it had ended before."""
    process = _FORK.Process(target=run, args=(kind, seen, folder))
    process.start()
    end = time.monotonic() + after_s
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.001)
    while process.is_alive() and writing and not _half_written(folder):
        pass
    if not process.is_alive() or process.pid is None:
        shutil.rmtree(folder)
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    state = load_checkpoint(folder)
    where = "before the first checkpoint" if state is None else f"after step {state['step']}"
    return where + (", with a checkpoint half written" if _half_written(folder) else "")


def _half_written(folder: Path) -> bool:
    return any(folder.glob(f".*checkpoint*{UNFINISHED_SUFFIX}")) or any(folder.glob(f"*{UNFINISHED_SUFFIX}"))


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Names of tensors and numbers that are not the same."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [where]
        return [found for key in one for found in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list):
        return [
            found for i, both in enumerate(zip(one, other, strict=True)) for found in differences(*both, f"{where}/{i}")
        ]
    return [] if one == other else [where]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    args = parser.parse_args()
    torch.set_num_threads(1)
    numbers, same = random.Random(args.seed), 0
    noise = torch.Generator().manual_seed(1)
    pictures = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=noise) for _ in range(12)]
    seen = Decoded(pictures, [None] * 12, [Path(f"{i}.png") for i in range(12)], [])
    with tempfile.TemporaryDirectory() as folder:
        with Journal(Path(folder)):  # loads TensorBoard once for all
            pass
        straight: dict[str, tuple[Path, float]] = {}
        for number, kind in zip(range(args.kills), cycle(KINDS)):
            if kind not in straight:
                path, began = Path(folder) / f"straight-{number}", time.monotonic()
                _to_the_end(kind, seen, path)
                straight[kind] = path, time.monotonic() - began
            whole, took_s = straight[kind]
            path, where = Path(folder) / f"killed-{number}", None
            while where is None:
                where = killed(kind, seen, path, numbers.uniform(0, took_s), writing=number % 2 == 1)
                took_s /= 2  # the machine may be less busy now
            _to_the_end(kind, seen, path)
            states = [load_checkpoint(run) or {} for run in (whole, path)]
            parts = ("step", "nets", "optimizers", "average", "scaler")
            other = [d for part in parts for d in differences(states[0][part], states[1][part], part)]
            same += not other
            told = "the same" if not other else f"differs in {len(other)}: {other[0]}"
            print(f"{kind}: killed {where}, resumed: {told}", flush=True)
    print(f"{same} of {args.kills} bit-exact")
    return 0 if same == args.kills else 1


def _to_the_end(kind: str, seen: Decoded, folder: Path) -> None:
    process = _FORK.Process(target=run, args=(kind, seen, folder))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{kind} ended with {process.exitcode}")


if __name__ == "__main__":
    sys.exit(main())
