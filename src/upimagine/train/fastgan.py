"""Train a FastGAN on a flat folder of pictures, for which some dozens are enough.

    upimagine train fastgan --data PICTURES --out runs/mine

Liu, Zhu, Song & Elgammal 2021 (2101.04775): hinge loss, DiffAugment, and a discriminator that must also be able to
paint the real pictures from its maps. Rates, policy and batch are those of the authors' code (train.py of
odegeasslbc/FastGAN-pytorch, read in the copy KuanChaoCHU/FastGAN-pytorch at 9a887a8), which draws the hinge's margin
between 0.8 and 1; here it is 1. With `--perceptual` what was painted is compared by the features of VGG16, as there
(without LPIPS' learned heads), else by plain L1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import Decoded, drawn_at, to_float
from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import hinge_discriminator, hinge_generator
from upimagine.losses.perceptual import PerceptualLoss
from upimagine.models.file import save_model
from upimagine.nets.dcgan import calibrate_batch_norm
from upimagine.nets.fastgan import (
    PART_MAP,
    SIZES_PX,
    WHOLE_MAP,
    FastganDiscriminator,
    FastganGenerator,
    crop_each,
)
from upimagine.nets.vgg import load_vgg16
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.begin import begin_with
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

_CALIBRATED = 16  # pictures at once when batch norm is set
_COLUMNS = {64: 8, 128: 8, 256: 6, 512: 4}  # of the preview, by the side of its pictures


@dataclass(frozen=True)
class FastganSettings:
    """What is particular to a FastGAN."""

    size_px: int = 128  # 64, 128, 256 or 512
    width: int = 32  # channels at 128 px; the authors' 64 has four times the parameters
    max_width: int | None = None  # cap on channels, which saves most of the parameters
    latent_dim: int = 256  # length of the latent vector
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5  # Adam's
    rebuild_weight: float = 1.0  # of painting real pictures from the discriminator's maps; 0: no decoders at work
    perceptual: Path | None = None  # VGG16 features (safetensors, torchvision key names) to compare the painted with
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = ("color", "translation")  # DiffAugment's policy; () for large sets
    init_from: Path | None = None  # begin with the weights of this generator model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.size_px not in SIZES_PX:
            return f"--size-px {self.size_px} cannot work; choose one of {', '.join(map(str, SIZES_PX))}"
        if unknown := set(self.augment) - set(POLICIES):
            return f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}"
        if min(self.width, self.latent_dim, 1 if self.max_width is None else self.max_width) < 1:
            return "--width, --max-width and --latent-dim must be at least 1"
        if not 0 < self.learning_rate < 1 or not 0 <= self.beta1 < 1:
            return "--learning-rate must lie between 0 and 1, --beta1 be at least 0 and below 1"
        if not 0 <= self.rebuild_weight < math.inf:
            return f"--rebuild-weight {self.rebuild_weight} cannot work; use 0 or more"
        return None


class FastganTask:
    """Generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(self, settings: FastganSettings, pictures: Decoded, engine: Engine, seed: int) -> None:
        s = settings
        self._settings, self._pictures, self._engine, self._seed = s, pictures.pictures, engine, seed
        self.preview_columns = _COLUMNS[s.size_px]
        generator = FastganGenerator(s.size_px, s.latent_dim, s.width, s.max_width)
        self._discriminator = FastganDiscriminator(s.size_px, s.width, s.max_width)
        self._begun = {} if s.init_from is None else begin_with(s.init_from, generator, self._discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": self._discriminator}
        self.phases = [
            Phase(
                name,
                (name,),
                torch.optim.Adam(self.nets[name].parameters(), s.learning_rate, (s.beta1, 0.999), fused=True),
            )
            for name in ("discriminator", "generator")
        ]
        self._perceptual: nn.Module | None = None
        if s.perceptual is not None and s.rebuild_weight > 0:
            loss = PerceptualLoss(load_vgg16(s.perceptual), crop_px=None, distance="unit")
            self._perceptual = engine.place(loss)

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        # File names only: a model is given away, and paths tell of its maker's folders.
        plain = {
            name: value.name if isinstance(value, Path) else value for name, value in asdict(self._settings).items()
        }
        plain["augment"] = list(self._settings.augment)
        return plain | {"task": "fastgan", "pictures": len(self._pictures)}

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, S, S)}, mirrored by chance."""
        chosen = []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(self._pictures), self._seed)
            picture = self._pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        return {"real": to_float(torch.stack(chosen))}

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases."""
        real = batch["real"]
        latents = torch.randn(real.shape[0], self._settings.latent_dim, device=real.device)
        return {"fake": self.nets["generator"](latents)}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Hinge losses; real and made pictures go through the discriminator apart, and real ones are painted again."""
        s, discriminator = self._settings, self._discriminator
        if phase == "generator":
            loss = hinge_generator(discriminator(diff_augment(made["fake"], s.augment)))
            return loss, {"loss": loss}
        shown = diff_augment(batch["real"], s.augment).contiguous(memory_format=torch.channels_last)
        rebuilt = None
        if s.rebuild_weight > 0:
            last = PART_MAP - WHOLE_MAP
            corners = [(y, x) for y, x in torch.randint(last + 1, (len(shown), 2)).tolist()]
            real, whole, part = discriminator.judge_and_rebuild(shown, corners)
            rebuilt = self._distance(whole, shown) + self._distance(part, self._parts(shown, corners))
        else:
            real = discriminator(shown)
        fake = discriminator(diff_augment(made["fake"].detach(), s.augment))
        loss = hinge_discriminator(real, fake)
        plotted = {"loss": loss, "real": real.float().mean(), "fake": fake.float().mean()}
        plotted["real_sign"] = real.detach().sign().float().mean()  # ADA's r_t: the watch knows overfitting by it
        if rebuilt is not None:
            plotted["rebuilt"] = rebuilt
            loss = loss + s.rebuild_weight * rebuilt
        return loss, plotted

    def _parts(self, pictures: Tensor, corners: list[tuple[int, int]]) -> Tensor:
        """What lies under the discriminator's windows: half of each picture's side."""
        step = self._settings.size_px // PART_MAP
        return crop_each(pictures, [(y * step, x * step) for y, x in corners], self._settings.size_px // 2)

    def _distance(self, painted: Tensor, truth: Tensor) -> Tensor:
        """Between (N, 3, s, s) and (N, 3, S, S), which is shrunk to s."""
        target = F.avg_pool2d(truth, truth.shape[3] // painted.shape[3])
        if self._perceptual is not None:
            distance: Tensor = self._perceptual(painted.float(), target)
            return distance
        return F.l1_loss(painted.float(), target)

    def _latents(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return torch.randn(count, self._settings.latent_dim, generator=random).to(self._engine.device)

    def preview(self, averaged: nn.Module) -> Tensor:
        """A grid of the same latents each time, of three pictures to four in shape."""
        columns = self.preview_columns
        finished = self._finished(averaged, share=4)
        with torch.inference_mode(), self._engine.autocast():
            rows = [finished(self._latents(columns, seed=row)).cpu() for row in range(columns * 3 // 4)]
        return picture_grid(torch.cat(rows), columns)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """Generator with batch-norm statistics of its averaged weights, and the discriminator as critic."""
        story = progress | {"task": "fastgan", "begun_from": self._begun}
        save_model(path, "generator", self._finished(averaged, share=1), self._discriminator, story)

    def _finished(self, averaged: nn.Module, share: int) -> nn.Module:
        """A copy with batch-norm statistics of its own, from fewer pictures the larger they are: 512 of 64 px."""
        finished = copy.deepcopy(averaged)
        batches = 2048 // self._settings.size_px // share
        with self._engine.autocast():
            calibrate_batch_norm(finished, [self._latents(_CALIBRATED, seed=1 + i) for i in range(batches)])
        return finished


def make_fastgan_task(
    data: list[Path], settings: FastganSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], FastganTask]:
    """Decode the folders once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    return lambda engine: FastganTask(settings, pictures, engine, seed)
