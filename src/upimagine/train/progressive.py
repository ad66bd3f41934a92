"""Train a Progressive GAN: small pictures first, and each doubling faded in (Karras et al. 2017, 1710.10196).

    upimagine train progressive --data PICTURES --out runs/mine

Loss, schedule, rates and batches are those of the authors' code (tkarras/progressive_growing_of_gans: loss.py,
train.py, config.py), with a tenth of its pictures a size unless told otherwise: `--stable-kimg 600 --fade-kimg 600
--kimg 12000` is what 1024 px took there, two weeks on one GPU of its day.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import Decoded, drawn_at, to_float, to_uint8
from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import wasserstein_critic, wasserstein_generator
from upimagine.losses.drift import drift
from upimagine.losses.objective import ScoreObjective
from upimagine.models.file import save_model
from upimagine.nets.pggan import PgganDiscriminator, PgganGenerator, faded_pictures
from upimagine.train.arithmetic import arithmetic
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.growth import Growth, Stage, at_sizes
from upimagine.train.latents import latents_at
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

SIZES_PX = (8, 16, 32, 64, 128, 256, 512, 1024)
_GRID = {128: (8, 6), 256: (6, 4), 512: (4, 3), 1024: (3, 2)}  # columns and rows of the preview, by the final size
_STRIP = 8  # pictures of the strip that shows the fading


@dataclass(frozen=True)
class ProgressiveSettings:
    """What is particular to a Progressive GAN."""

    size_px: int = 128  # 8, 16, 32, 64, 128, 256, 512 or 1024: where it ends
    base_px: int = 4  # where it begins: 4, or 2
    stable_kimg: float = 60.0  # thousands of pictures for which each size is trained once it is there; 600 in the paper
    fade_kimg: float = 60.0  # thousands of pictures over which each size fades in; 600 in the paper
    fmap_base: int = 8192  # twice this, over the side of a map, are its channels …
    fmap_max: int = 512  # … but no more than this
    latent_dim: int = 512  # length of the latent vector
    learning_rate: float = 1e-3  # of both networks
    rate_at: tuple[str, ...] = ("1024=0.0015",)  # SIZE=RATE: another learning rate at a size
    batch_at: tuple[str, ...] = ("256=14", "512=6", "1024=3")  # SIZE=PICTURES: smaller batches at large sizes
    penalty_weight: float = 10.0  # of the gradient penalty
    drift_weight: float = 0.001  # of the square of the scores of real pictures, which keeps them near 0
    deviation_group: int = 4  # pictures whose deviation the discriminator sees together
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = ()  # DiffAugment's policy, for few pictures; not in the paper

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.size_px not in SIZES_PX or self.base_px not in (2, 4):
            sizes = ", ".join(map(str, SIZES_PX))
            return f"--size-px {self.size_px} from --base-px {self.base_px} cannot work; choose {sizes}, from 2 or 4"
        if unknown := set(self.augment) - set(POLICIES):
            return f"--augment {', '.join(sorted(unknown))} is unknown; choose among {', '.join(POLICIES)}"
        for name in ("fmap_base", "fmap_max", "latent_dim", "deviation_group"):
            if getattr(self, name) < 1:
                return f"--{name.replace('_', '-')} {getattr(self, name)} is too small; use at least 1"
        for name in ("stable_kimg", "fade_kimg", "penalty_weight", "drift_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        if self.stable_kimg < 0.001:
            return f"--stable-kimg {self.stable_kimg} cannot work; use more than 0"
        return self._problem_at_sizes()

    def _problem_at_sizes(self) -> str | None:
        for flag, listed in (("--rate-at", self.rate_at), ("--batch-at", self.batch_at)):
            try:
                found = at_sizes(listed)
            except ValueError:
                return f"{flag} {' '.join(listed)} cannot be read; give SIZE=NUMBER, as in 256=8"
            if strange := set(found) - {2, 4, *SIZES_PX}:
                return f"{flag} names {min(strange)} px, which no picture has; the sizes are powers of two"
            if flag == "--batch-at" and any(value < 1 or value != int(value) for value in found.values()):
                return f"{flag} {' '.join(listed)} cannot work; use whole numbers of pictures"
            if flag == "--rate-at" and not all(0 < value < 1 for value in (self.learning_rate, *found.values())):
                return "--learning-rate and those of --rate-at must lie between 0 and 1"
        return None

    def growth(self, batch: int) -> Growth:
        """The schedule, with `batch` pictures a step where no size has fewer."""
        fewer = at_sizes(self.batch_at)
        return Growth(
            self.base_px,
            self.size_px,
            round(self.stable_kimg * 1000),
            round(self.fade_kimg * 1000),
            lambda extent: min(batch, int(fewer.get(extent, batch))),
        )


class ProgressiveTask:
    """Growing generator and discriminator, one step each; see `train.task.Task` and `train.task.OwnBatches`."""

    averaged = "generator"

    def __init__(self, settings: ProgressiveSettings, pictures: Decoded, engine: Engine, seed: int, batch: int) -> None:
        s = settings
        self._settings, self._pictures, self._engine, self._seed = s, pictures.pictures, engine, seed
        self._growth = s.growth(batch)
        self._stage = self._growth.at(0)
        self._shrunk: tuple[int, list[Tensor]] = (s.size_px, pictures.pictures)
        self._rates = at_sizes(s.rate_at)
        self._work: dict[int, float] = {}
        self._changed: int | None = None  # the last step at which the optimisers were emptied
        self.preview_columns, self._rows = _GRID[max(s.size_px, min(_GRID))]
        self._generator = PgganGenerator(s.size_px, s.latent_dim, s.fmap_base, s.fmap_max, s.base_px, growing=True)
        self._discriminator = PgganDiscriminator(
            s.size_px, s.fmap_base, s.fmap_max, s.base_px, growing=True, deviation_group=s.deviation_group
        )
        self.nets: dict[str, nn.Module] = {"generator": self._generator, "discriminator": self._discriminator}
        # What later sizes will use has no gradient yet, and so no state in Adam.
        self._adams = {
            name: torch.optim.Adam(self.nets[name].parameters(), s.learning_rate, (0.0, 0.99), 1e-8, fused=True)
            for name in ("discriminator", "generator")
        }
        self.phases = [Phase(name, (name,), adam) for name, adam in self._adams.items()]

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        plain = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self._settings).items()
        }
        return plain | {"task": "progressive", "pictures": len(self._pictures)}

    def shown_after(self, step: int) -> int:
        """Pictures shown in so many steps."""
        return self._growth.shown_after(step)

    def work_at(self, shown: float) -> float:
        """Arithmetic of one picture at the size that is trained then, in generator and discriminator."""
        size_px = self._growth.at(int(shown)).size_px
        if size_px not in self._work:
            self._work[size_px] = arithmetic(self._generator, self._discriminator, size_px)
        return self._work[size_px]

    def batch(self, position: int, count: int) -> Batch:
        """{"real": (count, 3, s, s), "latents": (count, latent_dim)}, of the size that is being trained."""
        stage = self._growth.at(position)
        pictures, chosen = self._at_size(stage.size_px), []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(pictures), self._seed)
            picture = pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        real = faded_pictures(to_float(torch.stack(chosen)), stage.faded)
        return {"real": real, "latents": latents_at(position, count, self._settings.latent_dim, self._seed)}

    def _at_size(self, size_px: int) -> list[Tensor]:
        """All pictures shrunk to this size, kept while it is trained."""
        size, pictures = self._shrunk  # at once, since previews ask from another thread
        if size != size_px:
            shrink = self._settings.size_px // size_px
            pictures = [to_uint8(F.avg_pool2d(to_float(picture), shrink)) for picture in self._pictures]
            self._shrunk = size_px, pictures
        return pictures

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases. Where a size begins or has faded in, Adam forgets."""
        self._stage = self._growth.at(self._growth.shown_after(step))
        for phase in self.phases:
            for group in phase.optimizer.param_groups:
                group["lr"] = self._rates.get(self._stage.size_px, self._settings.learning_rate)
        if self._growth.changes_at(step) and self._changed != step:
            self._changed = step  # once, however often a divided step comes by
            for adam in self._adams.values():
                adam.state.clear()
        return {"fake": self._generator(batch["latents"], self._stage.size_px, self._stage.faded)}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Wasserstein losses; the critic's with gradient penalty and drift (loss.py: G_wgan_acgan, D_wgangp_acgan)."""
        s = self._settings
        critic = partial(self._discriminator, faded=self._stage.faded)
        fake = diff_augment(made["fake"], s.augment)
        if phase == "generator":
            loss = wasserstein_generator(critic(fake))
            return loss, {"loss": loss}
        objective = ScoreObjective(wasserstein_critic, wasserstein_generator, s.penalty_weight or None)
        judged = objective.discriminator(critic, diff_augment(batch["real"], s.augment), fake.detach().float())
        numbers = {"real": judged.real.float().mean(), "fake": judged.fake.float().mean(), **judged.plotted}
        loss = judged.loss + s.drift_weight * drift(judged.real)
        return loss, {"loss": loss, **numbers, "size_px": torch.tensor(float(self._stage.size_px))}

    def _made(self, averaged: nn.Module, latents: Tensor, faded: float) -> Tensor:
        """Pictures enlarged to the final size, so that all previews are alike; to 256 px at most."""
        averaged.eval()
        with torch.inference_mode(), self._engine.autocast():
            parts = [averaged(some, self._stage.size_px, faded).float().cpu() for some in torch.split(latents, 4)]
        times = min(self._settings.size_px, 256) // self._stage.size_px
        pictures = torch.cat(parts)
        return F.interpolate(pictures, scale_factor=times, mode="nearest") if times > 1 else pictures

    def _latents(self, count: int) -> Tensor:
        random = torch.Generator().manual_seed(0)
        return torch.randn(count, self._settings.latent_dim, generator=random).to(self._engine.device)

    def preview(self, averaged: nn.Module) -> Tensor:
        """A grid of the same latents each time, as far as it has grown."""
        made = self._made(averaged, self._latents(self.preview_columns * self._rows), self._stage.faded)
        return picture_grid(made, self.preview_columns)

    def strip(self, averaged: nn.Module) -> Tensor | None:
        """While a size fades in: the same latent from the size before to the new one alone, in equal steps."""
        if self._stage.faded == 1:
            return None
        latent = self._latents(1)
        steps = [self._made(averaged, latent, share / (_STRIP - 1)) for share in range(_STRIP)]
        return picture_grid(torch.cat(steps), _STRIP)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The averaged generator as far as it has grown, and the discriminator as critic."""
        assert isinstance(averaged, PgganGenerator)
        stage: Stage = self._growth.at(round(progress["kimg"] * 1000))
        generator = averaged.grown(stage.size_px, stage.faded)
        critic = self._discriminator.grown(stage.size_px, stage.faded)
        save_model(path, "generator", generator, critic, progress | {"task": "progressive"})


def make_progressive_task(
    data: list[Path], settings: ProgressiveSettings, seed: int, batch: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], ProgressiveTask]:
    """Decode all pictures once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, settings.size_px, on_skip)
    return lambda engine: ProgressiveTask(settings, pictures, engine, seed, batch)
