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

from upimagine.data.folder import Decoded
from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import hinge_discriminator, hinge_generator
from upimagine.losses.penalties import r1_penalty
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
from upimagine.nets.recall import Recall
from upimagine.nets.vgg import load_vgg16
from upimagine.train.ada import ada_problem, augmented, make_ada
from upimagine.train.anchor import Encoder, anchor_loss, noisy
from upimagine.train.augment import POLICIES
from upimagine.train.begin import begin_with
from upimagine.train.classes import classed, with_classes
from upimagine.train.coarse import CoarseDistance
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.latents import latents_at
from upimagine.train.overfitting import OverfittingGauge, hold_out_problem, watched
from upimagine.train.shown import Shown
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

_ENCODER_WIDTH, _ENCODER_RATE, _ENCODED_PX = 16, 2e-3, 128
_ANCHOR_RISE = 5000  # pictures over which the anchor's weight rises
_COARSE_PX = (4, 8, 16, 32, 64, 128)
_REMEMBERED = 512  # made pictures by which a step's few are told apart from real ones, taken together
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
    ada: bool = False  # in place of it, augmentation that grows as the discriminator becomes too sure
    ada_target: float = 0.6  # how sure: the mean sign of its logits of training pictures
    ada_kimg: float | None = None  # thousands of pictures from none to all; None: 500, or 100 with --init-from
    hold_out: float = 0.0  # share of the pictures kept from training, to measure overfitting on
    gamma: float = 0.0  # weight of R1, which calms a discriminator that is too sure; not in the paper
    gamma_every: int = 8  # steps from one R1 to the next, which weighs as much more
    anchor_weight: float = 0.0  # of coming back from a training picture's code to its coarse colours; against sameness
    anchor_px: int = 64  # what counts as coarse: the picture shrunk to this
    anchor_noise: float = 0.5  # noise upon a code, as a share of its length
    anchor_stretch: float = 1.0  # how much longer latents are once trained than in training; above 1 more varied
    coarse_weight: float = 0.0  # of varying coarsely as the training pictures do, taken together; against sameness
    labels: str | None = None  # learn classes: a name in labels.jsonl or a catalog; "class": folders' names, .cls files
    init_from: Path | None = None  # begin with the weights of this generator model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        for option, value, fitting in (
            ("--size-px", self.size_px, SIZES_PX),
            ("--anchor-px", self.anchor_px, _COARSE_PX),
        ):
            if value not in fitting:
                return f"{option} {value} cannot work; choose one of {', '.join(map(str, fitting))}"
        if unknown := set(self.augment) - set(POLICIES):
            return f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}"
        if min(self.width, self.latent_dim, self.gamma_every, 1 if self.max_width is None else self.max_width) < 1:
            return "--width, --max-width, --latent-dim and --gamma-every must be at least 1"
        if not 0 < self.learning_rate < 1 or not 0 <= self.beta1 < 1:
            return "--learning-rate must lie between 0 and 1, --beta1 be at least 0 and below 1"
        for name in ("rebuild_weight", "coarse_weight", "anchor_weight", "anchor_noise", "anchor_stretch", "gamma"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        problem = ada_problem(self.ada_target, self.ada_kimg) or hold_out_problem(self.hold_out)
        if self.labels is not None and self.anchor_weight > 0:
            problem = "--labels cannot go with --anchor-weight, whose codes know of no class; leave one of them away"
        return problem


class FastganTask:
    """Generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(
        self, settings: FastganSettings, pictures: Decoded, engine: Engine, seed: int, classes: tuple[str, ...] = ()
    ) -> None:
        s = settings
        self._settings, self._engine, self._seed, self._classes = s, engine, seed, classes
        self._shown = Shown(pictures, s.hold_out, s.flip, seed, len(classes))
        self.preview_columns = _COLUMNS[s.size_px]
        recalls = len(self._shown.pictures) if s.anchor_weight > 0 else 0
        kept = (recalls, s.anchor_noise, s.anchor_stretch)
        generator = FastganGenerator(s.size_px, s.latent_dim, s.width, s.max_width, *kept, classes)
        self._discriminator = FastganDiscriminator(s.size_px, s.width, s.max_width, len(classes))
        self._begun = {} if s.init_from is None else begin_with(s.init_from, generator, self._discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": self._discriminator}
        made_by: tuple[str, ...] = ("generator",)
        if s.anchor_weight > 0:
            self.nets["encoder"] = Encoder(min(s.size_px, _ENCODED_PX), _ENCODER_WIDTH, s.latent_dim)
            made_by = ("generator", "encoder")
        self.phases = [self._phase("discriminator", ("discriminator",)), self._phase("generator", made_by)]
        # Among the networks because what they remember and count belongs into checkpoints.
        if s.coarse_weight > 0:
            self.nets["coarse"] = CoarseDistance(self._shown.pictures, _REMEMBERED)
        if s.ada:
            self.nets["ada"] = make_ada(s.ada_target, s.ada_kimg, s.init_from is not None)
        if self._shown.holds_out:
            self.nets["gauge"] = OverfittingGauge()
        self._perceptual: nn.Module | None = None
        if s.perceptual is not None and s.rebuild_weight > 0:
            loss = PerceptualLoss(load_vgg16(s.perceptual), crop_px=None, distance="unit")
            self._perceptual = engine.place(loss)

    def _phase(self, name: str, nets: tuple[str, ...]) -> Phase:
        rates = {"encoder": _ENCODER_RATE}
        groups = [
            {"params": self.nets[net].parameters(), "lr": rates.get(net, self._settings.learning_rate)} for net in nets
        ]
        return Phase(name, nets, torch.optim.Adam(groups, betas=(self._settings.beta1, 0.999), fused=True))

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        # File names only: a model is given away, and paths tell of its maker's folders.
        plain = {
            name: value.name if isinstance(value, Path) else value for name, value in asdict(self._settings).items()
        }
        plain["augment"] = list(self._settings.augment)
        if self._classes:
            plain["classes"] = list(self._classes)
        return plain | {"task": "fastgan"} | self._shown.counts

    def batch(self, position: int, count: int) -> Batch:
        """What `Shown` shows, and "latents" (count, L)."""
        latents = latents_at(position, count, self._settings.latent_dim, self._seed)
        batch = self._shown.batch(position, count)
        if self._classes:
            latents = with_classes(latents, batch["class"], len(self._classes))
        return batch | {"latents": latents}

    def _augmented(self, pictures: Tensor) -> Tensor:
        return augmented(self.nets, pictures, self._settings.augment)

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases; with an anchor, half of them come from codes of real ones."""
        s, real, generator = self._settings, batch["real"], self.nets["generator"]
        encoder = self.nets.get("encoder")
        if not isinstance(encoder, Encoder) or not isinstance(generator, FastganGenerator):
            return {"fake": generator(batch["latents"])}
        half = max(2, len(real) // 2)  # codes are kept apart in pairs
        shrunk = F.avg_pool2d(real[:half], max(1, s.size_px // _ENCODED_PX))
        codes = encoder(shrunk)
        latents = batch["latents"][: max(1, len(real) - half)]
        fake = generator(latents, noisy(codes, s.anchor_noise))
        if generator.recall is not None:
            generator.recall.store(batch["which"][:half], codes.detach())
        return {"fake": fake, "back": fake[len(latents) :], "codes": codes}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Hinge losses; real and made pictures go through the discriminator apart, and real ones are painted again."""
        s, discriminator = self._settings, self._discriminator
        if phase == "generator":
            loss = hinge_generator(discriminator(self._augmented(made["fake"]), batch.get("class")))
            plotted = {"loss": loss}
            if "coarse" in self.nets:
                plotted["coarse"] = self.nets["coarse"](made["fake"])
                loss = loss + s.coarse_weight * plotted["coarse"]
            if s.anchor_weight > 0:
                back = made["back"]
                anchored, numbers = anchor_loss(back, batch["real"][: len(back)], made["codes"], s.anchor_px)
                # Gently at first: an encoder that knows nothing yet would only disturb the generator.
                risen = min(1.0, (step + 1) * len(batch["real"]) / _ANCHOR_RISE)
                loss, plotted = loss + risen * s.anchor_weight * anchored, plotted | numbers
            return loss, plotted
        return self._judge(batch, made["fake"].detach(), step)

    def _judge(self, batch: Batch, fakes: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        s, discriminator = self._settings, self._discriminator
        calmed = s.gamma > 0 and step % s.gamma_every == 0  # lazily (Karras et al. 2020, 1912.04958)
        pictures = batch["real"].detach().requires_grad_(calmed)
        shown = self._augmented(pictures).contiguous(memory_format=torch.channels_last)
        rebuilt = None
        if s.rebuild_weight > 0:
            last = PART_MAP - WHOLE_MAP
            corners = [(y, x) for y, x in torch.randint(last + 1, (len(shown), 2)).tolist()]
            real, whole, part = discriminator.judge_and_rebuild(shown, corners, batch.get("class"))
            target = shown.detach()
            rebuilt = self._distance(whole, target) + self._distance(part, self._parts(target, corners))
        else:
            real = discriminator(shown, batch.get("class"))
        fake = discriminator(self._augmented(fakes), batch.get("class"))
        loss = hinge_discriminator(real, fake)
        plotted = {"loss": loss, "real": real.float().mean(), "fake": fake.float().mean()}
        plotted["real_sign"] = real.detach().sign().float().mean()  # ADA's r_t: the watch knows overfitting by it
        aside = None
        if "held_out" in batch:
            classes = (batch["held_out_class"],) if "held_out_class" in batch else ()
            aside = (self._augmented(batch["held_out"]), *classes)
        plotted |= watched(self.nets, aside, real, fake)
        if calmed:
            plotted["r1"] = r1_penalty(real.float().mean(dim=(1, 2, 3)), pictures)
            loss = loss + s.gamma_every * s.gamma / 2 * plotted["r1"]
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
        latents = torch.randn(count, self._settings.latent_dim, generator=random)
        if self._classes:  # a preview's row of each, one after the other
            numbers = torch.full((count,), seed % len(self._classes))
            latents = with_classes(latents, numbers, len(self._classes))
        return latents.to(self._engine.device)

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
        """A copy with batch-norm statistics of its own, from fewer pictures the larger they are: 512 of 64 px.

        They are those of latents as long as in training: statistics of stretched ones would undo the stretch.
        """
        finished = copy.deepcopy(averaged)
        recall = finished.recall
        if isinstance(recall, Recall):
            recall.stretch = 1.0
        batches = 2048 // self._settings.size_px // share
        with self._engine.autocast():
            calibrate_batch_norm(finished, [self._latents(_CALIBRATED, seed=1 + i) for i in range(batches)])
        if isinstance(recall, Recall):
            recall.stretch = self._settings.anchor_stretch
        return finished


def make_fastgan_task(
    data: list[Path], settings: FastganSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], FastganTask]:
    """Decode the folders once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    classes: tuple[str, ...] = ()
    if settings.labels is not None:
        pictures, classes = classed(pictures, settings.labels, on_skip)
    return lambda engine: FastganTask(settings, pictures, engine, seed, classes)
