"""Train a J-net to up-imagine x8, on folders or archives of large pictures.

    upimagine train upres --data PICTURES --out runs/mine --perceptual vgg16_relu4_3.safetensors

The seed's own form is `--consistency none --perceptual-weight 0 --width 1`. See the cards of `portrait-x8` and
`detail-x8` for commands, time, hardware and scores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from upimagine.data.folder import to_float, to_uint8
from upimagine.data.rasters import Palette, Rasters, palette_of
from upimagine.data.sources import opened
from upimagine.data.tiles import TileAugment, TileSource, low_tile_at, tile_at, tile_source
from upimagine.errors import PictureError, UpimagineError
from upimagine.guide.kinds import guide_named
from upimagine.losses.perceptual import PerceptualLoss
from upimagine.models.file import save_model
from upimagine.models.loaded import LoadedGenerator, LoadedTranslator, LoadedUpscaler, load
from upimagine.nets.dcgan import calibrate_batch_norm
from upimagine.nets.jnet import JNet, JNetDiscriminator, enlarge_smoothly
from upimagine.nets.vgg import load_vgg
from upimagine.train.begin import begin_with
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.stage import restaged, sampled_planes
from upimagine.train.task import Batch, Phase
from upimagine.train.upres_settings import UpresSettings
from upimagine.train.upres_terms import UpresTerms

__all__ = ["UpresSettings", "UpresTask", "make_upres_task"]

_STILL = TileAugment(False, 0, 0, 0, 0, 0, 0)
_CALIBRATING = 64  # tiles that set the running averages of batch norm


class UpresTask:
    """J-net and its conditional PatchGAN, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(
        self, settings: UpresSettings, augment: TileAugment, data: UpresData, engine: Engine, seed: int
    ) -> None:
        self._settings, self._augment, self._data = settings, augment, data
        self._engine, self._seed = engine, seed
        guide_channels = data.sources[0].low.shape[0] - 3
        s = settings
        generator = JNet(
            guide_channels, s.width, s.consistency, s.up, s.norm, s.dropout_px, s.noise_channels, s.low_px,
            s.residual_blocks,
        )  # fmt: skip
        discriminator = JNetDiscriminator(3 + guide_channels, settings.critic_width)
        self._begun = {} if settings.init_from is None else begin_with(settings.init_from, generator, discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        self.phases = [
            Phase(
                name,
                (name,),
                torch.optim.Adam(
                    self.nets[name].parameters(), settings.learning_rate, (settings.beta1, 0.999), fused=True
                ),
                first_step,
            )
            for name, first_step in (("discriminator", settings.warmup_steps), ("generator", 0))
        ]
        perceptual: nn.Module | None = None
        if s.perceptual is not None and s.perceptual_weight > 0:
            eye = load_vgg(s.perceptual)
            perceptual = engine.place(PerceptualLoss(eye, crop_px=s.perceptual_crop_px, distance=s.perceptual_distance))
        self._terms = UpresTerms(settings, discriminator, perceptual)

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        told = self._settings.plain() | {"task": "upres", "sources": len(self._data.sources)} | asdict(self._augment)
        return told | {"guide_palette": self._data.palette}

    def batch(self, position: int, count: int) -> Batch:
        """{"low": (count, C, 32, 32), "high": (count, 3, 256, 256)}, and "staged" (m, C, 32, 32) without truth."""
        share, data = self._settings.stage_share, self._data
        places = range(position, position + count)
        pairs = [tile_at(data.sources, place, self._seed, self._augment, staged_share=share) for place in places]
        batch = {"low": torch.stack([low for low, _ in pairs]), "high": torch.stack([high for _, high in pairs])}
        # Of m tiles beside count pairs, m / (m + count) are the share.
        if data.unpaired and (many := round(count * share / max(1 - share, 0.05))):
            begin = position // count * many
            batch["staged"] = torch.stack(
                [low_tile_at(data.unpaired, at, self._seed, self._augment) for at in range(begin, begin + many)]
            )
        return batch

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made tiles, used by both phases; those without truth stand behind the others."""
        low = torch.cat((batch["low"], batch["staged"])) if "staged" in batch else batch["low"]
        return {"low": low, "fake": self.nets["generator"](low)}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `UpresTerms`."""
        if phase == "discriminator":
            return self._terms.discriminator(batch["high"], batch["low"], made["fake"], made["low"])
        return self._terms.generator(
            batch["high"], made["fake"], made["low"], warming=step < self._settings.warmup_steps
        )

    def preview(self, averaged: nn.Module) -> Tensor:
        """Eight tiles of the training stream: enlarged input, what is made, truth."""
        pairs = [tile_at(self._data.sources, place, self._seed + 1, _STILL) for place in range(8)]
        low = torch.stack([pair[0] for pair in pairs]).to(self._engine.device)
        finished = self._finished(averaged)
        with torch.inference_mode(), self._engine.autocast():
            made = finished(low).float()
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
            self._finished(averaged),
            self.nets["discriminator"],
            progress | {"task": "upres", "begun_from": self._begun},
        )

    def _finished(self, averaged: nn.Module) -> nn.Module:
        """With running averages that belong to the averaged weights, where it has batch norm."""
        if self._settings.norm == "none":
            return averaged
        finished = copy.deepcopy(averaged)
        places = [range(place, place + 8) for place in range(0, _CALIBRATING, 8)]
        tiles = [
            torch.stack([tile_at(self._data.sources, place, self._seed + 1, self._augment)[0] for place in eight])
            for eight in places
        ]
        with self._engine.autocast():
            calibrate_batch_norm(finished, [low.to(self._engine.device) for low in tiles])
        return finished


