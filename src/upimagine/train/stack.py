"""Train a second stage behind a generator (StackGAN, Zhang et al. 2016, 1612.03242), which paints its pictures anew.

    upimagine train stack --from-stage small.safetensors --data PICTURES --out runs/large

The first stage stands still, as there, and is carried inside the model that comes out. Any objective can be played.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import Decoded
from upimagine.errors import UpimagineError
from upimagine.models.architectures import architecture_of
from upimagine.models.builtin import find
from upimagine.models.file import ModelFile, load_model_file, save_model
from upimagine.nets import began
from upimagine.nets.began import BeganAutoencoder
from upimagine.nets.dcgan import JUDGED_SIZES_PX, DcganDiscriminator, calibrate_batch_norm
from upimagine.nets.stack import TIMES, SecondStage, StackGenerator, stage_px
from upimagine.train.adversary import Adversary, AdversarySettings
from upimagine.train.begin import origin_of
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.latents import latents_at
from upimagine.train.objectives import CRAMER_OUTPUTS
from upimagine.train.shown import Shown
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch

_COLUMNS = {64: 8, 128: 8, 256: 6, 512: 4, 1024: 2}  # of the preview, by the side of its pictures
_CALIBRATED = 8  # pictures at once when batch norm is set


@dataclass(frozen=True)
class StackSettings(AdversarySettings):
    """What is particular to a second stage."""

    from_stage: Path | None = None  # the generator that makes the small pictures, by name or path; it is not trained
    times: int = 2  # how many times as large a side the pictures are: 2 or 4, as in the paper
    width: int = 32  # channels of the map that is as large as the small picture; 128 in the authors' code
    blocks: int = 4  # residual blocks at a quarter of the small picture's side
    critic_width: int = 32  # channels of the discriminator's first layer; they double from layer to layer
    critic_max_width: int = 512  # cap on them
    low_res_weight: float = 1.0  # of the L1 between what is made, shrunk, and the small picture; 0: free to leave it

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if self.from_stage is None:
            return "--from-stage must name the generator that makes the small pictures"
        if self.times not in TIMES:
            return f"--times {self.times} cannot work; choose one of {', '.join(map(str, TIMES))}"
        if min(self.width, self.critic_width, self.critic_max_width) < 1 or self.blocks < 0:
            return "--width, --critic-width and --critic-max-width must be at least 1, --blocks 0 or more"
        if not 0 <= self.low_res_weight < math.inf:
            return f"--low-res-weight {self.low_res_weight} cannot work; use 0 or more"
        return self.adversary_problem()


class StackTask:
    """Second stage and discriminator, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(self, settings: StackSettings, first: ModelFile, pictures: Decoded, engine: Engine, seed: int) -> None:
        self._settings, self._engine, self._seed = settings, engine, seed
        self._file, self._first = first, engine.place(first.main)
        self._shown = Shown(pictures, settings.hold_out, settings.flip, seed)
        self._latent_dim = int(first.main.latent_dim)  # type: ignore[arg-type]
        self._size_px = settings.times * int(first.main.size_px)  # type: ignore[arg-type]
        self.preview_columns = _COLUMNS[self._size_px]
        self.nets: dict[str, nn.Module] = {
            "generator": SecondStage(settings.times, self._latent_dim, settings.width, settings.blocks),
            "discriminator": _discriminator(settings, self._size_px),
        }
        self._adversary = Adversary(settings, self.nets, self._shown.holds_out, False, engine)
        self.phases = [self._adversary.phase(name, {name: None}) for name in ("discriminator", "generator")]

    def settings(self) -> dict[str, Any]:
        """The settings, none left open, the first stage's hash and the number of pictures, for the checkpoint."""
        s = self._settings
        assert s.from_stage is not None
        plain = {"task": "stack", "augment": list(s.augment), "from_stage": s.from_stage.name}
        return asdict(s) | asdict(s.training()) | plain | {"first_sha256": self._file.sha256} | self._shown.counts

    def batch(self, position: int, count: int) -> Batch:
        """What `Shown` shows, and "latents" (count, L, or 2 L where two are made for each)."""
        length = self._latent_dim * self._adversary.fakes_each
        return self._shown.batch(position, count) | {"latents": latents_at(position, count, length, self._seed)}

    def forward(self, batch: Batch, step: int) -> Batch:
        """The first stage's pictures, and what the second one makes of them, for both phases."""
        latents = torch.cat(torch.split(batch["latents"], self._latent_dim, dim=1))
        with torch.no_grad():
            small = self._first(latents)
        with torch.set_grad_enabled(self._adversary.generator_due(step)):
            return {"small": small, "fake": self.nets["generator"](latents, small)}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective's losses; the generator is also held to the small picture."""
        if phase == "discriminator":
            return self._adversary.loss(made["fake"], batch, step)
        loss = self._adversary.generator_loss(made["fake"], batch)
        low_res = F.l1_loss(F.avg_pool2d(made["fake"].float(), self._settings.times), made["small"])
        return loss + self._settings.low_res_weight * low_res, {"loss": loss, "low_res_l1": low_res}

    def _pairs(self, count: int, seeds: range) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of latents (count, L) and the first stage's pictures (count, 3, s, s), one a seed."""
        for seed in seeds:
            latents = torch.randn(count, self._latent_dim, generator=torch.Generator().manual_seed(seed))
            placed = latents.to(self._engine.device)
            with torch.no_grad():
                yield placed, self._first(placed)

    def preview(self, averaged: nn.Module) -> Tensor:
        """A grid of the same latents each time, of three pictures to four in shape."""
        columns = self.preview_columns
        finished = self._finished(averaged, share=4)
        with torch.inference_mode(), self._engine.autocast():
            rows = [finished(*pair).cpu() for pair in self._pairs(columns, range(max(1, columns * 3 // 4)))]
        return picture_grid(torch.cat(rows), columns)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """Both stages as one generator, the discriminator as critic; one that only compares (Cramer) is left out."""
        name, config = architecture_of(self._first)
        s = self._settings
        with torch.device("meta"):
            stack = StackGenerator({"architecture": name, "config": config}, self._size_px, s.width, s.blocks)
        stack.first, stack.second = self._first, self._finished(averaged, share=1)
        critic = None if s.objective == "cramer" else self.nets["discriminator"]
        story = progress | {"task": "stack", "first_stage": origin_of(self._file)}
        save_model(path, "generator", stack, critic, story)

    def _finished(self, averaged: nn.Module, share: int) -> SecondStage:
        """A copy with batch-norm statistics of its own, from fewer pictures the larger they are: 256 of 128 px."""
        finished = copy.deepcopy(averaged)
        assert isinstance(finished, SecondStage)
        batches = max(2, 4096 // self._size_px // share)
        with self._engine.autocast():
            calibrate_batch_norm(finished, self._pairs(_CALIBRATED, range(1000, 1000 + batches)))
        return finished


def _discriminator(s: StackSettings, size_px: int) -> nn.Module:
    if s.objective == "began":
        return BeganAutoencoder(size_px, width=s.critic_width)
    outputs = CRAMER_OUTPUTS if s.objective == "cramer" else 1
    norm = s.training().norm
    return DcganDiscriminator(size_px, s.critic_width, s.critic_max_width, s.minibatch_spread, norm, outputs)


def make_stack_task(
    data: list[Path], settings: StackSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], StackTask]:
    """Decode all pictures once (unusable ones go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    assert settings.from_stage is not None
    path = find(settings.from_stage)
    size_px = _size_px(load_model_file(path), settings)
    pictures = decode_squares(data, size_px, on_skip)
    # Read anew for each run: the network is placed and must not be shared.
    return lambda engine: StackTask(settings, load_model_file(path), pictures, engine, seed)


def _size_px(first: ModelFile, s: StackSettings) -> int:
    """Side of the pictures that come out. Raises UpimagineError for a model that can be no first stage."""
    named = f"--from-stage {first.path.name}"
    if first.role != "generator":
        raise UpimagineError(f"{named} makes no pictures from noise; name a generator, as portrait-128")
    small_px = int(first.main.size_px)  # type: ignore[arg-type]
    size_px = s.times * small_px
    try:
        stage_px(small_px, size_px)
    except ValueError as error:
        raise UpimagineError(f"{named}: {error}") from error
    judged = began.SIZES_PX if s.objective == "began" else JUDGED_SIZES_PX
    if size_px not in judged:
        raise UpimagineError(
            f"{named} with --times {s.times} makes {size_px} px, which no discriminator of --objective {s.objective} "
            f"judges: they see {', '.join(map(str, judged))} px"
        )
    return size_px
