"""Train pix2pix: from pictures to pictures, whatever the pairs are (Isola et al. 2016, 1611.07004).

    upimagine train pix2pix --data PICTURES --out runs/mine                     an up-imaginer x8
    upimagine train pix2pix --data PICTURES --how edges --out runs/mine         from lines to pictures
    upimagine train pix2pix --data PAIRS --how combined --out runs/mine         from files A|B

The paper's maps need a few hundred pairs; 400 facades took about two hours on a Pascal Titan X (phillipi/pix2pix,
README).
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

from upimagine.data.makers import Maker, amount_of, maker_named
from upimagine.data.pairs import (
    Jitter,
    OnSkip,
    load_combined,
    load_folders,
    load_guided,
    load_pictures,
    pair_at,
)
from upimagine.errors import UpimagineError
from upimagine.guide.faces import FaceGuide
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.models.file import save_model
from upimagine.nets.dcgan import calibrate_batch_norm
from upimagine.nets.pix2pix import PATCHES_PX, SIZES_PX, PatchDiscriminator, Statistics, UNet, enlarge_blocks
from upimagine.train.begin import begin_with
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.task import Batch, Phase

_LEAST_PX = 16  # a picture smaller than this would be nothing but blur
_SHOWN = 4  # pairs in a preview
_CALIBRATING = 64  # pictures that set the running averages of batch norm
_READY_MADE = ("combined", "folders", "guide")  # pairs that are there when the pictures have been read


@dataclass(frozen=True)
class Pix2pixSettings:
    """What is particular to pix2pix."""

    # what A is, from which B, the picture, is learned. Made of B: pixelate:8 edges blur:3 halftone:6 quantise:4
    # shuffle:32 guide (of faces) FILE.py:FUNCTION; or there already: combined (files A|B) folders (see --inputs)
    how: str = "pixelate:8"
    inputs: Path | None = None  # with --how folders: the folder of A; --data holds B under the same names
    reverse: bool = False  # learn from B to A
    size_px: int = 256  # of the pictures: 128, 256 or 512
    width: int = 64  # channels of the U-Net's first layer; 64 is the paper's (54M parameters), 32 a quarter of it
    critic_width: int = 64  # channels of the discriminator's first layer
    patch_px: int = 70  # what one of its logits sees: 1, 16, 34, 70, 142 or 286
    load_px: int | None = None  # short side before a square is cut out anywhere; default: 286 for 256
    flip: bool = True  # show mirror images too
    dropout_px: tuple[int, ...] = (2, 4, 8)  # extents of the maps with dropout, the noise; 4 8 16: the PyTorch port's
    noise: bool = True  # dropout stays on after training, drawn from the picture itself
    statistics: Statistics = "batch"  # of batch norm after training: each picture's own, or running averages
    l1_weight: float = 100.0  # of the mean difference from B
    gan_weight: float = 1.0  # of the adversarial term
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5  # Adam's
    init_from: Path | None = None  # begin with the weights of this model

    @property
    def scale(self) -> int:
        """What a network trained on these pairs enlarges by: pixels undone, else 1."""
        undone = self.how.partition(":")[0] == "pixelate" and not self.reverse
        return int(amount_of(self.how)) if undone else 1

    @property
    def jitter(self) -> Jitter:
        """286 for 256 is the paper's."""
        return Jitter(self.size_px, self.load_px or round(self.size_px * 286 / 256), self.flip)

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        extents = [2**power for power in range(1, self.size_px.bit_length() - 1)]
        weights = [name for name in ("l1_weight", "gan_weight") if not 0 <= getattr(self, name) < math.inf]
        checks = {
            f"--size-px {self.size_px} cannot work; choose one of {_either(SIZES_PX)}": self.size_px not in SIZES_PX,
            f"--patch-px {self.patch_px} cannot work; choose one of {_either(PATCHES_PX)}": (
                self.patch_px not in PATCHES_PX
            ),
            f"--load-px {self.load_px} cannot work; use {self.size_px} or more": self.jitter.load_px < self.size_px,
            f"--dropout-px {' '.join(map(str, self.dropout_px))} cannot work; choose among {_either(extents)}": (
                not set(self.dropout_px) <= set(extents)
            ),
            "--width and --critic-width must be at least 1": min(self.width, self.critic_width) < 1,
            f"--learning-rate {self.learning_rate} cannot work; use something between 0 and 1": (
                not 0 < self.learning_rate < 1
            ),
            "--l1-weight and --gan-weight must be 0 or more": bool(weights),
            "--how folders needs --inputs, the folder of A": self.how == "folders" and self.inputs is None,
            "--inputs goes with --how folders": self.how != "folders" and self.inputs is not None,
        }
        return next((message for message, wrong in checks.items() if wrong), None)


