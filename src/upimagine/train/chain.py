"""Fine-tune two enlarging models together, so that each allows for the other (the EnhanceGAN post's last stage).

    upimagine train chain --data PICTURES --first enhance.safetensors --second jnet.safetensors --out runs/chain

The first one's tile must make at least the second one's: 8 px to 32 px (EnhanceGAN), then 32 px to 256 px (J-net). The
run's folder holds both afterwards: `enlarge --with runs/chain/first.safetensors --with runs/chain/model.safetensors`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import drawn_at
from upimagine.data.sources import opened
from upimagine.data.tiles import TileAugment, TileSource, tile_at, tile_source
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.kinds import guide_named
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.losses.perceptual import Distance, PerceptualLoss
from upimagine.models.builtin import find
from upimagine.models.file import ModelFile, load_model_file, save_model
from upimagine.models.loaded import LoadedUpscaler, load_upscaler
from upimagine.nets.vgg import load_vgg
from upimagine.train.begin import origin_of
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.task import Batch, Phase

FIRST_NAME = "first.safetensors"
_SHOWN = 6


@dataclass(frozen=True)
class ChainSettings:
    """What is particular to a chain."""

    first: Path | None = None  # the model that enlarges first
    second: Path | None = None  # the one that enlarges what the first makes
    learning_rate: float = 2e-5  # of all networks: a tenth of what they began with
    beta1: float = 0.5  # Adam's
    gan_weight: float = 1.0  # of the adversarial term
    low_res_weight: float = 100.0  # of the L1 between the result, pooled to the middle size, and the truth there
    middle_weight: float = 10.0  # of the L1 between what the first one makes and the truth at that size
    perceptual_weight: float = 30.0  # of the VGG feature term on the result; needs --perceptual
    # VGG16 or VGG19: safetensors with torchvision's key names, or the file that torchvision serves
    perceptual: Path | None = None
    perceptual_distance: Distance = "unit"  # l1: what is in its place; unit: the right texture, even out of place
    perceptual_crop_px: int = 224  # side of the random crop of each tile that the feature term looks at

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.first is None or self.second is None:
            return "--first and --second must name the two models of the chain"
        for name in ("gan_weight", "low_res_weight", "middle_weight", "perceptual_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        if not 0 < self.learning_rate < 1 or self.perceptual_crop_px < 16:
            return "--learning-rate must lie between 0 and 1, --perceptual-crop-px be at least 16"
        return None


class Chain(nn.Module):
    """Two enlarging networks, the second one on a window of what the first makes."""

    def __init__(self, first: nn.Module, second: nn.Module, window_px: int) -> None:
        super().__init__()
        self.first, self.second, self.window_px = first, second, window_px

    def forward(self, small: Tensor, guide: Tensor, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tiles (N, 3, w, w), guides (N, C, v, v), corners (N, 2) to what the first one makes (N, 3, m, m), the second
        one's input (N, 3 + C, v, v), windows of it at the corners, and its result (N, 3, s v, s v)."""
        middle = self.first(small)
        window = torch.cat((cut(middle.float(), corners, self.window_px), guide), dim=1)
        return middle, window, self.second(window)


def cut(pictures: Tensor, corners: Tensor, side: int) -> Tensor:
    """A square of each of (N, C, H, W), its upper left corner (y, x) from (N, 2): (N, C, side, side)."""
    places = zip(pictures, corners.tolist(), strict=True)
    return torch.stack([each[:, y : y + side, x : x + side] for each, (y, x) in places])


