"""The render engine against its promises: exactness, seams, memory, time, kills, memory that runs out.

    python benchmarks/render.py [exact] [memory] [linear] [bigtiff] [outside] [speed] [kills] [oom]
    python benchmarks/render.py seams choice --pictures FOLDER

Without names all of the first line are run; those of the second need large pictures (the last of the folder are used).
Run it on an otherwise idle machine. Nets are toys but for `seams`, `choice`, `outside` and `kills`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression

import torch
import torch.nn.functional as F
from render_bigtiff import bigtiff
from render_choice import choice
from render_toys import Net, rrdb, srresnet
from torch import Tensor, nn

from upimagine import pixels
from upimagine.data.folder import list_pictures
from upimagine.data.tiles import low_plane
from upimagine.errors import UpimagineError
from upimagine.guide.faces import FaceGuide, tender_places
from upimagine.make.stages import render_settings
from upimagine.models.loaded import load_upscaler
from upimagine.pixels.resizing import resize_antialiased
from upimagine.recipe import Enlarge
from upimagine.render.enlarge import MemorySink, Settings, enlarge

# One-sided radii in low-res pixels: every 3x3 is 1 (15 a dense block), after two doublings a quarter, a 9x9 four.
RADII = {"RRDB, 2 blocks": (lambda: rrdb(2, 16, 8), 33), "SRResNet, 4 blocks": (srresnet, 17)}


def picture(height: int, width: int) -> Tensor:
    random_ = torch.Generator().manual_seed(height * 10_000 + width)
    return torch.rand(1, 3, height, width, generator=random_) * 1.6 - 0.8


def render(low: Tensor, net: Net, settings: Settings) -> Tensor:
    sink = MemorySink()
    enlarge(low, net, guide=None, critic=None, settings=settings, sink=sink)
    return sink.picture()


def exact() -> None:
    for name, (make, radius_px) in RADII.items():
        for height, width in ((61, 97), (128, 75), (33, 200)):
            worst = {}
            for onednn in (True, False):
                with torch.backends.mkldnn.flags(enabled=onednn), torch.no_grad():
                    net = Net(make(), radius_px, 32)
                    low = picture(height, width)
                    whole = net.upscale(low).clamp(-1, 1)
                    worst[onednn] = float((render(low, net, Settings()) - whole).abs().max())
            print(f"exact: {name}, {width}x{height}: {worst[True]:.1e} with oneDNN, {worst[False]:.1e} without")


def seams(paths: list[Path], blends: tuple[str, ...] = ("feather", "cut", "multiband")) -> None:
    upscaler, guide = load_upscaler("portrait-x8"), FaceGuide("rgb")
    for blend in blends:
        found = []
        for path in paths:
            truth = pixels.read(path).pixels[None]
            side = min(truth.shape[2:]) // 24 * 24
            low = low_plane(truth[:, :, :side, :side])
            height, width = low.shape[2:]
            seen = resize_antialiased(low, (height * 4 // 3, width * 4 // 3))
            report = enlarge(
                low,
                upscaler,
                guide=guide.draw(seen, (height, width)),
                critic=upscaler.critic,
                settings=render_settings(Enlarge(model="portrait-x8", stride_px=16, blend=blend), upscaler.window_px),  # type: ignore[arg-type]
                sink=MemorySink(),
                avoid=None if blend == "feather" else tender_places(seen, (height, width)),
            )
            found.append(report.seams)
        ratio, dip = ([getattr(each, name) for each in found] for name in ("ratio", "contrast_dip"))
        step, period = ([getattr(each, name) for each in found] for name in ("tone_step", "period"))
        print(
            f"seams, {blend}: ratio {statistics.mean(ratio):.3f} ({min(ratio):.3f} to {max(ratio):.3f}), contrast dip "
            f"{statistics.mean(dip):.3f} ({min(dip):.3f} least), tone step {statistics.mean(step):+.2f}, period "
            f"{statistics.mean(period):.2f}; called visible: {sum(each.visible for each in found)} of {len(found)}"
        )


NEAREST = """
import resource, sys, time
import torch
import torch.nn.functional as F
from pathlib import Path
from upimagine import pixels
from upimagine.pixels.mapped import Mapped
from upimagine.render.enlarge import Settings, enlarge
class Nearest:
    scale, window_px, guide_channels, radius_px, align_px = 8, 64, 0, None, 1
    def upscale(self, tiles):
        return tiles.repeat_interleave(8, 2).repeat_interleave(8, 3)