class Pix2pixTask:
    """U-Net and PatchGAN, one step each; see `train.task.Task`."""

    averaged = "generator"

    def __init__(
        self, settings: Pix2pixSettings, sources: list[Tensor], maker: Maker | None, engine: Engine, seed: int
    ) -> None:
        s = settings
        self._settings, self._sources, self._maker, self._engine, self._seed = s, sources, maker, engine, seed
        generator = UNet(s.size_px, s.width, s.scale, s.dropout_px, s.noise, s.statistics)
        discriminator = PatchDiscriminator(s.patch_px, s.critic_width)
        self._begun = {} if s.init_from is None else begin_with(s.init_from, generator, discriminator)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        self.phases = [
            Phase(
                name,
                (name,),
                torch.optim.Adam(self.nets[name].parameters(), s.learning_rate, (s.beta1, 0.999), fused=True),
            )
            for name in ("discriminator", "generator")
        ]

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        s = self._settings
        # File names only: a model is given away, and paths tell of its maker's folders.
        plain = {name: value.name if isinstance(value, Path) else value for name, value in asdict(s).items()}
        plain["how"] = Path(s.how).name if ".py:" in s.how else s.how
        plain["dropout_px"] = list(s.dropout_px)
        return plain | {"task": "pix2pix", "pictures": len(self._sources)}

    def batch(self, position: int, count: int) -> Batch:
        """{"given": (count, 3, window, window), "wanted": (count, 3, size, size)}."""
        return self._pairs(range(position, position + count), self._seed, self._settings.jitter)

    def _pairs(self, places: range, seed: int, jitter: Jitter) -> Batch:
        s = self._settings
        pairs = [pair_at(self._sources, place, seed, jitter, self._maker, s.reverse) for place in places]
        given = torch.stack([a for a, _ in pairs])[:, :, :: s.scale, :: s.scale]  # all pixels of a square are alike
        return {"given": given, "wanted": torch.stack([b for _, b in pairs])}

    def forward(self, batch: Batch, step: int) -> Batch:
        """One set of made pictures, used by both phases."""
        return {"fake": self.nets["generator"](batch["given"])}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Non-saturating losses, halved for the discriminator, and the weighted L1."""
        s, discriminator = self._settings, self.nets["discriminator"]
        given, wanted, fake = batch["given"], batch["wanted"], made["fake"]
        if phase == "discriminator":
            real_logits, fake_logits = discriminator(wanted, given), discriminator(fake.detach(), given)
            loss = non_saturating_discriminator(real_logits, fake_logits) / 2
            return loss, {"loss": loss, "real": real_logits.float().mean(), "fake": fake_logits.float().mean()}
        l1 = (fake.float() - wanted).abs().mean()
        adversarial = non_saturating_generator(discriminator(fake, given))
        loss = s.l1_weight * l1 + s.gan_weight * adversarial
        return loss, {"loss": loss, "l1": l1, "adversarial": adversarial}

    def preview(self, averaged: nn.Module) -> Tensor:
        """Four pairs of the training stream: what is given, what is made, truth."""
        still = Jitter(self._settings.size_px, self._settings.jitter.load_px, flip=False)
        pairs = self._pairs(range(_SHOWN), self._seed + 1, still)
        seeds = torch.arange(_SHOWN) if self._settings.noise else None
        finished = self._finished(averaged)
        with torch.inference_mode(), self._engine.autocast():
            made = finished(pairs["given"].to(self._engine.device), seeds).float().cpu()
        rows = [enlarge_blocks(pairs["given"], self._settings.scale), made, pairs["wanted"]]
        return picture_grid(torch.stack(rows, dim=1).flatten(0, 1), columns=6)

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The averaged U-Net, as an upscaler when it undoes pixels, and the discriminator as critic."""
        save_model(
            path,
            "translator" if self._settings.scale == 1 else "upscaler",
            self._finished(averaged),
            self.nets["discriminator"],
            progress | {"task": "pix2pix", "begun_from": self._begun},
        )

    def _finished(self, averaged: nn.Module) -> nn.Module:
        """With running averages that belong to the averaged weights, where batch norm will go by them."""
        if self._settings.statistics != "running":
            return averaged
        finished = copy.deepcopy(averaged)
        assert isinstance(finished, UNet)
        places = [range(place, place + 8) for place in range(0, _CALIBRATING, 8)]
        inputs = [self._pairs(eight, self._seed + 1, self._settings.jitter)["given"] for eight in places]
        self._engine.seed_step(-2)  # dropout is on: the same numbers whenever the model is written
        with self._engine.autocast():
            calibrate_batch_norm(finished, [given.to(self._engine.device) for given in inputs])
        return finished


def make_pix2pix_task(
    data: list[Path], settings: Pix2pixSettings, seed: int, on_skip: OnSkip
) -> Callable[[Engine], Pix2pixTask]:
    """Decode the folders once (what cannot be used goes to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    maker = None if settings.how in _READY_MADE else maker_named(settings.how, settings.size_px, _READY_MADE)
    load_px, least_px = settings.jitter.load_px, settings.size_px if settings.scale > 1 else _LEAST_PX
    if settings.how == "combined":
        sources = load_combined(data, load_px, least_px, on_skip)
    elif settings.how == "folders":
        assert settings.inputs is not None
        sources = load_folders(settings.inputs, data, load_px, least_px, on_skip)
    elif settings.how == "guide":
        sources = load_guided(data, FaceGuide(), load_px, least_px, on_skip)
    else:
        sources = load_pictures(data, load_px, least_px, on_skip)
        pair_at(sources, 0, seed, settings.jitter, maker)  # a maker that fails is better known before the run begins
    return lambda engine: Pix2pixTask(settings, sources, maker, engine, seed)


def _either(choices: Any) -> str:
    return ", ".join(map(str, choices))