class ChainTask:
    """Both networks and the second one's discriminator, one step each; see `train.task.Task`."""

    averaged = "chain"

    def __init__(
        self,
        settings: ChainSettings,
        augment: TileAugment,
        files: tuple[ModelFile, ModelFile],
        sources: list[TileSource],
        engine: Engine,
        seed: int,
    ) -> None:
        self._settings, self._sources, self._engine, self._seed = settings, sources, engine, seed
        # The first one's input is made of the truth, so nothing may be done to that.
        self._augment = replace(augment, blur_px=0.0, noise=0.0, checkerboard=0.0, levels=0, jpeg=0)
        self._files = files
        first, second = files
        self._scales = (int(first.main.scale), int(second.main.scale))  # type: ignore[arg-type]
        self._window_px = int(second.main.window_px)  # type: ignore[arg-type]
        self._middle_px = int(first.main.window_px) * self._scales[0]  # type: ignore[arg-type]
        assert second.critic is not None
        self.nets: dict[str, nn.Module] = {
            "discriminator": second.critic.requires_grad_(True),
            "chain": Chain(first.main, second.main, self._window_px).requires_grad_(True),
        }
        s = settings
        self.phases = [
            Phase(name, (net,), torch.optim.Adam(self.nets[net].parameters(), s.learning_rate, (s.beta1, 0.999)))
            for name, net in (("discriminator", "discriminator"), ("generator", "chain"))
        ]
        self._perceptual: nn.Module | None = None
        if s.perceptual is not None and s.perceptual_weight > 0:
            eye = load_vgg(s.perceptual)
            self._perceptual = engine.place(
                PerceptualLoss(eye, crop_px=s.perceptual_crop_px, distance=s.perceptual_distance)
            )

    def settings(self) -> dict[str, Any]:
        """The settings, the models' hashes and the number of pictures, for the checkpoint."""
        plain = {
            name: value.name if isinstance(value, Path) else value for name, value in asdict(self._settings).items()
        }
        begun = [file.sha256 for file in self._files]
        return plain | {"task": "chain", "begun": begun, "sources": len(self._sources)} | asdict(self._augment)

    def batch(self, position: int, count: int) -> Batch:
        """{"small": (count, 3, w, w), "middle": (count, 3, m, m), "guide": (count, C, v, v), "corners": (count, 2),
        "high": (count, 3, s v, s v)}; the last three of a window of the middle."""
        return self._tiles(range(position, position + count), self._seed, self._augment)

    def _tiles(self, places: range, seed: int, augment: TileAugment) -> Batch:
        scale, spare = self._scales[1], self._middle_px - self._window_px
        pairs = [tile_at(self._sources, at, seed, augment, self._middle_px, scale) for at in places]
        low, high = torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])
        # Where on the first one's result: random numbers of its own, so that the tiles are those of any other task.
        draws = [drawn_at(at, 1, seed + 1)[1].integers(0, spare + 1, 2).tolist() for at in places]
        corners = torch.tensor(draws, dtype=torch.int64)
        return {
            "small": F.avg_pool2d(low[:, :3], self._scales[0]),
            "middle": low[:, :3],
            "guide": cut(low[:, 3:], corners, self._window_px),
            "corners": corners,
            "high": cut(high, corners * scale, self._window_px * scale),
        }

    def forward(self, batch: Batch, step: int) -> Batch:
        """What both networks make, used by both phases."""
        middle, window, made = self.nets["chain"](batch["small"], batch["guide"], batch["corners"])
        return {"middle": middle, "window": window, "made": made}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator sees truths beside true windows and results beside those that the first one made."""
        s, judge, high = self._settings, self.nets["discriminator"], batch["high"]
        window = made["window"].detach()
        if phase == "discriminator":
            true_window = torch.cat((cut(batch["middle"], batch["corners"], self._window_px), batch["guide"]), dim=1)
            real, fake = judge(high, true_window), judge(made["made"].detach(), window)
            loss = non_saturating_discriminator(real, fake)
            return loss, {"loss": loss, "real": real.float().mean(), "fake": fake.float().mean()}
        pooled = [F.avg_pool2d(each.float(), self._scales[1]) for each in (made["made"], high)]
        plotted = {
            "low_res_l1": (pooled[0] - pooled[1]).abs().mean(),
            "middle_l1": (made["middle"].float() - batch["middle"]).abs().mean(),
            "adversarial": non_saturating_generator(judge(made["made"], window)),
        }
        loss = (
            s.low_res_weight * plotted["low_res_l1"]
            + s.middle_weight * plotted["middle_l1"]
            + s.gan_weight * plotted["adversarial"]
        )
        if self._perceptual is not None:
            plotted["perceptual"] = self._perceptual(made["made"], high)
            loss = loss + s.perceptual_weight * plotted["perceptual"]
        return loss, plotted

    def preview(self, averaged: nn.Module) -> Tensor:
        """Tiles of the training stream: what is given, what the first one makes of it, the result, truth."""
        tiles = self._tiles(range(_SHOWN), self._seed + 1, TileAugment(False, 0, 0, 0, 0, 0, 0))
        placed = {name: value.to(self._engine.device) for name, value in tiles.items()}
        with torch.inference_mode(), self._engine.autocast():
            middle, _, made = averaged(placed["small"], placed["guide"], placed["corners"])
        seen = cut(middle.float().cpu(), tiles["corners"], self._window_px)
        times = self._scales[0] * self._scales[1]
        given = F.interpolate(tiles["small"], scale_factor=times, mode="nearest")
        rows = [
            cut(given, tiles["corners"] * self._scales[1], tiles["high"].shape[2]),
            F.interpolate(seen, scale_factor=self._scales[1], mode="nearest"),
            made.float().cpu(),
            tiles["high"],
        ]
        return picture_grid(torch.stack(rows, dim=1).flatten(0, 1), columns=4)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The second model where every run has its model, the first one beside it."""
        assert isinstance(averaged, Chain)
        nets = (averaged.first, averaged.second)
        critics = (self._files[0].critic, self.nets["discriminator"])
        # Each keeps the settings that tell how it is used: its guide, say.
        for file, net, critic, where in zip(
            self._files, nets, critics, (path.with_name(FIRST_NAME), path), strict=True
        ):
            told = {name: value for name, value in file.story.get("settings", {}).items() if name.startswith("guide")}
            story = progress | {"settings": progress["settings"] | told}
            save_model(where, "upscaler", net, critic, story | {"task": "chain", "begun_from": origin_of(file)})