@dataclass(frozen=True)
class UpresData:
    """Everything that a J-net learns from, decoded."""

    sources: list[TileSource]
    unpaired: list[Tensor]  # low-res planes (C, h, w) uint8 of an earlier stage, whose truth nobody knows
    palette: Palette | None  # colours of the guide's channels


def make_upres_task(
    data: list[Path], settings: UpresSettings, augment: TileAugment, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], UpresTask]:
    """Decode all pictures once (unusable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem() or augment.problem():
        raise UpimagineError(problem)
    if settings.perceptual is not None:
        load_vgg(settings.perceptual)  # a wrong file is better known before all pictures are read
    guide = guide_named(settings.guide)
    palette = rasters = None
    if settings.guides is not None:
        palette = palette_of(settings.guides) if settings.guide == "raster-channels" else None
        rasters = Rasters(settings.guides, palette)
    stage = None if settings.from_stage is None else load(settings.from_stage)
    if isinstance(stage, LoadedTranslator):
        raise UpimagineError(
            f"--from-stage {settings.from_stage} translates pictures; name what makes or enlarges them"
        )
    if isinstance(stage, LoadedGenerator) and rasters is not None:
        raise UpimagineError(
            "--from-stage with a generator cannot go with --guides: nobody drew guides of its pictures"
        )
    sources: list[TileSource] = []
    reason = ""
    with opened(data) as found:
        for picture in found:
            for scale in settings.scales:
                try:
                    source = tile_source(picture, scale, guide, rasters=rasters)
                except PictureError as error:
                    reason = str(error)
                    if scale == max(settings.scales):
                        on_skip(picture.path, reason)
                    continue
                if isinstance(stage, LoadedUpscaler):
                    made = restaged(stage, to_float(source.low[None, :3]))
                    source = replace(source, staged=to_uint8(made[0]))
                sources.append(source)
    if not sources:
        raise UpimagineError(f"no picture could be used for tiles of 256 px; the last: {reason}")
    unpaired: list[Tensor] = []
    if isinstance(stage, LoadedGenerator):
        unpaired = sampled_planes(stage, guide, settings.stage_pictures, seed)
    together = UpresData(sources, unpaired, palette)
    return lambda engine: UpresTask(settings, augment, together, engine, seed)
