"""Train a DCGAN on folders or archives of pictures.

    upimagine train dcgan --data PICTURES --out runs/mine

1,030 portraits at 128 px: see the card of the built-in model `portrait-128` for time, hardware and scores.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from upimagine.data.folder import Decoded, drawn_at, to_float
from upimagine.errors import UpimagineError
from upimagine.losses.began import convergence, next_k
from upimagine.losses.objective import Judged, Objective
from upimagine.losses.penalties import r1_penalty
from upimagine.models.file import load_model_file, save_model
from upimagine.nets.began import BeganAutoencoder, BeganGenerator
from upimagine.nets.dcgan import SIZES_PX, DcganDiscriminator, DcganGenerator, calibrate_batch_norm
from upimagine.nets.doubling import double_discriminator, double_generator
from upimagine.nets.norms import Norm
from upimagine.train.ada import Ada
from upimagine.train.anchor import Encoder, anchor_loss, noisy
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.begin import begin_with, origin_of
from upimagine.train.coarse import CoarseDistance
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.objectives import (
    CRAMER_OUTPUTS,
    ObjectiveName,
    OptimizerName,
    Training,
    clip_weights,
    generator_due,
    make_objective,
    make_optimizer,
    training_of,
    training_problem,
)
from upimagine.train.overfitting import EVERY, OverfittingGauge, hold_out, judged_aside
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

GeneratorName = Literal["dcgan", "began"]
Auto = Literal["auto"]

_LATENT_DIM: dict[GeneratorName, int] = {"dcgan": 100, "began": 64}
_ENCODER_WIDTH, _ENCODER_RATE = 16, 2e-3
_ANCHOR_RISE = 5000  # pictures over which the anchor's weight rises
_DIVIDING = ("minimax", "non-saturating", "hinge")  # real above 0, made below it
_SEEN_WHEN_DOUBLING = 256  # pictures that set the new batch norm


@dataclass(frozen=True)
class DcganSettings:
    """What is particular to a DCGAN."""

    size_px: int = 128  # 64, 128 or 256
    objective: ObjectiveName = "non-saturating"  # what the two networks play; the options below fit it if left away
    generator: GeneratorName | Auto = "auto"  # auto: dcgan, and began for the objective began
    width: int = 64  # channels of the widest layer's eighth (64 px) or sixteenth (128 px); of every layer of began
    max_width: int | None = None  # cap on channels, which saves most of the parameters
    latent_dim: int | None = None  # length of the latent vector; None: 100, and 64 for began
    norm: Norm | Auto = "auto"  # of the discriminator; auto: batch, spectral for hinge, layer for gradient penalties
    optimizer: OptimizerName | Auto = "auto"  # auto: adam, and rmsprop for wgan
    learning_rate: float | None = None  # of both networks; None: 2e-4, wgan 5e-5, wgan-gp, cramer and began 1e-4
    beta1: float | None = None  # Adam's; None: 0.5 (0.9 oscillates, Radford et al.), and 0 for wgan-gp
    beta2: float | None = None  # Adam's; None: 0.999, and 0.9 for wgan-gp and cramer
    critic_steps: int | None = None  # of the discriminator, for one of the generator; None: 1, wgan (-gp) and cramer 5
    clip: float | None = None  # bound on the weights of wgan's critic; None: 0.01
    penalty_weight: float | None = None  # of the gradient penalty of wgan-gp and cramer; None: 10
    diversity: float | None = None  # began: error of made pictures over that of real ones; None: 0.5; less is cleaner
    began_skip: bool = True  # began's first map is joined to those of every size
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = POLICIES  # DiffAugment's policy; () for large sets
    ada: bool = False  # in place of it, augmentation that grows as the discriminator becomes too sure
    ada_target: float = 0.6  # how sure: the mean sign of its logits of training pictures
    ada_kimg: float | None = None  # thousands of pictures from none to all; None: 500, or 100 with --init-from
    hold_out: float = 0.0  # share of the pictures kept from training, to measure overfitting on
    minibatch_spread: bool = False  # the discriminator sees how much a batch's pictures differ; against sameness
    anchor_weight: float = 0.0  # of coming back from a training picture's code to its coarse colours; against sameness
    anchor_px: int = 32  # what counts as coarse: the picture shrunk to this
    anchor_noise: float = 0.5  # noise upon a code, as a share of its length
    coarse_weight: float = 0.0  # of varying coarsely as the training pictures do, taken together; against sameness
    gamma: float = 0.0  # weight of R1, which calms a discriminator that is too sure
    gamma_every: int = 8  # steps from one R1 to the next, which weighs as much more
    init_from: Path | None = None  # begin with this generator model; one of half the size is doubled (half the width)

    def training(self) -> Training:
        """How the objective is trained, with everything filled in."""
        return training_of(self.objective, self._given())

    def generator_name(self) -> GeneratorName:
        """The generator's kind: what was chosen, or what goes with the objective."""
        if self.generator != "auto":
            return self.generator
        return "began" if self.objective == "began" else "dcgan"

    def latent_length(self) -> int:
        """Length of the latent vector: what was chosen, or what its authors gave the generator."""
        return self.latent_dim or _LATENT_DIM[self.generator_name()]

    def _given(self) -> dict[str, Any]:
        names = {field.name for field in fields(Training)} & {field.name for field in fields(self)}
        return {name: getattr(self, name) for name in sorted(names) if getattr(self, name) not in (None, "auto")}

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        unknown = set(self.augment) - set(POLICIES)
        weights = ("anchor_weight", "anchor_noise", "coarse_weight", "gamma")
        odd = [name.replace("_", "-") for name in weights if not 0 <= getattr(self, name) < math.inf]
        counts = (self.width, self.gamma_every, *(n for n in (self.latent_dim, self.max_width) if n is not None))
        decodes = self.generator_name() == "began"
        checks = {
            f"--size-px {self.size_px} cannot work; choose one of {', '.join(map(str, SIZES_PX))}": (
                self.size_px not in SIZES_PX
            ),
            f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}": bool(unknown),
            "--width, --max-width, --latent-dim and --gamma-every must be at least 1": min(counts) < 1,
            f"--{', --'.join(odd)} cannot work as given; use 0 or more": bool(odd),
            "--ada-target must lie between -1 and 1, --ada-kimg be above 0": (
                not -1 < self.ada_target < 1 or not (self.ada_kimg is None or 0.001 <= self.ada_kimg < math.inf)
            ),
            f"--ada reads logits that divide at 0, which --objective {self.objective} has not": (
                self.ada and self.objective not in _DIVIDING
            ),
            f"--hold-out compares scores, which --objective {self.objective} has not": (
                self.hold_out > 0 and self.objective in ("cramer", "began")
            ),
            f"--hold-out {self.hold_out} cannot work; use a share from 0 to 0.5": not 0 <= self.hold_out <= 0.5,
            f"--anchor-px {self.anchor_px} cannot work; use a power of two from 4 to 128": (
                self.anchor_px not in (4, 8, 16, 32, 64, 128)
            ),
            "--anchor-weight cannot go with --generator began, whose latents are uniform; leave one of them away": (
                decodes and self.anchor_weight > 0
            ),
            "--max-width means nothing to began's networks, which are as wide at every size; use --width": (
                (decodes or self.objective == "began") and self.max_width is not None
            ),
            "--no-began-skip would change nothing without --objective or --generator began; leave it away": (
                not (decodes or self.objective == "began" or self.began_skip)
            ),
        }
        found = next((message for message, wrong in checks.items() if wrong), None)
        return found or training_problem(self.objective, self._given(), self.gamma > 0, self.minibatch_spread)


