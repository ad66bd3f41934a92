"""Model files as the roles that the rest of the house works with."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from upimagine.errors import UpimagineError
from upimagine.models.builtin import find
from upimagine.models.file import ModelFile, load_model_file
from upimagine.models.noise import seeds_of
from upimagine.nets.classes import labelled
from upimagine.nets.jnet import JNet
from upimagine.nets.pggan import PgganGenerator
from upimagine.nets.pix2pix import UNet
from upimagine.nets.stack import StackGenerator
from upimagine.processor import bf16_is_faster, pick_device


class _Placed:
    """A network on its device, in its number format."""

    def __init__(self, net: nn.Module, device: str, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._net = net.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, *inputs: Tensor) -> Tensor:
        placed = (
            x.to(self._device, memory_format=torch.channels_last) if x.dim() == 4 else x.to(self._device)
            for x in inputs
        )
        with torch.inference_mode():
            return self._net(*placed)  # type: ignore[no-any-return]


class LoadedCritic:
    """A discriminator as roles.Critic: the mean logit of each picture, in evaluation mode, so that batch mates do not
    count."""

    def __init__(self, net: nn.Module, device: str, dtype: torch.dtype) -> None:
        self._net = _Placed(net, device, dtype)

    def score(self, pictures: Tensor, context: Tensor | None = None) -> Tensor:
        """(N, 3, H, W), with the low-res tiles and guide for a conditional critic, to (N,)."""
        logits = self._net(pictures) if context is None else self._net(pictures, context)
        return logits.float().flatten(1).mean(dim=1)


class LoadedGenerator:
    """A generator model as roles.Generator."""

    def __init__(self, file: ModelFile, device: str, dtype: torch.dtype) -> None:
        self.file = file
        self.latent_dim = int(file.main.latent_dim)  # type: ignore[arg-type]
        self.size_px = int(file.main.size_px)  # type: ignore[arg-type]
        #: Names of the classes that it knows, none if it was trained without labels.
        self.classes: tuple[str, ...] = tuple(getattr(file.main, "classes", ()))
        self.critic = None if file.critic is None else LoadedCritic(file.critic, device, dtype)
        self._net, self._device = _Placed(file.main, device, dtype), device

    @property
    def truncates(self) -> bool:
        """Whether `generate` can pull pictures to the usual ones; others want their latents held within bounds."""
        net = self.file.main
        return isinstance(net, PgganGenerator) or (isinstance(net, StackGenerator) and net.truncates)

    def of_class(self, vector: Tensor, name: str) -> Tensor:
        """A latent (latent_dim,) that means the class of this name, otherwise the same. Raises UpimagineError for an
        unknown name."""
        if not self.classes:
            raise UpimagineError(f"{self.file.path.name} was trained without labels; leave --label away")
        if name not in self.classes:
            known = ", ".join(self.classes[:20]) + ", …" * (len(self.classes) > 20)
            raise UpimagineError(f"{self.file.path.name} knows no label {name!r}; choose one of {known}")
        return labelled(vector, len(self.classes), self.classes.index(name))

    def class_of(self, vector: Tensor) -> str | None:
        """Name of the class that a latent (latent_dim,) means; None where there are no classes."""
        return self.classes[int(vector[-len(self.classes) :].argmax())] if self.classes else None

    def generate(self, latents: Tensor, truncation: float = 1.0) -> Tensor:
        """(N, latent_dim) to (N, 3, size_px, size_px) in [-1, 1].

        `truncation` from 1, not at all, to 0, all alike, for generators that can; ValueError for others.
        """
        if truncation == 1:
            return self._net(latents)
        net = self.file.main
        if not isinstance(net, PgganGenerator | StackGenerator) or not self.truncates:
            raise ValueError("this generator's latents are held within bounds instead")
        with torch.inference_mode():
            return net.truncated(latents.to(self._device), truncation)


def _noise(file: ModelFile, tiles: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
    """What a network with noise wants beside (N, C, h, w): seeds (N,), told by each tile. Nothing for others."""
    return (seeds_of(tiles, seed),) if isinstance(file.main, UNet | JNet) and file.main.noise else ()


class LoadedUpscaler:
    """An upscaler model as roles.Upscaler.

    Where dropout is the network's noise, a tile itself says what is dropped: candidates that differ in anything, grain
    say, are invented differently, and each comes again whenever its tile does.
    """

    radius_px: int | None = None  # J-net and U-Net see their whole tile
    align_px = 1

    def __init__(self, file: ModelFile, device: str, dtype: torch.dtype) -> None:
        self.file = file
        self.scale = int(file.main.scale)  # type: ignore[arg-type]
        self.window_px = int(file.main.window_px)  # type: ignore[arg-type]
        self.guide_channels = int(file.main.guide_channels)  # type: ignore[arg-type]
        told = file.story.get("settings", {})
        usual = {0: "none", 3: "face", 6: "face-channels"}.get(self.guide_channels, "raster")
        #: What is drawn behind the colours: face, face-channels, edges, raster, raster-channels or none.
        self.guide_kind = str(told.get("guide", usual)) if self.guide_channels else "none"
        #: Colours of the guide's channels, where each has one of its own.
        self.guide_palette = tuple((int(r), int(g), int(b)) for r, g, b in told.get("guide_palette") or ()) or None
        self.critic = None if file.critic is None else LoadedCritic(file.critic, device, dtype)
        self._net = _Placed(file.main, device, dtype)

    def upscale(self, tiles: Tensor) -> Tensor:
        """(N, 3 + guide_channels, w, w) to (N, 3, scale * w, scale * w) in [-1, 1]."""
        return self._net(tiles, *_noise(self.file, tiles))


class LoadedTranslator:
    """A translator model as roles.Translator; its noise, if it has any, is told by picture and seed."""

    def __init__(self, file: ModelFile, device: str, dtype: torch.dtype) -> None:
        self.file = file
        self.window_px = int(file.main.window_px)  # type: ignore[arg-type]
        self._net = _Placed(file.main, device, dtype)

    def translate(self, tiles: Tensor, seed: int = 0) -> Tensor:
        """(N, 3, window_px, window_px) to the same shape, in [-1, 1]."""
        return self._net(tiles, *_noise(self.file, tiles, seed))


Loaded = LoadedGenerator | LoadedUpscaler | LoadedTranslator
_ROLES: dict[str, Any] = {"generator": LoadedGenerator, "upscaler": LoadedUpscaler, "translator": LoadedTranslator}
_DOES = {
    LoadedGenerator: "makes pictures",
    LoadedUpscaler: "enlarges pictures",
    LoadedTranslator: "translates pictures",
}


def load(model: str | Path, device: str = "auto", dtype: str = "auto") -> Loaded:
    """Load a built-in model by name or a model file by path.

    `dtype` is "float32", "bfloat16" or "auto": bfloat16 where this processor is faster with it. The same model is
    loaded once in a process, and anew when its file has changed. Raises UpimagineError for an unknown name or a file
    that is not a sound model.
    """
    device = pick_device(device)
    if dtype == "auto":
        dtype = "bfloat16" if bf16_is_faster(torch.device(device).type) else "float32"
    path = find(model)
    status = path.stat() if path.is_file() else None
    stamp = None if status is None else (status.st_size, status.st_mtime_ns)
    return _load(path, stamp, device, dtype)


@functools.lru_cache(maxsize=8)
def _load(path: Path, stamp: tuple[int, int] | None, device: str, dtype: str) -> Loaded:
    file = load_model_file(path)
    kind = _ROLES.get(file.role)
    if kind is None:
        raise UpimagineError(f"{path} has the role {file.role!r}, which this version does not know; update upimagine")
    loaded: Loaded = kind(file, device, getattr(torch, dtype))
    return loaded


def load_generator(model: str | Path, device: str = "auto", dtype: str = "auto") -> LoadedGenerator:
    """`load`, refusing models of another role."""
    loaded = load(model, device, dtype)
    if not isinstance(loaded, LoadedGenerator):
        raise UpimagineError(f"{model} {_DOES[type(loaded)]}; a model that makes them is needed here, as portrait-128")
    return loaded


def load_upscaler(model: str | Path, device: str = "auto", dtype: str = "auto") -> LoadedUpscaler:
    """`load`, refusing models of another role."""
    loaded = load(model, device, dtype)
    if not isinstance(loaded, LoadedUpscaler):
        raise UpimagineError(f"{model} {_DOES[type(loaded)]}; a model that enlarges them is needed here, as detail-x8")
    return loaded


def load_translator(model: str | Path, device: str = "auto", dtype: str = "auto") -> LoadedTranslator:
    """`load`, refusing models of another role."""
    loaded = load(model, device, dtype)
    if not isinstance(loaded, LoadedTranslator):
        raise UpimagineError(
            f"{model} {_DOES[type(loaded)]}; a model that translates them is needed here (upimagine train pix2pix)"
        )
    return loaded
