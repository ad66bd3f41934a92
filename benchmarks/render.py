"""The render engine against its promises: exactness, seams, memory, time, kills, memory that runs out.

    python benchmarks/render.py [exact] [seams --pictures FOLDER] [memory] [linear] [outside] [speed] [kills] [oom]

Without names all are run but `seams`, which needs large pictures (the last 12 of the folder are used). Run it on an
otherwise idle machine. Nets are toys, untrained, of the shapes of RRDBNet and SRResNet, but for `seams` and `outside`.
"""

from __future__ import annotations

import argparse
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

import torch
import torch.nn.functional as F
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


class Dense(nn.Module):
    """Residual-in-residual dense block of RRDBNet (Wang et al. 2018, 1809.00219)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(width + layer * growth, growth if layer < 4 else width, 3, 1, 1) for layer in range(5)
            )
            for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        start = x
        for layers in self.blocks:
            seen = [x]
            for layer in list(layers)[:-1]:
                seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
            x = x + 0.2 * layers[-1](torch.cat(seen, 1))
        return start + 0.2 * x


class Residual(nn.Module):
    """Of SRResNet, without batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Net:
    """A module as an upscaler with a finite radius."""

    guide_channels, align_px = 0, 1

    def __init__(self, module: nn.Module, radius_px: int | None, window_px: int, scale: int = 4) -> None:
        self.module = module.eval().to(memory_format=torch.channels_last)
        self.radius_px, self.window_px, self.scale = radius_px, window_px, scale

    def upscale(self, tiles: Tensor) -> Tensor:
        return self.module(tiles.to(next(self.module.parameters()).dtype)).float()


def rrdb(blocks: int = 6, width: int = 64, growth: int = 32) -> nn.Module:
    torch.manual_seed(0)
    ends = [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    more = [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    body = [Dense(width, growth) for _ in range(blocks)]
    return nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), *body, *ends, *more, nn.Conv2d(width, 3, 3, 1, 1))


def srresnet(blocks: int = 4, width: int = 32) -> nn.Module:
    torch.manual_seed(0)
    ups = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
    more = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
    body = [Residual(width) for _ in range(blocks)]
    return nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), *body, *ups, *more, nn.Conv2d(width, 3, 9, 1, 4))


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


def seams(folder: Path, last: int, blends: tuple[str, ...] = ("feather", "cut", "multiband")) -> None:
    upscaler, guide = load_upscaler("portrait-x8"), FaceGuide("rgb")
    for blend in blends:
        found = []
        for path in list_pictures([folder])[-last:]:
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
    # The fixed cost of a process is taken off, as it hides the slope at the small end.
    slope = math.log((times[-1] - times[0]) / (times[-3] - times[0])) / math.log((sides[-1] / sides[-3]) ** 2)
    told = ", ".join(f"{side}: {seconds:.2f} s" for side, seconds in zip(sides, times, strict=True))
    print(f"linear: {told}; exponent from {sides[-3]} to {sides[-1]}: {slope:.3f}")


def outside() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        pixels.write(photo, F.interpolate(picture(32, 32), scale_factor=16, mode="bicubic")[0].clamp(-1, 1))
        for extra in ((), ("--blend", "cut"), ("--blend", "multiband")):
            command = [sys.executable, "-m", "upimagine", "enlarge", str(photo), "-o", f"{folder}/a.tif", "--json"]
            command += ["--overwrite", *extra]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["enlarged"][0]
            print(
                f"outside: {told['width']}x{told['height']} {' '.join(extra)}: {told['outside_networks']:.1%} of "
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
enlarge(Path(sys.argv[1]), Path(sys.argv[2]), to_px=2048, models=("detail-x8",), machine=settle(threads=2),
        save_every_s=0)
"""


def kills(count: int = 20) -> None:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        pixels.write(photo, F.interpolate(picture(16, 16), scale_factor=16, mode="bicubic")[0].clamp(-1, 1))

        def begin(out: Path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", ENLARGE, str(photo), str(out)], stdout=subprocess.PIPE, text=True
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


def oom() -> None:
    low = picture(40, 52)
    right = render(low, Net(srresnet(), 17, 8), Settings(batch_tiles=4))
    whole, clear = 0, 0
    attempts = 60
    for at in range(attempts):
        net = Net(srresnet(), 17, 8)
        plain, calls = net.upscale, [0]

        def failing(
            tiles: Tensor, at: int = at, plain: Callable[[Tensor], Tensor] = plain, calls: list[int] = calls
        ) -> Tensor:
            calls[0] += 1
            if at % 3 == 2 and calls[0] > at:  # from here on no tile fits
                raise MemoryError
            if calls[0] == at + 1:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return plain(tiles)

        net.upscale = failing  # type: ignore[method-assign]
        try:
            whole += bool(torch.allclose(render(low, net, Settings(batch_tiles=4)), right, atol=1e-6))
        except UpimagineError as error:
            clear += "out of memory" in str(error)
    print(f"oom: {attempts} injections: {whole} pictures right, {clear} clear errors, {attempts - whole - clear} wrong")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["exact", "memory", "linear", "outside", "speed", "kills", "oom"])
    parser.add_argument("--pictures", type=Path, help="folder of large pictures, for seams")
    parser.add_argument("--last", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for what in args.what:
        if what == "seams":
            seams(args.pictures, args.last)
        elif what in ("memory", "linear"):
            {"memory": memory, "linear": linear}[what](args.threads)
        else:
            {"exact": exact, "outside": outside, "speed": speed, "kills": kills, "oom": oom}[what]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
