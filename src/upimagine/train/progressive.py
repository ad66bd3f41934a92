"""Train a generator that grows: small pictures first, which is where pose, hair and expression are learned cheaply.

    upimagine train progressive --data PICTURES --out runs/mine

An encoder is trained beside it, without an adversary at first; see `train.anchor`. `--anchor-weight 0` leaves it away.

See the card of the built-in model `portrait-128` for time, hardware and scores.
"""

from __future__ import annotations

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
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.losses.penalties import r1_penalty
from upimagine.models.file import save_model
from upimagine.nets.growing import SIZES_PX, GrowingDiscriminator, GrowingGenerator
from upimagine.train.anchor import Encoder, anchor_loss, noisy
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.begin import begin_with
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase


@dataclass(frozen=True)
class ProgressiveSettings:
    """What is particular to a growing generator."""

    size_px: int = 128  # 16, 32, 64, 128 or 256
    start_px: int = 32  # training begins with pictures of this size
    stage_kimg: float = 100.0  # thousands of pictures before the size doubles
    width: int = 24  # channels at the full size; they double towards 4x4
    max_width: int = 192  # cap on channels
    latent_dim: int = 128  # length of the latent vector
    learning_rate: float = 0.0025  # of both networks
    gamma: float | None = None  # weight of R1; None: 0.0002 size^2 / batch, as in StyleGAN2-ADA, times 10
    gamma_every: int = 16  # steps between R1 terms, which then weigh so much more
    anchor_weight: float = 10.0  # of coming back from a training picture's code to its coarse colours; 0: no encoder
    anchor_px: int = 16  # what counts as coarse: the picture shrunk to this
    anchor_noise: float = 1.5  # noise upon a code, as a share of its length
    warmup_kimg: float = (
        20.0  # thousands of pictures shown before there is an adversary; coming back is all that counts
    )
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = POLICIES  # DiffAugment's policy; () for large sets
    init_from: Path | None = None  # begin with the weights of this generator model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.size_px not in SIZES_PX or self.start_px not in SIZES_PX or self.start_px > self.size_px:
            sizes = ", ".join(map(str, SIZES_PX))
            return f"--size-px {self.size_px} and --start-px {self.start_px} cannot work; choose among {sizes}, rising"
        if unknown := set(self.augment) - set(POLICIES):
            return f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}"
        for name in ("width", "max_width", "latent_dim", "gamma_every"):
            if getattr(self, name) < 1:
                return f"--{name.replace('_', '-')} {getattr(self, name)} is too small; use at least 1"
        if (
            not 0 < self.learning_rate < 1
            or not 0 < self.stage_kimg < math.inf
            or self.anchor_px not in (4, 8, *SIZES_PX)
        ):
            return "--learning-rate must lie between 0 and 1, --stage-kimg be above 0, --anchor-px a power of two"
        for name in ("gamma", "anchor_weight", "anchor_noise", "warmup_kimg"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                return f"--{name.replace('_', '-')} {value} cannot work; use 0 or more"
        return None


class ProgressiveTask:
    """Growing generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"
    preview_columns = 8

    def __init__(self, settings: ProgressiveSettings, pictures: Decoded, engine: Engine, seed: int, batch: int) -> None:
        s = settings
        self._settings, self._pictures, self._engine, self._seed = s, pictures.pictures, engine, seed
        self._batch = batch
        generator = GrowingGenerator(s.size_px, s.latent_dim, s.width, s.max_width, start_px=s.start_px)
        discriminator = GrowingDiscriminator(s.size_px, s.width, s.max_width, s.start_px)
        self._begun = {} if s.init_from is None else begin_with(s.init_from, generator, discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        made_by: tuple[str, ...] = ("generator",)
        if s.anchor_weight > 0:
            self.nets["encoder"] = Encoder(s.size_px, s.width, s.latent_dim, s.start_px)
            made_by = ("generator", "encoder")
        self._warmup_steps = round(s.warmup_kimg * 1000 / batch) if s.anchor_weight > 0 else 0
        # The discriminator begins a little earlier, to have something to say when it is first asked.
        self._first_judged = self._warmup_steps * 3 // 4
        self.phases = [
            self._phase("discriminator", ("discriminator",), self._first_judged),
            self._phase("generator", made_by, 0),
        ]

    def _phase(self, name: str, nets: tuple[str, ...], first_step: int) -> Phase:
        # Parameters of sizes to come have no gradient yet, and so no state in Adam.
        parameters = [parameter for net in nets for parameter in self.nets[net].parameters()]
        adam = torch.optim.Adam(parameters, self._settings.learning_rate, (0.0, 0.99), 1e-8, fused=True)
        return Phase(name, nets, adam, first_step)

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        plain: dict[str, Any] = {"task": "progressive", "augment": list(self._settings.augment)}
        if self._settings.init_from is not None:
            plain["init_from"] = self._settings.init_from.name  # the name alone: paths tell of folders
        return asdict(self._settings) | plain | {"pictures": len(self._pictures)}

    def size_at(self, position: int) -> int:
        """Side in pixels of the picture at this position of the stream: doubled every `stage_kimg`."""
        doublings = min(int(position / (self._settings.stage_kimg * 1000)), 16)
        return min(self._settings.start_px << doublings, self._settings.size_px)

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, s, s)}, mirrored by chance, of the size that is being trained."""
        chosen = []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(self._pictures), self._seed)
            picture = self._pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        shrink = self._settings.size_px // self.size_at(position)
        return {"real": F.avg_pool2d(to_float(torch.stack(chosen)), shrink)}

    def forward(self, batch: Batch, step: int) -> Batch:
        """Pictures from noise, used by both phases, and real ones come back from their noisy codes."""
        real, s = batch["real"], self._settings
        latents, made = [], {}
        if step >= self._first_judged:
            latents.append(torch.randn(real.shape[0], s.latent_dim, device=real.device))
        if s.anchor_weight > 0:
            made["codes"] = self.nets["encoder"](real)
            latents.append(noisy(made["codes"], s.anchor_noise))
        pictures = self.nets["generator"](torch.cat(latents), real.shape[3]).float()
        if s.anchor_weight > 0:
            made["back"] = pictures[-real.shape[0] :]
        if step >= self._first_judged:
            made["fake"] = pictures[: real.shape[0]]
        return made

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Non-saturating losses with R1 (1801.04406) in every `gamma_every`th step, and the way back."""
        s, discriminator, real = self._settings, self.nets["discriminator"], batch["real"]
        if phase == "generator":
            total = torch.zeros((), device=real.device)
            plotted: dict[str, Tensor] = {}
            if s.anchor_weight > 0:
                until = real.shape[3] if step < self._warmup_steps else min(s.anchor_px, real.shape[3])
                anchored, plotted = anchor_loss(made["back"], real, made["codes"], until)
                total = s.anchor_weight * anchored
            if step >= self._warmup_steps:
                plotted["loss"] = non_saturating_generator(discriminator(diff_augment(made["fake"], s.augment)))
                total = total + plotted["loss"]
            return total, plotted
        size, shown = real.shape[3], real
        penalised = step % s.gamma_every == 0 and s.gamma != 0
        if penalised:
            shown = shown.detach().requires_grad_(True)
        real_logits = discriminator(diff_augment(shown, s.augment))
        fake_logits = discriminator(diff_augment(made["fake"].detach(), s.augment))
        loss = non_saturating_discriminator(real_logits, fake_logits)
        numbers = {"loss": loss, "real": real_logits.float().mean(), "fake": fake_logits.float().mean()}
        numbers["real_sign"] = real_logits.detach().sign().float().mean()  # ADA's r_t: so the watch knows overfitting
        if penalised:
            gamma = 0.002 * size**2 / self._batch if s.gamma is None else s.gamma
            loss = loss + gamma / 2 * s.gamma_every * r1_penalty(real_logits, shown)
        return loss, numbers

    def _latents(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return torch.randn(count, self._settings.latent_dim, generator=random).to(self._engine.device)

    def preview(self, averaged: nn.Module) -> Tensor:
        """An 8x6 grid of the same latents each time, at the full size."""
        averaged.eval()
        with torch.inference_mode(), self._engine.autocast():
            return picture_grid(averaged(self._latents(48, seed=0)).float(), columns=8)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The averaged generator, and the discriminator as critic."""
        story = progress | {"task": "progressive", "begun_from": self._begun}
        save_model(path, "generator", averaged, self.nets["discriminator"], story)


def make_progressive_task(
    data: list[Path], settings: ProgressiveSettings, seed: int, batch: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], ProgressiveTask]:
    """Decode all pictures once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    return lambda engine: ProgressiveTask(settings, pictures, engine, seed, batch)
