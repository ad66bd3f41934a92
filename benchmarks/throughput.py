"""Training steps of ours against the plain float32 PyTorch form of the same networks and losses, in the same run.

    python benchmarks/throughput.py [dcgan-128] [pggan-64] [jnet] [processes]

Plain: float32, memory as it comes, PyTorch's own convolution and default Adam. Both take the same batches; steps of the
one and the other take turns, and the time of one is the processor time of its quickest step, on one thread, so that
other work on the machine counts as little as can be. The losses of both are printed, since a step that is wrong may be
quick, too.

`processes`: the pace of two processes of one thread each against one of one thread, for the same batch, in turns,
and the share of a step that waits for data; needs two idle cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine import pixels
from upimagine.data.folder import Decoded
from upimagine.data.tiles import TileAugment, TileSource
from upimagine.nets.convolution import conv2d
from upimagine.train.dcgan import DcganSettings, DcganTask
from upimagine.train.engine import Engine
from upimagine.train.progressive import ProgressiveSettings, ProgressiveTask
from upimagine.train.settings import LoopSettings
from upimagine.train.step import Stepper
from upimagine.train.task import Batch, Task
from upimagine.train.upres import UpresData, UpresSettings, UpresTask

_PICTURES = 16
_BEGIN = 1000  # steps before the first one


class Plain(Engine):
    """PyTorch as it comes."""

    def place(self, net: nn.Module) -> nn.Module:
        return net

    def place_batch(self, batch: Batch) -> Batch:
        return batch


def noise(size_px: int) -> Decoded:
    """Pictures; what they show does not matter to the time."""
    random = torch.Generator().manual_seed(1)
    pictures = [torch.randint(0, 256, (3, size_px, size_px), dtype=torch.uint8, generator=random)] * _PICTURES
    return Decoded(pictures, [None] * _PICTURES, [Path(str(i)) for i in range(_PICTURES)], [])


def dcgan(engine: Engine) -> Task:
    return DcganTask(DcganSettings(size_px=128), noise(128), engine, 0)


def pggan(engine: Engine) -> Task:
    """Grown to its full size long before the first step that is measured."""
    settings = ProgressiveSettings(size_px=64, stable_kimg=0.001, fade_kimg=0)
    return ProgressiveTask(settings, noise(64), engine, 0, CASES["pggan-64"][1])


def jnet(engine: Engine) -> Task:
    high, low = torch.zeros(3, 512, 512, dtype=torch.uint8), torch.zeros(3, 64, 64, dtype=torch.uint8)
    settings = UpresSettings(guide="none", warmup_steps=0)
    return UpresTask(settings, TileAugment(), UpresData([TileSource(high, low)], [], None), engine, 0)


#: How a task is made, and pictures a step.
CASES: dict[str, tuple[Callable[[Engine], Task], int]] = {
    "dcgan-128": (dcgan, 32),
    "pggan-64": (pggan, 16),
    "jnet": (jnet, 8),
}


def stepper(
    make: Callable[[Engine], Task], kind: type[Engine], precision: str
) -> tuple[Task, Callable[[Batch, int], dict[str, Tensor]]]:
    """A task from the seed, and what runs a step of it."""
    engine = kind(LoopSettings(precision=precision, device="cpu", threads=1))  # type: ignore[arg-type]
    engine.seed_step(-1)
    task = make(engine)
    for net in task.nets.values():
        engine.place(net).train()
    for phase in task.phases:
        if kind is Plain:
            group = phase.optimizer.param_groups[0]
            phase.optimizer = torch.optim.Adam(group["params"], group["lr"], group["betas"], group["eps"])
        phase.optimizer = engine.setup_optimizer(phase.optimizer)
    run = Stepper(task, engine, print)

    def step(batch: Batch, number: int) -> dict[str, Tensor]:
        engine.seed_step(number)
        return run(engine.place_batch(batch), number)

    return task, step


def against_plain(name: str, rounds: int) -> None:
    make, count = CASES[name]
    task, ours = stepper(make, Engine, "auto")
    _, plain = stepper(make, Plain, "float32")
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    losses = {}
    for number in range(_BEGIN, _BEGIN + rounds):
        batch = task.batch(number * count, count)
        for which, step, convolution in (("plain", plain, F.conv2d), ("ours", ours, conv2d)):
            with patch("upimagine.nets.equalised.conv2d", convolution):
                began = time.process_time()
                plotted = step(batch, number)
                times[which].append(time.process_time() - began)
            losses[which] = {n: round(float(v), 3) for n, v in plotted.items() if n.endswith("loss")}
    least = {which: min(some[1:]) for which, some in times.items()}  # the first step of each warms up
    usual = {which: median(some[1:]) for which, some in times.items()}
    print(
        f"{name}, {count} a step: plain {least['plain']:.3f} s, ours {least['ours']:.3f} s, ratio "
        f"{least['plain'] / least['ours']:.2f} (of medians {usual['plain'] / usual['ours']:.2f}); "
        f"after {rounds} steps {losses}",
        flush=True,
    )


def processes(rounds: int = 4) -> None:
    """Seconds per thousand pictures out of each run's log: of its quickest ticks, as the two kinds take turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, picture in enumerate(noise(128).pictures):
            pixels.write(folder / f"data/{index}.png", picture.float() / 127.5 - 1)
        rates: dict[int, list[float]] = {1: [], 2: []}
        waits: list[float] = []
        for turn in range(rounds):
            for count, found in rates.items():
                run = folder / f"run-{count}-{turn}"
                words = ["--data", str(folder / "data"), "--out", str(run), "--threads", "1"]
                words += ["--processes", str(count), "--kimg", "0.32", "--batch", "32", "--tick-kimg", "0.032"]
                command = [sys.executable, "-m", "upimagine", "train", "dcgan", *words, "--preview-kimg", "100"]
                subprocess.run(command, check=True, capture_output=True)
                lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
                found += [line["seconds_per_kimg"] for line in lines if "seconds_per_kimg" in line]
                waits += [line["data_wait"] for line in lines if "data_wait" in line]
        quick = {count: quantiles(some, n=10)[0] for count, some in rates.items()}
        usual = {count: median(some) for count, some in rates.items()}
        print(
            f"DCGAN-128, one thread a process, seconds a thousand pictures, tenth and median: one {quick[1]:.1f} and "
            f"{usual[1]:.1f}, two {quick[2]:.1f} and {usual[2]:.1f}; two against one {quick[1] / quick[2]:.2f} and "
            f"{usual[1] / usual[2]:.2f}; {median(waits):.2%} of the time waiting for data"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[*CASES, "processes"])
    parser.add_argument("--rounds", type=int, default=6)
    args = parser.parse_args()
    if unknown := set(args.what) - {*CASES, "processes"}:
        parser.error(f"unknown: {', '.join(unknown)}")
    for what in args.what:
        processes() if what == "processes" else against_plain(what, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
