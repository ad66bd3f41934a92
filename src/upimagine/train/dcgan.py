"""Train a DCGAN on folders or archives of pictures.

    upimagine train dcgan --data PICTURES --out runs/mine

What it reached on 1,029 portraits at 128 px, and a FastGAN after it, is told in docs/results.md.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from upimagine.data.folder import Decoded
from upimagine.errors import UpimagineError
from upimagine.models.file import save_model
from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import SIZES_PX, DcganDiscriminator, DcganGenerator, calibrate_batch_norm
from upimagine.nets.norms import GeneratorNorm
from upimagine.train.adversary import Adversary, AdversarySettings, Auto
from upimagine.train.anchor import Encoder, anchor_loss, noisy
from upimagine.train.begin_dcgan import begin_dcgan
from upimagine.train.classes import classed, with_classes
from upimagine.train.coarse import CoarseDistance
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.latents import latents_at
from upimagine.train.objectives import CRAMER_OUTPUTS
from upimagine.train.shown import Shown
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch

GeneratorName = Literal["dcgan", "began"]

_LATENT_DIM: dict[GeneratorName, int] = {"dcgan": 100, "began": 64}
_ENCODER_WIDTH, _ENCODER_RATE = 16, 2e-3
_ANCHOR_RISE = 5000  # pictures over which the anchor's weight rises


@dataclass(frozen=True)
class DcganSettings(AdversarySettings):
    """What is particular to a DCGAN."""

    size_px: int = 128  # 64, 128 or 256
    generator: GeneratorName | Auto = "auto"  # auto: dcgan, and began for the objective began
    width: int = 64  # channels of the widest layer's eighth (64 px) or sixteenth (128 px); of every layer of began
    max_width: int | None = None  # cap on channels, which saves most of the parameters
    latent_dim: int | None = None  # length of the latent vector; None: 100, and 64 for began
    generator_norm: GeneratorNorm = "batch"  # of a dcgan; batch-own: a picture's own statistics once it is trained
    began_skip: bool = True  # began's first map is joined to those of every size
    anchor_weight: float = 0.0  # of coming back from a training picture's code to its coarse colours; against sameness
    anchor_px: int = 32  # what counts as coarse: the picture shrunk to this
    anchor_noise: float = 0.5  # noise upon a code, as a share of its length
    coarse_weight: float = 0.0  # of varying coarsely as the training pictures do, taken together; against sameness
    labels: str | None = None  # learn classes: a name in labels.jsonl or a catalog; "class": folders' names, .cls files
    init_from: Path | None = None  # begin with this generator model; one of half the size is doubled (half the width)

    def generator_name(self) -> GeneratorName:
        """The generator's kind: what was chosen, or what goes with the objective."""
        if self.generator != "auto":
            return self.generator
        return "began" if self.objective == "began" else "dcgan"

    def latent_length(self) -> int:
        """Length of the latent vector: what was chosen, or what its authors gave the generator."""
        return self.latent_dim or _LATENT_DIM[self.generator_name()]

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        weights = ("anchor_weight", "anchor_noise", "coarse_weight")
        odd = [name.replace("_", "-") for name in weights if not 0 <= getattr(self, name) < math.inf]
        counts = (self.width, *(n for n in (self.latent_dim, self.max_width) if n is not None))
        decodes = self.generator_name() == "began"
        checks = {
            f"--size-px {self.size_px} cannot work; choose one of {', '.join(map(str, SIZES_PX))}": (
                self.size_px not in SIZES_PX
            ),
            "--width, --max-width and --latent-dim must be at least 1": min(counts) < 1,
            f"--{', --'.join(odd)} cannot work as given; use 0 or more": bool(odd),
            f"--anchor-px {self.anchor_px} cannot work; use a power of two from 4 to 128": (
                self.anchor_px not in (4, 8, 16, 32, 64, 128)
            ),
            "--anchor-weight cannot go with --generator began, whose latents are uniform; leave one of them away": (
                decodes and self.anchor_weight > 0
            ),
            "--max-width means nothing to began's networks, which are as wide at every size; use --width": (
                (decodes or self.objective == "began") and self.max_width is not None
            ),
            f"--generator-norm {self.generator_norm} means nothing to began's decoder, which has none; leave it away": (
                decodes and self.generator_norm != "batch"
            ),
            "--labels needs a DCGAN and scores: it cannot go with began or cramer": (
                self.labels is not None and (decodes or self.objective in ("began", "cramer"))
            ),
            "--no-began-skip would change nothing without --objective or --generator began; leave it away": (
                not (decodes or self.objective == "began" or self.began_skip)
            ),
        }
        found = next((message for message, wrong in checks.items() if wrong), None)
        return found or self.adversary_problem()