def make_chain_task(
    data: list[Path], settings: ChainSettings, augment: TileAugment, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], ChainTask]:
    """Decode all pictures once (unusable ones go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem() or augment.problem():
        raise UpimagineError(problem)
    assert settings.first is not None
    assert settings.second is not None
    paths = (find(settings.first), find(settings.second))
    first, second = (load_upscaler(path) for path in paths)
    if problem := _misfit(first, second):
        raise UpimagineError(problem)
    middle_px, guide = first.window_px * first.scale, guide_named(second.guide_kind)
    sources: list[TileSource] = []
    reason = ""
    with opened(data) as found:
        for picture in found:
            try:
                sources.append(tile_source(picture, 1.0, guide, middle_px, second.scale))
            except PictureError as error:
                reason = str(error)
                on_skip(picture.path, reason)
    if not sources:
        raise UpimagineError(f"no picture could be used for tiles of {middle_px * second.scale} px; the last: {reason}")

    def begin(engine: Engine) -> ChainTask:
        # Read anew: networks that `load_upscaler` has made may be at work elsewhere, in another number format.
        files = (load_model_file(paths[0]), load_model_file(paths[1]))
        return ChainTask(settings, augment, files, sources, engine, seed)

    return begin


def _misfit(first: LoadedUpscaler, second: LoadedUpscaler) -> str | None:
    """Why these two cannot be trained together, in words, or None."""
    one, other = first.file.path.name, second.file.path.name
    made_px = first.window_px * first.scale
    if first.guide_channels:
        return f"--first {one} takes a guide, which a chain does not draw for it; train it with --guide none"
    if second.guide_kind.startswith("raster"):
        return (
            f"--second {other} takes guides of your own, which a chain does not read; use one with --guide face or none"
        )
    if made_px < second.window_px:
        return f"--first {one} makes {made_px} px of a tile, --second {other} wants {second.window_px} px at least"
    if second.critic is None:
        return f"--second {other} has no critic to go on with; use a model trained by train upres or pix2pix"
    return None
