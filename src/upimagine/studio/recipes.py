"""Recipes inside pictures come from anywhere: what they name is used only where it lies in the opened folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.make.machine import settle
from upimagine.models.builtin import builtin_models
from upimagine.models.loaded import LoadedGenerator, load_generator
from upimagine.recipe import Origin, Resolved
from upimagine.studio.opened import Opened


def model_inside(opened: Opened, picture: Path, name: str | None) -> str | None:
    """A model that a picture's recipe names: built in, or a file inside; None for any other."""
    if name is None or name in builtin_models():
        return name
    path = picture.parent / name
    return str(path.resolve()) if path.is_file() and opened.holds(path) else None


def check_inside(opened: Opened, picture: Path, resolved: Resolved) -> None:
    """Refuse a recipe that reaches out of the folder. Raises UpimagineError."""
    named = [resolved.origin.model] if resolved.origin.model else []
    for done in resolved.enlarge:
        named += [done.stage.model, *done.stage.also]
    for name in named:
        if model_inside(opened, picture, name) is None:
            raise UpimagineError(
                f"the model {name} is not built in and not in the opened folder; open a folder with it"
            )
    source = resolved.origin.picture
    if source is not None and not opened.holds(picture.parent / source):
        raise UpimagineError(f"it was made from {source}, outside the opened folder; open a folder that holds both")


def generator_of(opened: Opened, picture: Path, origin: Origin) -> tuple[str, LoadedGenerator]:
    """The generator that a picture began with, and what loads it.

    Raises:
        UpimagineError: it is not at hand, or another one by now.
    """
    name = model_inside(opened, picture, origin.model)
    if name is None:
        raise UpimagineError("it did not begin with a generator that is built in or in the opened folder")
    machine = settle()
    generator = load_generator(name, machine.device, machine.dtype)
    if origin.model_sha256 not in (None, generator.file.sha256):
        raise UpimagineError(f"the generator {origin.model} here is another one than the one that made it")
    return name, generator


def latent_of(resolved: Resolved) -> Tensor | None:
    """The latent vector (D,) a picture began with; None where it did not."""
    latent = resolved.origin.latent
    return None if latent is None or resolved.origin.model is None else torch.tensor(latent, dtype=torch.float32)
