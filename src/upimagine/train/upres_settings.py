"""The knobs of a J-net's training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from upimagine.losses.perceptual import Distance
from upimagine.nets.jnet import EXTENTS, Consistency, Norm, UpStep

GuideKind = Literal["face", "face-channels", "edges", "raster", "raster-channels", "none"]
_LOW_PX = (64, 128, 256)


@dataclass(frozen=True)
class UpresSettings:
    """What is particular to a J-net."""

    # face: landmarks drawn in colours; face-channels: a channel a feature; edges: lines, one channel; raster: files of
    # your own (--guides); raster-channels: the same, a channel for each flat colour
    guide: GuideKind = "face"
    guides: Path | None = None  # folder of guide rasters, under the names of their pictures
    width: float = 0.5  # of the J-net; 1 is the seed's size (40.6M parameters), 0.5 a quarter of it
    up: UpStep = "deconv"  # deconv (the seed's), or resize: nearest x2 and a convolution
    norm: Norm = "none"  # none (the seed's) or batch, in the J-net; the discriminator always has batch norm
    residual_blocks: int = 0  # further convolutions at extents 16 to 128; begin as nothing, so go with --init-from
    dropout_px: tuple[int, ...] = ()  # extents of the decoder's maps with dropout, as noise; 2 4 8 is pix2pix's
    noise_channels: int = 0  # maps of noise beside the tile
    low_px: tuple[int, ...] = ()  # extents among 64 128 256 at which the decoder sees the low-res tile again
    critic_width: int = 32  # channels of the discriminator's first layer; 64 is pix2pix's
    consistency: Consistency = "residual"  # none (the seed's), residual, project: see `nets.jnet.JNet`
    learning_rate: float = 2e-4  # of both networks
    beta1: float = 0.5  # Adam's
    gan_weight: float = 1.0  # of the adversarial term
    # of the discriminator's fakes: true pictures beside low-res tiles of others; 0.5 is StackGAN's
    mismatch_share: float = 0.0
    low_res_weight: float = 100.0  # of the L1 between pooled pictures
    l1_weight: float = 0.0  # of the L1 between whole pictures; pix2pix's is 100, with --low-res-weight 0
    laplacian_weights: tuple[float, ...] = ()  # of L1 a level, finest first: 0 0 0 100 is nearly --low-res-weight 100
    feature_matching_weight: float = 0.0  # of the discriminator's maps of made and true pictures; pix2pixHD's is 10
    perceptual_weight: float = 30.0  # of the VGG feature term; needs --perceptual
    # VGG16 or VGG19: safetensors with torchvision's key names, or the file that torchvision serves
    perceptual: Path | None = None
    perceptual_distance: Distance = "unit"  # l1: what is in its place; unit: the right texture, even out of place
    perceptual_crop_px: int = 224  # side of the random crop of each tile that the feature term looks at
    # first without an adversary, plus a plain L1, so that it will meet something like a picture
    warmup_steps: int = 250
    scales: tuple[float, ...] = (1.0,)  # every picture is also shown shrunk by these
    from_stage: Path | None = None  # the model whose pictures will be enlarged, so that it learns from what that makes
    stage_share: float = 0.5  # of the tiles
    stage_pictures: int = 256  # made by --from-stage, if that is a generator
    init_from: Path | None = None  # begin with the weights of this upscaler model

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        if not 0 < self.width <= 4 or self.critic_width < 1 or not 0 < self.learning_rate < 1:
            return "--width must lie in 0 to 4, --critic-width be at least 1, --learning-rate between 0 and 1"
        weights = ("gan_weight", "low_res_weight", "l1_weight", "feature_matching_weight", "perceptual_weight")
        for name in (*weights, "warmup_steps", "residual_blocks", "noise_channels"):
            if not 0 <= getattr(self, name) < math.inf:
                return f"--{name.replace('_', '-')} {getattr(self, name)} cannot work; use 0 or more"
        if not self.scales or not all(0 < scale <= 2 for scale in self.scales):
            return f"--scales {_listed(self.scales)} cannot work; give numbers above 0, up to 2"
        if self.perceptual_crop_px < 16:
            return f"--perceptual-crop-px {self.perceptual_crop_px} is too small; use at least 16"
        checks = {
            f"--dropout-px {_listed(self.dropout_px)} cannot work; choose among {_listed(EXTENTS)}": (
                not set(self.dropout_px) <= set(EXTENTS)
            ),
            f"--low-px {_listed(self.low_px)} cannot work; choose among {_listed(_LOW_PX)}": (
                not set(self.low_px) <= set(_LOW_PX)
            ),
            f"--laplacian-weights {_listed(self.laplacian_weights)} cannot work; give up to 8 numbers of 0 or more": (
                len(self.laplacian_weights) > 8 or not all(0 <= weight < math.inf for weight in self.laplacian_weights)
            ),
            f"--mismatch-share {self.mismatch_share} cannot work; use 0 to 0.9": not 0 <= self.mismatch_share <= 0.9,
            f"--stage-share {self.stage_share} cannot work; use 0 to 1": not 0 <= self.stage_share <= 1,
            f"--stage-pictures {self.stage_pictures} is too small; use at least 1": self.stage_pictures < 1,
            f"--guide {self.guide} needs --guides, a folder of rasters": self.of_files and self.guides is None,
            "--guides goes with --guide raster or raster-channels": not self.of_files and self.guides is not None,
        }
        return next((message for message, wrong in checks.items() if wrong), None)

    @property
    def of_files(self) -> bool:
        """Whether guides are the user's own files."""
        return self.guide in ("raster", "raster-channels")

    def plain(self) -> dict[str, Any]:
        """JSON-able, with file names only: a model is given away, and paths tell of its maker's folders."""
        told = {name: value.name if isinstance(value, Path) else value for name, value in asdict(self).items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _listed(numbers: tuple[float, ...]) -> str:
    return " ".join(map(str, numbers))
