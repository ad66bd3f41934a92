"""How fast a J-net's tiles are made: against plain float32 PyTorch, and against what the processor can do at all.

    python benchmarks/jnet.py [--model portrait-x8] [--threads 2] [--tiles 32] [--clock processor]

Plain: the same network in float32 as a script would run it, one tile a call, torch's threads sharing each call. Ours:
as rendering runs it (number format, memory format, tiles side by side). Peak: the fastest bf16 matrix product of this
run, all threads on one product or a product each, whichever is more. Best of several rounds, taken in turns, so that
other work on the machine hits all of them; with `--clock processor` it counts only what this process was given, which
shows less of what side by side brings but bears a busy machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from upimagine.errors import UpimagineError
from upimagine.models.builtin import find
from upimagine.models.file import load_model_file
from upimagine.models.loaded import load_upscaler
from upimagine.render.network import NetworkCalls
from upimagine.render.threads import single_threads

_SIDE = 2048  # of the matrices
_BATCH = 32  # a recipe's


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began


def products(threads: int) -> dict[str, Callable[[], None]]:
    """As many bf16 matrix products as there are threads, in two ways."""
    pairs = [torch.randn(2, _SIDE, _SIDE).bfloat16() for _ in range(threads)]
    pool: ThreadPoolExecutor = single_threads(threads)

    def together() -> None:
        for left, right in pairs:
            _ = left @ right

    def side_by_side() -> None:
        list(pool.map(lambda pair: pair[0] @ pair[1], pairs))

    return {"together": together, "side by side": side_by_side}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="portrait-x8", help="built-in upscaler or model file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tiles", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        plain, ours = load_model_file(find(args.model)).main, load_upscaler(args.model, "cpu")
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    torch.manual_seed(0)
    tiles = torch.rand(args.tiles, 3 + ours.guide_channels, ours.window_px, ours.window_px) * 2 - 1
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        plain(tiles[:1])
    flop = counter.get_total_flops()
    made: dict[str, list[Tensor]] = {"plain": [], "ours": [torch.empty(0)] * args.tiles}

    def run_plain() -> None:
        with torch.inference_mode():
            made["plain"] = [plain(tile)[0] for tile in tiles.split(1)]

    def keep(items: slice, output: Tensor) -> None:
        made["ours"][items] = list(output)

    def run_ours() -> None:
        calls.run(args.tiles, lambda items: ours.upscale(tiles[items]), keep, lambda number: f"tile {number}")

    with NetworkCalls(_BATCH, torch.device("cpu")) as calls:
        work = {"plain": run_plain, "ours": run_ours} | products(args.threads)
        for each in work.values():  # warm up
            each()
        clock = CLOCKS[args.clock]
        rounds = [{name: seconds(each, clock) for name, each in work.items()} for _ in range(args.rounds)]
    best = {name: min(each[name] for each in rounds) for name in work}
    peak = 2 * _SIDE**3 * args.threads / min(best["together"], best["side by side"])
    rate = flop * args.tiles / best["ours"]
    difference = (torch.stack(made["plain"]) - torch.stack(made["ours"]).float()).abs() * 127.5
    result = {
        "model": args.model,
        "threads": args.threads,
        "clock": args.clock,
        "gflop_a_tile": round(flop / 1e9, 2),
        "plain_tile_ms": round(best["plain"] / args.tiles * 1000, 1),
        "ours_tile_ms": round(best["ours"] / args.tiles * 1000, 1),
        "times_plain": round(best["plain"] / best["ours"], 2),
        "peak_gflops": round(peak / 1e9, 1),
        "share_of_peak": round(rate / peak, 3),
        "mean_difference_of_255": round(float(difference.mean()), 2),
    }
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
