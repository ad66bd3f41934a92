"""Train a J-net to up-imagine x8, on folders or archives of large pictures.

    upimagine train upres --data PICTURES --out runs/mine --perceptual vgg16_relu4_3.safetensors

The seed's own form is `--consistency none --perceptual-weight 0 --width 1`. See the cards of `portrait-x8` and
`detail-x8` for commands, time, hardware and scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from upimagine.data.sources import opened
from upimagine.data.tiles import TileAugment, TileSource, tile_at, tile_source
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.faces import FaceGuide
from upimagine.guide.raster import Style
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.losses.low_res import low_res_l1
from upimagine.losses.perceptual import Distance, PerceptualLoss
from upimagine.models.file import save_model
from upimagine.nets.jnet import Consistency, JNet, JNetDiscriminator, enlarge_smoothly
from upimagine.nets.vgg import load_vgg16
from upimagine.train.begin import begin_with
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.task import Batch, Phase

_WARMUP_L1_WEIGHT = 10.0


@dataclass(frozen=True)
class UpresSettings:
    """What is particular to a J-net."""

    guide: Literal["face", "face-channels", "none"] = "face"  # landmarks drawn in colours, or a channel a feature
    width: float = 0.5  # of the J-net; 1 is the seed's size (40.6M parameters), 0.5 a quarter of it
    critic_width: int = 32  # channels of the discriminator's first layer; 64 is pix2pix's
    consistency: Consistency = "residual"  # none (the seed's), residual, project: see `nets.jnet.JNet`
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5  # Adam's
    gan_weight: float = 1.0  # of the adversarial term
    low_res_weight: float = 100.0  # of the L1 between pooled pictures
    perceptual_weight: float = 30.0  # of the VGG16 feature term; needs --perceptual
    perceptual: Path | None = None  # VGG16 features (safetensors, torchvision key names)
    perceptual_distance: Distance = "unit"  # l1: what is in its place; unit: the right texture, even out of place
    perceptual_crop_px: int = 224  # side of the random crop of each tile that the feature term looks at
    warmup_steps: int = (
        250  # first without an adversary, plus a plain L1, so that it will meet something like a picture
    )
    scales: tuple[float, ...] = (1.0,)  # every picture is also shown shrunk by these
    init_from: Path | None = None  # begin with the weights of this upscaler model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if not 0 < self.width <= 4 or self.critic_width < 1 or not 0 < self.learning_rate < 1:
            return "--width must lie in 0 to 4, --critic-width be at least 1, --learning-rate between 0 and 1"
        for name in ("gan_weight", "low_res_weight", "perceptual_weight", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        if not self.scales or not all(0 < scale <= 2 for scale in self.scales):
            return f"--scales {' '.join(map(str, self.scales))} cannot work; give numbers above 0, up to 2"
        if self.perceptual_crop_px < 16:
            return f"--perceptual-crop-px {self.perceptual_crop_px} is too small; use at least 16"
        return None


class UpresTask:
    """J-net and its conditional PatchGAN, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(
        self, settings: UpresSettings, augment: TileAugment, sources: list[TileSource], engine: Engine, seed: int
    ) -> None:
        self._settings, self._augment, self._sources = settings, augment, sources
        self._engine, self._seed = engine, seed
        guide_channels = sources[0].low.shape[0] - 3
        generator = JNet(guide_channels, settings.width, settings.consistency)
        discriminator = JNetDiscriminator(3 + guide_channels, settings.critic_width)
        self._begun = {} if settings.init_from is None else begin_with(settings.init_from, generator, discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        self.phases = [
            Phase(
                name,
                (name,),
                torch.optim.Adam(self.nets[name].parameters(), settings.learning_rate, (settings.beta1, 0.999)),
                first_step,
            )
            for name, first_step in (("discriminator", settings.warmup_steps), ("generator", 0))
        ]
        self._perceptual: nn.Module | None = None
        if settings.perceptual is not None and settings.perceptual_weight > 0:
            self._perceptual = engine.place(
                PerceptualLoss(
                    load_vgg16(settings.perceptual),
                    crop_px=settings.perceptual_crop_px,
                    distance=settings.perceptual_distance,
                )
            )

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        # File names only: a model is given away, and paths tell of its maker's folders.
        plain = {
            name: value.name if isinstance(value, Path) else value for name, value in asdict(self._settings).items()
        }
        plain["scales"] = list(self._settings.scales)
        return plain | {"task": "upres", "sources": len(self._sources)} | asdict(self._augment)

    def batch(self, position: int, count: int) -> Batch:
        """{"low": (count, C, 32, 32), "high": (count, 3, 256, 256)}."""
        pairs = [
            tile_at(self._sources, place, self._seed, self._augment) for place in range(position, position + count)
        ]
        return {"low": torch.stack([low for low, _ in pairs]), "high": torch.stack([high for _, high in pairs])}

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made tiles, used by both phases."""
        return {"fake": self.nets["generator"](batch["low"])}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Adversarial, low-res and perceptual terms; a plain L1 in place of the first while warming up."""
        s, discriminator = self._settings, self.nets["discriminator"]
        fake, high, low = made["fake"], batch["high"], batch["low"]
        if phase == "discriminator":
            real_logits, fake_logits = discriminator(high, low), discriminator(fake.detach(), low)
            loss = non_saturating_discriminator(real_logits, fake_logits)
            return loss, {"loss": loss, "real": real_logits.float().mean(), "fake": fake_logits.float().mean()}
        fidelity = low_res_l1(fake, high)
        loss = s.low_res_weight * fidelity
        plotted = {"low_res_l1": fidelity}
        if self._perceptual is not None:
            perceptual = self._perceptual(fake, high)
            loss = loss + s.perceptual_weight * perceptual
            plotted["perceptual"] = perceptual
        if step < s.warmup_steps:
            loss = loss + _WARMUP_L1_WEIGHT * (fake.float() - high).abs().mean()
        else:
            adversarial = non_saturating_generator(discriminator(fake, low))
            loss = loss + s.gan_weight * adversarial
            plotted["adversarial"] = adversarial
        return loss, plotted

    def preview(self, averaged: nn.Module) -> Tensor:
        """Eight tiles of the training stream: enlarged input, what is made, truth."""
        pairs = [
            tile_at(self._sources, place, self._seed + 1, TileAugment(False, 0, 0, 0, 0, 0, 0)) for place in range(8)
        ]
        low = torch.stack([pair[0] for pair in pairs]).to(self._engine.device)
        with torch.inference_mode(), self._engine.autocast():
            made = averaged(low).float()
        rows = [
            enlarge_smoothly(low[:, :3].float()).clamp(-1, 1),
            made,
            torch.stack([pair[1] for pair in pairs]).to(made),
        ]
        return picture_grid(torch.stack(rows, dim=1).flatten(0, 1), columns=6)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The averaged J-net, and the discriminator as critic for choosing candidates."""
        save_model(
            path,
            "upscaler",
            averaged,
            self.nets["discriminator"],
            progress | {"task": "upres", "begun_from": self._begun},
        )


def make_upres_task(
    data: list[Path], settings: UpresSettings, augment: TileAugment, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], UpresTask]:
    """Decode all pictures once (unusable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    styles: dict[str, Style] = {"face": "rgb", "face-channels": "channels"}
    guide = FaceGuide(styles[settings.guide]) if settings.guide in styles else None
    sources: list[TileSource] = []
    reason = ""
    with opened(data) as found:
        for picture in found:
            for scale in settings.scales:
                try:
                    sources.append(tile_source(picture, scale, guide))
                except PictureError as error:
                    reason = str(error)
                    if scale == max(settings.scales):
                        on_skip(picture.path, reason)
    if not sources:
        raise UpimagineError(f"no picture could be used for tiles of 256 px; the last: {reason}")
    return lambda engine: UpresTask(settings, augment, sources, engine, seed)
