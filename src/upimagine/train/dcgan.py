"""Train a DCGAN on a flat folder of pictures.

    upimagine train dcgan --data PICTURES --out runs/mine

1,030 portraits at 128 px: see the card of the built-in model `portrait-128` for time, hardware and scores.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from upimagine.data.folder import Decoded, drawn_at, to_float
from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator, r1_penalty
from upimagine.models.file import load_model_file, save_model
from upimagine.nets.dcgan import SIZES_PX, DcganDiscriminator, DcganGenerator, calibrate_batch_norm
from upimagine.nets.doubling import double_discriminator, double_generator
from upimagine.train.anchor import Encoder, anchor_loss, noisy
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.begin import begin_with, origin_of
from upimagine.train.coarse import CoarseDistance
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

_ENCODER_WIDTH, _ENCODER_RATE = 16, 2e-3
_ANCHOR_RISE = 5000  # pictures over which the anchor's weight rises
_SEEN_WHEN_DOUBLING = 256  # pictures that set the new batch norm


@dataclass(frozen=True)
class DcganSettings:
    """What is particular to a DCGAN."""

    size_px: int = 128  # 64, 128 or 256
    width: int = 64  # channels of the widest layer's eighth (64 px) or sixteenth (128 px)
    max_width: int | None = None  # cap on channels, which saves most of the parameters
    latent_dim: int = 100  # length of the latent vector
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5  # Adam's; 0.9 oscillates (Radford et al.)
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = POLICIES  # DiffAugment's policy; () for large sets
    minibatch_spread: bool = False  # the discriminator sees how much a batch's pictures differ; against sameness
    anchor_weight: float = 0.0  # of coming back from a training picture's code to its coarse colours; against sameness
    anchor_px: int = 32  # what counts as coarse: the picture shrunk to this
    anchor_noise: float = 0.5  # noise upon a code, as a share of its length
    coarse_weight: float = 0.0  # of varying coarsely as the training pictures do, taken together; against sameness
    gamma: float = 0.0  # weight of R1, which calms a discriminator that is too sure
    gamma_every: int = 8  # steps from one R1 to the next, which weighs as much more
    init_from: Path | None = None  # begin with this generator model; one of half the size is doubled (half the width)

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        unknown = set(self.augment) - set(POLICIES)
        weights = ("anchor_weight", "anchor_noise", "coarse_weight", "gamma")
        odd = [name.replace("_", "-") for name in weights if not 0 <= getattr(self, name) < math.inf]
        checks = {
            f"--size-px {self.size_px} cannot work; choose one of {', '.join(map(str, SIZES_PX))}": (
                self.size_px not in SIZES_PX
            ),
            f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}": bool(unknown),
            "--width, --max-width, --latent-dim and --gamma-every must be at least 1": (
                min(self.width, self.latent_dim, self.max_width or 1, self.gamma_every) < 1
            ),
            f"--learning-rate {self.learning_rate} cannot work; use something between 0 and 1": (
                not 0 < self.learning_rate < 1
            ),
            f"--{', --'.join(odd)} cannot work as given; use 0 or more": bool(odd),
            f"--anchor-px {self.anchor_px} cannot work; use a power of two from 4 to 128": (
                self.anchor_px not in (4, 8, 16, 32, 64, 128)
            ),
        }
        return next((message for message, wrong in checks.items() if wrong), None)


class DcganTask:
    """Generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"
    preview_columns = 8

    def __init__(self, settings: DcganSettings, pictures: Decoded, engine: Engine, seed: int) -> None:
        self._settings, self._pictures, self._engine, self._seed = settings, pictures.pictures, engine, seed
        self._data = {"pictures": len(pictures.pictures)}
        generator = DcganGenerator(settings.size_px, settings.latent_dim, settings.width, settings.max_width)
        discriminator = DcganDiscriminator(
            settings.size_px, settings.width, settings.max_width, settings.minibatch_spread
        )
        self._begun: dict[str, Any] = {}
        if settings.init_from is not None:
            self._begun = _begin(settings.init_from, generator, discriminator, pictures.pictures)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        made_by: tuple[str, ...] = ("generator",)
        if settings.anchor_weight > 0:
            self.nets["encoder"] = Encoder(settings.size_px, _ENCODER_WIDTH, settings.latent_dim)
            made_by = ("generator", "encoder")
        self._coarse = CoarseDistance(self._pictures).to(engine.device) if settings.coarse_weight > 0 else None
        self.phases = [self._phase("discriminator", ("discriminator",)), self._phase("generator", made_by)]

    def _phase(self, name: str, nets: tuple[str, ...]) -> Phase:
        s = self._settings
        adam = torch.optim.Adam(
            [{"params": self.nets[net].parameters(), "lr": _ENCODER_RATE if net == "encoder" else s.learning_rate}
             for net in nets],
            betas=(s.beta1, 0.999),
        )  # fmt: skip
        return Phase(name, nets, adam)

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        plain: dict[str, Any] = {"task": "dcgan", "augment": list(self._settings.augment)}
        if self._settings.init_from is not None:
            plain["init_from"] = self._settings.init_from.name  # the name alone: paths tell of folders
        return asdict(self._settings) | plain | self._data

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, S, S)}, mirrored by chance."""
        chosen = []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(self._pictures), self._seed)
            picture = self._pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        return {"real": to_float(torch.stack(chosen))}

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases, and real ones come back from their noisy codes."""
        real = batch["real"]
        latents = torch.randn(real.shape[0], self._settings.latent_dim, device=real.device)
        if self._settings.anchor_weight == 0:
            return {"fake": self.nets["generator"](latents)}
        encoder = self.nets["encoder"]
        assert isinstance(encoder, Encoder)
        codes = encoder(real)
        latents = encoder.spread_like_codes(latents)
        both = self.nets["generator"](torch.cat((latents, noisy(codes, self._settings.anchor_noise))))
        return {"codes": codes} | dict(zip(("fake", "back"), both.chunk(2), strict=True))

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Non-saturating losses; real and made pictures go through the discriminator apart (batch statistics)."""
        s, discriminator, policy = self._settings, self.nets["discriminator"], self._settings.augment
        if phase == "generator":
            loss = non_saturating_generator(discriminator(diff_augment(made["fake"].float(), policy)))
            plotted = {"loss": loss}
            if self._coarse is not None:
                plotted["coarse"] = self._coarse(made["fake"])
                loss = loss + s.coarse_weight * plotted["coarse"]
            if s.anchor_weight > 0:
                anchored, numbers = anchor_loss(made["back"], batch["real"], made["codes"], s.anchor_px)
                # Gently at first: an encoder that knows nothing yet would only disturb the generator.
                loss = loss + s.anchor_weight * min(1.0, (step + 1) * len(batch["real"]) / _ANCHOR_RISE) * anchored
                plotted |= numbers
            return loss, plotted
        calmed = s.gamma > 0 and step % s.gamma_every == 0  # lazily (Karras et al. 2020, 1912.04958)
        shown = batch["real"].detach().requires_grad_(calmed)
        real = discriminator(diff_augment(shown, policy))
        fake = discriminator(diff_augment(made["fake"].detach().float(), policy))
        loss = non_saturating_discriminator(real, fake)
        plotted = {"loss": loss, "real": real.float().mean(), "fake": fake.float().mean()}
        plotted["real_sign"] = real.detach().sign().float().mean()  # ADA's r_t, by which the watch knows overfitting
        if calmed:
            plotted["r1"] = r1_penalty(real, shown)
            loss = loss + s.gamma_every * s.gamma / 2 * plotted["r1"]
        return loss, plotted

    def _latents(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return torch.randn(count, self._settings.latent_dim, generator=random).to(self._engine.device)

    def preview(self, averaged: nn.Module) -> Tensor:
        """An 8x6 grid of the same latents each time."""
        averaged = self._finished(averaged, batches=8)
        with torch.inference_mode(), self._engine.autocast():
            return picture_grid(averaged(self._latents(48, seed=0)).float(), columns=8)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """Generator with batch-norm statistics of its averaged weights, and the discriminator as critic."""
        averaged = self._finished(averaged, batches=64)
        save_model(
            path,
            "generator",
            averaged,
            self.nets["discriminator"],
            progress | {"task": "dcgan", "begun_from": self._begun},
        )

    def _finished(self, averaged: nn.Module, batches: int) -> DcganGenerator:
        """A copy that takes plain normal vectors, with batch-norm statistics of its own."""
        finished = copy.deepcopy(averaged)
        assert isinstance(finished, DcganGenerator)
        encoder, first = self.nets.get("encoder"), finished.layers[0]
        if isinstance(encoder, Encoder) and isinstance(first, nn.ConvTranspose2d):
            with torch.no_grad():  # (latent, channels, 4, 4): what L n would have given, n gives now
                first.weight.copy_(torch.einsum("ij,ichw->jchw", encoder.spread(), first.weight))
        with self._engine.autocast():
            calibrate_batch_norm(finished, [self._latents(64, seed=1 + i) for i in range(batches)])
        return finished


def _begin(
    path: Path, generator: DcganGenerator, discriminator: DcganDiscriminator, pictures: list[Tensor]
) -> dict[str, Any]:
    """Take the weights of a model of the same size, or of half the size, which is doubled."""
    model = load_model_file(path)
    small, critic = model.main, model.critic
    if not isinstance(small, DcganGenerator) or 2 * small.size_px != generator.size_px:
        return begin_with(path, generator, discriminator)
    try:
        double_generator(small, generator, torch.randn(_SEEN_WHEN_DOUBLING, small.latent_dim))
        if isinstance(critic, DcganDiscriminator):
            double_discriminator(critic, discriminator, to_float(torch.stack(pictures[:_SEEN_WHEN_DOUBLING])))
    except (ValueError, RuntimeError) as error:
        width = int(small.config["width"] or 0)
        raise UpimagineError(
            f"--init-from {path} makes {small.size_px} px pictures with a width of {width}: doubling it needs --width "
            f"{width // 2} (at least 6) and the other settings it was made with"
        ) from error
    return origin_of(model)


def make_dcgan_task(
    data: list[Path], settings: DcganSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], DcganTask]:
    """Decode the folders once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    return lambda engine: DcganTask(settings, pictures, engine, seed)
