"""Latent vectors: drawn by seed and number, held within bounds, near another one, and kept in a file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from upimagine import pixels
from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import write_bytes
from upimagine.recipe import parse_resolved

SUFFIX = ".safetensors"
_KEY = "upimagine-latents"


@dataclass(frozen=True)
class Latents:
    """Vectors and how they came to be."""

    vectors: Tensor  # (N, latent_dim)
    seed: int  # they are the first N numbers of this seed
    model_sha256: str  # of the generator's file
    truncation: float | None = None


def latent(seed: int, index: int, latent_dim: int, truncation: float | None = None) -> Tensor:
    """The latent vector (latent_dim,) with this number of this seed: the same in any batch and order.

    With `truncation` every component beyond it is drawn again until none is (the truncation trick of BigGAN, Brock et
    al. 2018, 1809.11096): more usual pictures, less variety.
    """
    # numpy mixes both numbers into its state; torch's CPU generator would look at the lowest 32 bits of a seed alone.
    random = np.random.default_rng((seed, index))
    vector = random.standard_normal(latent_dim, dtype=np.float32)
    while truncation is not None and (beyond := np.abs(vector) > truncation).any():
        vector[beyond] = random.standard_normal(int(beyond.sum()), dtype=np.float32)
    return torch.from_numpy(vector)


def near(vector: Tensor, apart: float, seed: int, index: int) -> Tensor:
    """A vector like (latent_dim,): `apart` is 0 for itself, 1 for one that has nothing to do with it.

    Both are normal, and so is what comes out, as long as theirs on average.
    """
    return vector * math.sqrt(1 - apart**2) + apart * latent(seed, index, len(vector))


def write_latents(path: Path, latents: Latents, overwrite: bool) -> None:
    """One safetensors file, whole or not at all, in which nothing can be executed."""
    told = {"seed": latents.seed, "model_sha256": latents.model_sha256, "truncation": latents.truncation}
    write_bytes(path, save({"latents": latents.vectors.contiguous()}, {_KEY: json.dumps(told)}), overwrite=overwrite)


def read_latents(path: Path) -> Latents:
    """Back from `write_latents`. Raises UpimagineError naming the file when it is none."""
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[_KEY])
            vectors = file.get_tensor("latents").float()
        if vectors.dim() != 2 or not vectors.isfinite().all():
            raise ValueError
        truncation = told["truncation"]
        seed, model = int(told["seed"]), str(told["model_sha256"])
        return Latents(vectors, seed, model, None if truncation is None else float(truncation))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UpimagineError(
            f"{path} is no file of latents; name a latents{SUFFIX} that `sample` has written"
        ) from error


def vectors_of(path: Path, numbers: tuple[int, ...]) -> tuple[Tensor, str]:
    """Latents (N, latent_dim) of a file that `sample` wrote, or the one in a picture's recipe, and the model's hash.

    `numbers` chooses among those of a file; all when there are none. Raises UpimagineError when there is nothing such.
    """
    if path.suffix == SUFFIX:
        latents = read_latents(path)
        if any(not 0 <= number < len(latents.vectors) for number in numbers):
            raise UpimagineError(
                f"{path} holds the numbers 0 to {len(latents.vectors) - 1}; choose --numbers among them"
            )
        return latents.vectors[list(numbers)] if numbers else latents.vectors, latents.model_sha256
    text = pixels.read_recipe(path)
    origin = None if text is None else parse_resolved(text, str(path)).origin
    if origin is None or origin.latent is None:
        raise UpimagineError(f"{path} did not begin with a generator; name a picture that did, or a latents{SUFFIX}")
    return torch.tensor([origin.latent]), origin.model_sha256 or ""