class DcganTask:
    """Generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"
    preview_columns = 8

    def __init__(
        self, settings: DcganSettings, pictures: Decoded, engine: Engine, seed: int, classes: tuple[str, ...] = ()
    ) -> None:
        self._settings, self._engine, self._seed, self._classes = settings, engine, seed, classes
        self._shown = Shown(pictures, settings.hold_out, settings.flip, seed, len(classes))
        self._latent_dim = settings.latent_length()
        generator, discriminator = _generator(settings, classes), _discriminator(settings, len(classes))
        self._begun: dict[str, Any] = {}
        if settings.init_from is not None:
            self._begun = begin_dcgan(settings.init_from, generator, discriminator, self._shown.pictures)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        made_by: dict[str, float | None] = {"generator": None}
        if settings.anchor_weight > 0:
            self.nets["encoder"] = Encoder(settings.size_px, _ENCODER_WIDTH, self._latent_dim)
            made_by["encoder"] = _ENCODER_RATE
        self._coarse: CoarseDistance | None = None
        if settings.coarse_weight > 0:
            self._coarse = CoarseDistance(self._shown.pictures).to(engine.device)
        trained_on = settings.init_from is not None
        self._adversary = Adversary(settings, self.nets, self._shown.holds_out, trained_on, engine)
        self.phases = [
            self._adversary.phase("discriminator", {"discriminator": None}),
            self._adversary.phase("generator", made_by),
        ]

    def settings(self) -> dict[str, Any]:
        """The settings, none left open, and the number of pictures, for the checkpoint."""
        s = self._settings
        filled = asdict(s.training()) | {"generator": s.generator_name(), "latent_dim": self._latent_dim}
        plain: dict[str, Any] = {"task": "dcgan", "augment": list(s.augment)}
        if s.init_from is not None:
            plain["init_from"] = s.init_from.name  # the name alone: paths tell of folders
        if self._classes:
            plain["classes"] = list(self._classes)
        return asdict(s) | filled | plain | self._shown.counts

    def batch(self, position: int, count: int) -> Batch:
        """What `Shown` shows, and "latents" (count, L, or 2 L where two are made for each)."""
        length = self._latent_dim * self._adversary.fakes_each
        return self._shown.batch(position, count) | {"latents": latents_at(position, count, length, self._seed)}

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases, and real ones come back from their noisy codes."""
        real = batch["real"]
        with torch.set_grad_enabled(self._adversary.generator_due(step)):
            latents = torch.cat(torch.split(batch["latents"], self._latent_dim, dim=1))
            kind = (lambda z: with_classes(z, batch["class"], len(self._classes))) if self._classes else lambda z: z
            if self._settings.anchor_weight == 0:
                return {"fake": self.nets["generator"](kind(latents))}
            encoder = self.nets["encoder"]
            assert isinstance(encoder, Encoder)
            codes = encoder(real)
            latents = encoder.spread_like_codes(latents)
            both = self.nets["generator"](torch.cat((kind(latents), kind(noisy(codes, self._settings.anchor_noise)))))
            return {"codes": codes, "fake": both[: len(latents)], "back": both[len(latents) :]}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective's losses and what is added to the generator's."""
        if phase == "discriminator":
            return self._adversary.loss(made["fake"], batch, step)
        s = self._settings
        loss = self._adversary.generator_loss(made["fake"], batch)
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

    def _latents(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        latents = torch.randn(count, self._latent_dim, generator=random)
        if self._classes:  # one after the other, in blocks of a preview's row
            numbers = torch.arange(count) // self.preview_columns % len(self._classes)
            latents = with_classes(latents, numbers, len(self._classes))
        return latents.to(self._engine.device)

    def preview(self, averaged: nn.Module) -> Tensor:
        """An 8x6 grid of the same latents each time."""
        averaged = self._finished(averaged, batches=8)
        with torch.inference_mode(), self._engine.autocast():
            return picture_grid(averaged(self._latents(48, seed=0)).float(), columns=8)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """Generator with batch-norm statistics of its averaged weights, and the discriminator as critic.

        A critic that gives vectors only compares, and is left out.
        """
        critic = None if self._settings.objective == "cramer" else self.nets["discriminator"]
        story = progress | {"task": "dcgan", "begun_from": self._begun}
        save_model(path, "generator", self._finished(averaged, batches=64), critic, story)

    def _finished(self, averaged: nn.Module, batches: int) -> nn.Module:
        """A copy that takes plain normal vectors, with batch-norm statistics of its own if it has any."""
        finished = copy.deepcopy(averaged)
        if not isinstance(finished, DcganGenerator):
            return finished
        encoder, first = self.nets.get("encoder"), finished.layers[0]
        if isinstance(encoder, Encoder) and isinstance(first, nn.ConvTranspose2d):
            with torch.no_grad():  # (latent, channels, 4, 4): what L n would have given, n gives now
                plain = first.weight[: self._latent_dim]
                plain.copy_(torch.einsum("ij,ichw->jchw", encoder.spread(), plain))
        with self._engine.autocast():
            calibrate_batch_norm(finished, [self._latents(64, seed=1 + i) for i in range(batches)])
        return finished


def _generator(s: DcganSettings, classes: tuple[str, ...]) -> DcganGenerator | BeganGenerator:
    if s.generator_name() == "began":
        return BeganGenerator(s.size_px, s.latent_length(), s.width, s.began_skip)
    return DcganGenerator(s.size_px, s.latent_length(), s.width, s.max_width, s.generator_norm, classes)


def _discriminator(s: DcganSettings, classes: int) -> DcganDiscriminator | BeganAutoencoder:
    if s.objective == "began":
        return BeganAutoencoder(s.size_px, s.latent_length(), s.width, s.began_skip)
    outputs = CRAMER_OUTPUTS if s.objective == "cramer" else 1
    norm = s.training().norm
    return DcganDiscriminator(s.size_px, s.width, s.max_width, s.minibatch_spread, norm, outputs, classes)


def make_dcgan_task(
    data: list[Path], settings: DcganSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], DcganTask]:
    """Decode all pictures once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    classes: tuple[str, ...] = ()
    if settings.labels is not None:
        pictures, classes = classed(pictures, settings.labels, on_skip)
    return lambda engine: DcganTask(settings, pictures, engine, seed, classes)