class DcganTask:
    """Generator and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"
    preview_columns = 8

    def __init__(self, settings: DcganSettings, pictures: Decoded, engine: Engine, seed: int) -> None:
        self._settings, self._engine, self._seed = settings, engine, seed
        self._pictures, self._held_out = hold_out(pictures.pictures, settings.hold_out)
        self._data = {"pictures": len(self._pictures), "held_out": len(self._held_out)}
        self._training, self._latent_dim = settings.training(), settings.latent_length()
        generator, discriminator = _generator(settings), _discriminator(settings, self._training.norm)
        self._begun: dict[str, Any] = {}
        if settings.init_from is not None:
            self._begun = _begin(settings.init_from, generator, discriminator, self._pictures)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        made_by: tuple[str, ...] = ("generator",)
        if settings.anchor_weight > 0:
            self.nets["encoder"] = Encoder(settings.size_px, _ENCODER_WIDTH, self._latent_dim)
            made_by = ("generator", "encoder")
        self._coarse = CoarseDistance(self._pictures).to(engine.device) if settings.coarse_weight > 0 else None
        self.phases = [
            self._phase("discriminator", ("discriminator",)),
            self._phase("generator", made_by, self._generator_due),
        ]
        # Among the networks because what they have counted belongs into checkpoints.
        if settings.ada:
            kimg = settings.ada_kimg or (500 if settings.init_from is None else 100)
            self.nets["ada"] = Ada(settings.ada_target, round(kimg * 1000))
        if self._held_out:
            self.nets["gauge"] = OverfittingGauge()

    def _phase(self, name: str, nets: tuple[str, ...], due: Callable[[int], bool] = lambda step: True) -> Phase:
        rates = {"encoder": _ENCODER_RATE}
        groups: list[dict[str, Any]] = [
            {"params": self.nets[net].parameters(), "lr": rates.get(net, self._training.learning_rate)} for net in nets
        ]
        return Phase(name, nets, make_optimizer(self._training, groups), due=due)

    def _generator_due(self, step: int) -> bool:
        return generator_due(step, self._training.critic_steps, self._training.opening_steps)

    def settings(self) -> dict[str, Any]:
        """The settings, none left open, and the number of pictures, for the checkpoint."""
        s = self._settings
        filled = asdict(self._training) | {"generator": s.generator_name(), "latent_dim": self._latent_dim}
        plain: dict[str, Any] = {"task": "dcgan", "augment": list(s.augment)}
        if s.init_from is not None:
            plain["init_from"] = s.init_from.name  # the name alone: paths tell of folders
        return asdict(s) | filled | plain | self._data

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, S, S)}, mirrored by chance, and now and then as many held-out ones."""
        batch = {"real": self._drawn(self._pictures, position, count)}
        if self._held_out and position // count % EVERY == 0:
            batch["held_out"] = self._drawn(self._held_out, position // EVERY, count)
        return batch

    def _drawn(self, pictures: list[Tensor], position: int, count: int) -> Tensor:
        """(count, 3, S, S) from this position of the endless stream on."""
        chosen = []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(pictures), self._seed)
            picture = pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        return to_float(torch.stack(chosen))

    def _augmented(self, pictures: Tensor) -> Tensor:
        """What the discriminator is shown of pictures, real or made."""
        if "ada" in self.nets:
            changed: Tensor = self.nets["ada"](pictures)
            return changed
        return diff_augment(pictures, self._settings.augment)

    def _watched(self, batch: Batch, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """What the discriminator's logits say of overfitting, for ADA and to plot."""
        numbers: dict[str, Tensor] = {}
        ada, gauge, discriminator = self.nets.get("ada"), self.nets.get("gauge"), self.nets["discriminator"]
        if isinstance(gauge, OverfittingGauge) and "held_out" in batch:
            held_out = judged_aside(discriminator, self._augmented(batch["held_out"]))
            numbers |= gauge.heed(real, held_out, fake)
        if isinstance(ada, Ada):
            numbers |= ada.heed(real)
        return numbers

    def _objective(self) -> Objective:
        return make_objective(self._settings.objective, self._training, self.nets["discriminator"])

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases, and real ones come back from their noisy codes."""
        real = batch["real"]
        with torch.set_grad_enabled(self._generator_due(step)):
            wanted = self._objective().fakes_each * real.shape[0]
            latents = torch.randn(wanted, self._latent_dim, device=real.device)
            if self._settings.anchor_weight == 0:
                return {"fake": self.nets["generator"](latents)}
            encoder = self.nets["encoder"]
            assert isinstance(encoder, Encoder)
            codes = encoder(real)
            latents = encoder.spread_like_codes(latents)
            both = self.nets["generator"](torch.cat((latents, noisy(codes, self._settings.anchor_noise))))
            return {"codes": codes, "fake": both[:wanted], "back": both[wanted:]}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective's losses and what is added to them."""
        return self._generator_loss(batch, made, step) if phase == "generator" else self._judge(batch, made, step)

    def _generator_loss(self, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        s, objective = self._settings, self._objective()
        fake = self._augmented(made["fake"].float())
        real = self._augmented(batch["real"]) if objective.compares else None
        loss = objective.generator(self.nets["discriminator"], fake, real)
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

    def _judge(self, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's side; real and made pictures go through it apart (batch statistics)."""
        s, discriminator = self._settings, self.nets["discriminator"]
        if self._training.clip is not None:  # before the critic judges, not after its step, as the authors' code does
            clip_weights(discriminator, self._training.clip)
        calmed = s.gamma > 0 and step % s.gamma_every == 0  # lazily (Karras et al. 2020, 1912.04958)
        shown = batch["real"].detach().requires_grad_(calmed)
        real, fake = self._augmented(shown), self._augmented(made["fake"].detach().float())
        judged = self._objective().discriminator(discriminator, real, fake)
        loss = judged.loss
        plotted = {"loss": loss, "real": judged.real.float().mean(), "fake": judged.fake.float().mean()}
        plotted |= judged.plotted | self._watched(batch, judged.real, judged.fake)
        # ADA's r_t, by which the watch knows overfitting; only where scores divide at 0.
        if s.objective in _DIVIDING:
            plotted["real_sign"] = judged.real.detach().sign().float().mean()
        if calmed:
            plotted["r1"] = r1_penalty(judged.real, shown)
            loss = loss + s.gamma_every * s.gamma / 2 * plotted["r1"]
        if isinstance(discriminator, BeganAutoencoder):
            plotted |= self._move_balance(discriminator, judged)
        return loss, plotted

    @torch.no_grad()
    def _move_balance(self, autoencoder: BeganAutoencoder, judged: Judged) -> dict[str, Tensor]:
        """BEGAN's k for the next step. Both networks learn from the same made pictures, so it is known here already."""
        assert self._training.diversity is not None
        errors = -judged.real.mean(), -judged.fake.mean()
        autoencoder.k.copy_(next_k(autoencoder.k, *errors, self._training.diversity))
        return {"k": autoencoder.k.clone(), "convergence": convergence(*errors, self._training.diversity)}

    def _latents(self, count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return torch.randn(count, self._latent_dim, generator=random).to(self._engine.device)

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
                first.weight.copy_(torch.einsum("ij,ichw->jchw", encoder.spread(), first.weight))
        with self._engine.autocast():
            calibrate_batch_norm(finished, [self._latents(64, seed=1 + i) for i in range(batches)])
        return finished


def _generator(s: DcganSettings) -> DcganGenerator | BeganGenerator:
    if s.generator_name() == "began":
        return BeganGenerator(s.size_px, s.latent_length(), s.width, s.began_skip)
    return DcganGenerator(s.size_px, s.latent_length(), s.width, s.max_width)


def _discriminator(s: DcganSettings, norm: Norm) -> DcganDiscriminator | BeganAutoencoder:
    if s.objective == "began":
        return BeganAutoencoder(s.size_px, s.latent_length(), s.width, s.began_skip)
    outputs = CRAMER_OUTPUTS if s.objective == "cramer" else 1
    return DcganDiscriminator(s.size_px, s.width, s.max_width, s.minibatch_spread, norm, outputs)


def _begin(
    path: Path,
    generator: DcganGenerator | BeganGenerator,
    discriminator: DcganDiscriminator | BeganAutoencoder,
    pictures: list[Tensor],
) -> dict[str, Any]:
    """Take the weights of a model of the same size, or of half the size, which is doubled."""
    model = load_model_file(path)
    small, critic = model.main, model.critic
    large = generator if isinstance(generator, DcganGenerator) else None
    if not isinstance(small, DcganGenerator) or large is None or 2 * small.size_px != large.size_px:
        return begin_with(path, generator, discriminator)
    norm = discriminator.config["norm"] if isinstance(discriminator, DcganDiscriminator) else "none"
    if not isinstance(discriminator, DcganDiscriminator) or norm not in ("batch", "batch-own"):
        raise UpimagineError(
            f"--init-from {path} makes {small.size_px} px pictures and can only be doubled beside a discriminator with "
            f"batch norm, not with {norm}: use a model of {large.size_px} px or another --objective or --norm"
        )
    try:
        double_generator(small, large, torch.randn(_SEEN_WHEN_DOUBLING, small.latent_dim))
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
    """Decode all pictures once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    return lambda engine: DcganTask(settings, pictures, engine, seed)
