"""Train EnhanceGAN, which makes tiny pictures four times as large, model after model.

    upimagine train enhance --stage a --data PICTURES --out runs/a --perceptual vgg16_relu4_3.safetensors
    upimagine train enhance --stage b --data PICTURES --out runs/b --init-from runs/a/model.safetensors ...
    upimagine train enhance --stage joint --data PICTURES --out runs/c --init-from runs/b/model.safetensors ...

After the EnhanceGAN post (seed 004): features of VGG in place of pixels, codes held to a normal distribution by an
adversary of their own (adversarial autoencoder, 1511.05644), and an adversary on the picture. A is trained alone, B
behind a finished A, and at last A, B and C together, without the adversary on the picture. Weights are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upimagine.data.folder import Decoded, drawn_at, to_float
from upimagine.errors import UpimagineError
from upimagine.losses.adversarial import non_saturating_discriminator, non_saturating_generator
from upimagine.losses.perceptual import Distance, PerceptualLoss
from upimagine.models.file import load_model_file, save_model
from upimagine.nets.enhance import CodeDiscriminator, EnhanceGan, PictureDiscriminator, Stages
from upimagine.nets.vgg import load_vgg16
from upimagine.train.augment import POLICIES, diff_augment
from upimagine.train.begin import origin_of
from upimagine.train.engine import Engine
from upimagine.train.grid import picture_grid
from upimagine.train.squares import decode_squares
from upimagine.train.task import Batch, Phase

Stage = Literal["a", "b", "c", "joint"]
PixelDistance = Literal["l1", "l2"]
_CHAIN: dict[Stage, Stages] = {"a": "a", "b": "ab", "c": "abc", "joint": "abc"}
_TRAINED: dict[Stage, tuple[str, ...]] = {"a": ("a",), "b": ("b",), "c": ("c",), "joint": ("a", "b", "c")}
_JOINT_RATE = 0.1  # of the learning rate, for models that are finished already
_FEATURES = ("relu1_2", "relu2_2", "relu3_3")  # at 32 px the next block is down to 4x4
_LOW_SIZES_PX = (4, 8, 16, 32, 64)
_SHOWN = 8


@dataclass(frozen=True)
class EnhanceSettings:
    """What is particular to EnhanceGAN."""

    stage: Stage = "a"  # a: 8 to 32 px; b: behind a finished A; c: the refiner alone; joint: all three together
    low_px: int = 8  # side of the tiny picture; what is made has four times that
    width: int = 64  # channels of the outermost layers; more inside
    code_dim: int = 128  # numbers in a code
    freeze: tuple[str, ...] = ()  # models that stay as they are, beside those that the stage leaves alone
    learning_rate: float = 2e-4  # of all networks; the joint stage takes a tenth for models that were begun before
    beta1: float = 0.5  # Adam's
    pixel_weight: float = 0.1  # of the distance between pixels
    pixel_distance: PixelDistance = "l1"  # l1: sharper; l2: the mean of all that it could be, the plain yardstick
    perceptual_weight: float = 1.0  # of the VGG16 feature term; needs --perceptual
    perceptual: Path | None = None  # VGG16 features (safetensors, torchvision key names)
    perceptual_distance: Distance = "unit"  # l1: what is in its place; unit: the right texture, even out of place
    code_weight: float = 0.01  # of the adversary on codes
    gan_weight: float = 0.01  # of the adversary on pictures while A or B is trained
    joint_gan_weight: float = 0.0  # … in the stages c and joint; the post has none there
    flip: bool = True  # show mirror images too
    augment: tuple[str, ...] = POLICIES  # DiffAugment's policy for the adversary on pictures
    init_from: Path | None = None  # the chain so far: a model of the stage before, or of this one

    def trained(self) -> tuple[str, ...]:
        """The models whose weights change."""
        return tuple(name for name in _TRAINED[self.stage] if name not in self.freeze)

    def adversary_weight(self) -> float:
        """Weight of the adversary on pictures in this stage."""
        return self.gan_weight if self.stage in ("a", "b") else self.joint_gan_weight

    def problem(self) -> str | None:
        """What is wrong with these settings, in words, or None."""
        weights = ("pixel_weight", "perceptual_weight", "code_weight", "gan_weight", "joint_gan_weight")
        checks = {
            f"--low-px {self.low_px} cannot work; choose one of {', '.join(map(str, _LOW_SIZES_PX))}": (
                self.low_px not in _LOW_SIZES_PX
            ),
            "--width and --code-dim must be at least 1, --learning-rate between 0 and 1": (
                min(self.width, self.code_dim) < 1 or not 0 < self.learning_rate < 1
            ),
            f"--augment {' '.join(self.augment)}: choose among {', '.join(POLICIES)}": not set(self.augment)
            <= set(POLICIES),
            f"--freeze {' '.join(self.freeze)}: choose among a, b and c": not set(self.freeze) <= set("abc"),
            f"--stage {self.stage} with --freeze {' '.join(self.freeze)} leaves nothing to train": not self.trained(),
            "a weight of a loss must be 0 or more": any(not 0 <= getattr(self, name) < math.inf for name in weights),
            f"--stage {self.stage} goes on from the model of the stage before; give it with --init-from": (
                self.stage != "a" and self.init_from is None
            ),
        }
        return next((message for message, wrong in checks.items() if wrong), None)


class EnhanceTask:
    """The chain, an adversary on each trained code and one on the picture; see `train.task.Task`."""

    averaged = "generator"

    def __init__(self, settings: EnhanceSettings, pictures: Decoded, engine: Engine, seed: int) -> None:
        self._settings, self._pictures, self._engine, self._seed = settings, pictures.pictures, engine, seed
        self._data = {"pictures": len(pictures.pictures)}
        chain = EnhanceGan(settings.low_px, settings.width, settings.code_dim, _CHAIN[settings.stage])
        self._begun: dict[str, Any] = {}
        self._old: set[str] = set()  # models that come from an earlier stage
        if settings.init_from is not None:
            self._begun, self._old = _begin(settings.init_from, chain)
        chain.frozen = tuple(name for name in _CHAIN[settings.stage] if name not in settings.trained())
        self.nets: dict[str, nn.Module] = {"generator": chain}
        #: Which of the chain's codes have an adversary.
        self._coded = [name for name in ("a", "b") if name in settings.trained() and settings.code_weight > 0]
        for name in self._coded:
            self.nets[f"code_{name}"] = CodeDiscriminator(settings.code_dim)
        self._judged = settings.adversary_weight() > 0
        if self._judged:
            self.nets["discriminator"] = PictureDiscriminator(chain.high_px, settings.width)
        self.phases = [self._phase(name) for name in self.nets if name != "generator"] + [self._phase("generator")]
        self._perceptual: nn.Module | None = None
        if settings.perceptual is not None and settings.perceptual_weight > 0:
            self._perceptual = engine.place(
                PerceptualLoss(load_vgg16(settings.perceptual), _FEATURES, None, settings.perceptual_distance)
            )

    def _phase(self, name: str) -> Phase:
        s, net = self._settings, self.nets[name]
        gentle = s.learning_rate * (_JOINT_RATE if s.stage == "joint" else 1)
        groups: list[dict[str, Any]] = [{"params": list(net.parameters()), "lr": gentle}]
        if isinstance(net, EnhanceGan):
            # A refiner that begins as nothing would stay next to nothing at a tenth of the rate.
            groups = [
                {
                    "params": list(net.get_submodule(part).parameters()),
                    "lr": gentle if part in self._old else s.learning_rate,
                }
                for part in s.trained()
            ]
        return Phase(name, (name,), torch.optim.Adam(groups, betas=(s.beta1, 0.999), fused=True))

    def settings(self) -> dict[str, Any]:
        """The settings and the number of pictures, for the checkpoint."""
        plain: dict[str, Any] = {
            name: value.name if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self._settings).items()
        }
        return plain | {"task": "enhance"} | self._data

    def batch(self, position: int, count: int) -> Batch:
        """{"high": (count, 3, 4 low, 4 low), "low": (count, 3, low, low)}, mirrored by chance."""
        chosen = []
        for place in range(position, position + count):
            index, random = drawn_at(place, len(self._pictures), self._seed)
            picture = self._pictures[index]
            chosen.append(picture.flip(2) if self._settings.flip and random.random() < 0.5 else picture)
        high = to_float(torch.stack(chosen))
        return {"high": high, "low": F.avg_pool2d(high, high.shape[3] // self._settings.low_px)}

    def forward(self, batch: Batch, step: int) -> Batch:
        """What the chain makes, used by all phases, and the codes that have an adversary."""
        chain = self.nets["generator"]
        assert isinstance(chain, EnhanceGan)
        made = chain.enhance(batch["low"])
        codes = dict(zip(("a", "b"), made.codes, strict=False))
        return {"fake": made.pictures[-1].float()} | {f"code_{name}": codes[name].float() for name in self._coded}

    def loss(self, phase: str, batch: Batch, made: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Features, pixels and the adversaries' word for the chain; for an adversary to tell real from made."""
        s, high, fake = self._settings, batch["high"], made["fake"]
        if phase == "discriminator":
            real = self.nets[phase](diff_augment(high, s.augment))
            return _apart(real, self.nets[phase](diff_augment(fake.detach(), s.augment)))
        if phase != "generator":  # an adversary on codes
            codes = made[phase].detach()
            return _apart(self.nets[phase](torch.randn_like(codes)), self.nets[phase](codes))
        error = fake - high
        pixels = error.abs().mean() if s.pixel_distance == "l1" else error.square().mean()
        loss, plotted = s.pixel_weight * pixels, {"pixels": pixels}
        if self._perceptual is not None:
            plotted["perceptual"] = self._perceptual(fake, high)
            loss = loss + s.perceptual_weight * plotted["perceptual"]
        for name in self._coded:
            plotted[f"code_{name}"] = non_saturating_generator(self.nets[f"code_{name}"](made[f"code_{name}"]))
            loss = loss + s.code_weight * plotted[f"code_{name}"]
        if self._judged:
            plotted["adversarial"] = non_saturating_generator(self.nets["discriminator"](diff_augment(fake, s.augment)))
            loss = loss + s.adversary_weight() * plotted["adversarial"]
        return loss, {"loss": loss} | plotted

    def preview(self, averaged: nn.Module) -> Tensor:
        """Eight training pictures: the tiny one, what each model makes of it, the truth."""
        assert isinstance(averaged, EnhanceGan)
        high = to_float(torch.stack(self._pictures[:_SHOWN])).to(self._engine.device)
        low = F.avg_pool2d(high, high.shape[3] // self._settings.low_px)
        averaged = averaged.eval()
        with torch.inference_mode(), self._engine.autocast():
            made = [picture.float() for picture in averaged.enhance(low).pictures]
        rows = [F.interpolate(low, scale_factor=averaged.scale, mode="nearest"), *made, high]
        return picture_grid(torch.stack(rows, dim=1).flatten(0, 1), columns=len(rows))

    def save_model(self, path: Path, averaged: nn.Module, progress: dict[str, Any]) -> None:
        """The averaged chain; it has no critic that could choose among candidates."""
        save_model(path, "upscaler", averaged, None, progress | {"task": "enhance", "begun_from": self._begun})


def _apart(real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    loss = non_saturating_discriminator(real, fake)
    return loss, {"loss": loss, "real": real.float().mean(), "fake": fake.float().mean()}


def _begin(path: Path, chain: EnhanceGan) -> tuple[dict[str, Any], set[str]]:
    """Take the models that a shorter or equal chain holds; gives back where they came from, and their names."""
    model = load_model_file(path)
    if not isinstance(model.main, EnhanceGan):
        raise UpimagineError(f"--init-from {path} is no EnhanceGAN; give the model of the stage before")
    old = {name: part for name, part in model.main.named_children() if getattr(chain, name, None) is not None}
    missing = [name for name in ("a", "b") if name not in old and name in str(chain.config["stages"])[:-1]]
    if missing:
        raise UpimagineError(f"--init-from {path} has no model {missing[0].upper()}; train that stage first")
    try:
        for name, part in old.items():
            chain.get_submodule(name).load_state_dict(part.state_dict())
    except RuntimeError as error:
        raise UpimagineError(f"--init-from {path} was made with {_told(model.main)}: give the same here") from error
    return origin_of(model), set(old)


def _told(chain: EnhanceGan) -> str:
    config = chain.config
    return f"--low-px {config['low_px']} --width {config['width']} --code-dim {config['code_dim']}"


def make_enhance_task(
    data: list[Path], settings: EnhanceSettings, seed: int, on_skip: Callable[[Path, str], None]
) -> Callable[[Engine], EnhanceTask]:
    """Decode the folders once (unreadable pictures go to `on_skip`) and return what `train.loop.fit` starts from."""
    if problem := settings.problem():
        raise UpimagineError(problem)
    pictures = decode_squares(data, 4 * settings.low_px, on_skip)
    return lambda engine: EnhanceTask(settings, pictures, engine, seed)