torch.set_num_threads(int(sys.argv[4]))
height, width, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
low = Mapped(torch.rand(1, 3, height // 8, width // 8).mul_(1.6).sub_(0.8), out.parent)
began = time.perf_counter()
with pixels.Canvas(out, height, width, bit_depth=8, overwrite=True,
                   encoding=pixels.Encoding(compression="none")) as canvas:
    enlarge(low.tensor, Nearest(), guide=None, critic=None, settings=Settings(stride_px=48, flips=False), sink=canvas,
            let_go=low.let_go)
    canvas.commit()
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _nearest(height: int, width: int, threads: int) -> tuple[float, float]:
    """Seconds and peak MB of a process that renders a picture of this size with a net that costs nothing."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [sys.executable, "-c", NEAREST, str(height), str(width), f"{folder}/a.tif", str(threads)]
        seconds, peak_mb = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak_mb)


def memory(threads: int) -> None:
    for height, width in ((8192, 8192), (16384, 16384), (8192, 32768), (32768, 32768)):
        seconds, peak_mb = _nearest(height, width, threads)
        print(f"memory: {width}x{height}: peak {peak_mb:.0f} MB, {seconds:.0f} s")


def linear(threads: int) -> None:
    sides = (1024, 2048, 4096, 8192, 16384, 32768)
    times = [min(_nearest(side, side, threads)[0] for _ in range(3 if side < 16384 else 1)) for side in sides]
    # Least squares through all sizes, as logarithms; and the upper end alone, less the fixed cost of a process.
    pixels_log, times_log = [math.log(side**2) for side in sides], [math.log(seconds) for seconds in times]
    fitted = linear_regression(pixels_log, times_log).slope
    upper = math.log((times[-1] - times[0]) / (times[-3] - times[0])) / math.log((sides[-1] / sides[-3]) ** 2)
    told = ", ".join(f"{side}: {seconds:.2f} s" for side, seconds in zip(sides, times, strict=True))
    print(f"linear: {told}; exponent {fitted:.3f} over all, {upper:.3f} from {sides[-3]} to {sides[-1]}")


def outside() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        pixels.write(photo, F.interpolate(picture(32, 32), scale_factor=16, mode="bicubic")[0].clamp(-1, 1))
        for blend in ("feather", "cut", "multiband"):
            command = [sys.executable, "-m", "upimagine", "enlarge", str(photo), "-o", f"{folder}/a.tif", "--json"]
            command += ["--overwrite", "--blend", blend]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["enlarged"][0]
            print(
                f"outside: {told['width']}x{told['height']} {blend}: {told['outside_networks']:.1%} of "
                f"{told['seconds']} s"
            )


def speed() -> None:
    low = picture(180, 240)
    module = rrdb(6)
    plain_net = Net(rrdb(6), 94, 64)
    plain_net.module = plain_net.module.to(memory_format=torch.contiguous_format)
    half = Net(module.to(torch.bfloat16), 94, 64)

    def plain() -> Tensor:
        """One tile at a time in float32, halo 94, as a straightforward script would."""
        out = torch.empty(1, 3, 720, 960)
        with torch.no_grad():
            for top in range(0, 180, 64):
                for left in range(0, 240, 64):
                    t, b, le, r = max(top - 94, 0), min(top + 158, 180), max(left - 94, 0), min(left + 158, 240)
                    tile = plain_net.module(low[:, :, t:b, le:r])
                    bottom, right = min(top + 64, 180), min(left + 64, 240)
                    out[:, :, top * 4 : bottom * 4, left * 4 : right * 4] = tile[
                        :, :, (top - t) * 4 : (bottom - t) * 4, (left - le) * 4 : (right - le) * 4
                    ]
        return out

    def timed(call: Callable[[], Tensor]) -> tuple[float, Tensor]:
        began = time.perf_counter()
        result = call()
        return time.perf_counter() - began, result

    ours = {"bf16": half, "float32": Net(rrdb(6), 94, 64)}
    base_s, base = timed(plain)
    for name, net in ours.items():
        turns = [timed(lambda net=net: render(low, net, Settings(batch_tiles=4))) for _ in range(3)]  # type: ignore[misc]
        seconds = statistics.median(each for each, _ in turns)
        worst = float((turns[0][1] - base.clamp(-1, 1)).abs().max()) * 127.5
        print(
            f"speed: plain float32 {base_s:.1f} s, ours in {name} {seconds:.1f} s: {base_s / seconds:.2f}x, "
            f"largest difference {worst:.2f}/255"
        )


ENLARGE = """
import sys
from pathlib import Path
from upimagine.make.machine import settle
from upimagine.make.picture import enlarge
print("begun", flush=True)
enlarge(Path(sys.argv[1]), Path(sys.argv[2]), to_px=1024, models=("detail-x8",),
        machine=settle(threads=int(sys.argv[3])), save_every_s=0)
"""


def kills(threads: int, count: int = 20) -> None:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        pixels.write(photo, F.interpolate(picture(16, 16), scale_factor=16, mode="bicubic")[0].clamp(-1, 1))

        def begin(out: Path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", ENLARGE, str(photo), str(out), str(threads)], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            process.stdout.readline()
            return process

        began = time.perf_counter()
        whole = Path(folder) / "whole" / "a.tif"
        begin(whole).wait()
        lasted = time.perf_counter() - began
        same = 0
        for number in range(count):
            out = Path(folder) / f"{number}" / "a.tif"
            process = begin(out)
            time.sleep(chance.uniform(0, lasted))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if not out.exists():
                begin(out).wait()
            same += out.read_bytes() == whole.read_bytes()
        print(f"kills: {same} of {count} ended in the same bytes")


class Failing(Net):
    """Runs out of memory on the tile whose first pixel has a value, so many times; notes the first pixels it sees."""

    mark, times = math.nan, 0.0

    def __init__(self, module: nn.Module, radius_px: int | None) -> None:
        super().__init__(module, radius_px, 8)
        self.seen: dict[float, None] = {}

    def upscale(self, tiles: Tensor) -> Tensor:
        marks = tiles[:, 0, 0, 0].tolist()
        self.seen |= dict.fromkeys(marks)
        if self.times > 0 and self.mark in marks:
            self.times -= 1
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return super().upscale(tiles)


def oom() -> None:
    low, settings = picture(48, 40), Settings(stride_px=8, batch_tiles=4)
    for name, radius_px in (("exact", 9), ("inventive", None)):
        net = Failing(srresnet(1, 4), radius_px)
        right = render(low, net, settings)
        tiles = list(net.seen)
        whole, clear = 0, 0
        for mark, times in itertools.product(tiles, (1, math.inf)):
            net.mark, net.times = mark, times
            try:
                whole += bool(torch.allclose(render(low, net, settings), right, atol=1e-6))
            except UpimagineError as error:
                clear += "out of memory" in str(error)
        wrong = 2 * len(tiles) - whole - clear
        print(
            f"oom: {name}, each of {len(tiles)} tiles as shown, once and for good: {whole} pictures right, {clear} "
            f"clear errors, {wrong} wrong"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", nargs="*", default=["exact", "memory", "linear", "bigtiff", "outside", "speed", "kills", "oom"]
    )
    parser.add_argument("--pictures", type=Path, help="folder of large pictures, for seams and choice")
    parser.add_argument("--last", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for what in args.what:
        if what in ("seams", "choice"):
            if args.pictures is None:
                parser.error(f"{what} needs --pictures")
            {"seams": seams, "choice": choice}[what](list_pictures([args.pictures])[-args.last :])
        elif what == "bigtiff":
            bigtiff(Path.cwd())
        elif what in ("memory", "linear", "kills"):
            {"memory": memory, "linear": linear, "kills": kills}[what](args.threads)
        else:
            {"exact": exact, "outside": outside, "speed": speed, "oom": oom}[what]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
