"""Which class each training picture belongs to, out of what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from upimagine.data.folder import Decoded
from upimagine.data.found import Label
from upimagine.errors import UpimagineError

PLAIN = "class"
"""In place of a name: the label itself, where it is a plain name or number."""
_MOST = 1000


def classed(pictures: Decoded, key: str, on_skip: Callable[[Path, str], None]) -> tuple[Decoded, tuple[str, ...]]:
    """The pictures that have a class, their labels now its number, and the names of all classes, sorted.

    Args:
        pictures: as they were read; those of which nothing such is said go to `on_skip`.
        key: what is said is a table: the name in it (of labels.jsonl, or of a catalog's labels). `PLAIN`: the label
            itself, which is the folder's name, the number in dataset.json, or the .cls file's content.

    Raises UpimagineError when that makes fewer than two classes, or as good as one for each picture.
    """
    named = [_name(label, key) for label in pictures.labels]
    names = tuple(sorted({name for name in named if name is not None}))
    if len(names) < 2:
        known = sorted({name for label in pictures.labels if isinstance(label, dict) for name in label})
        about = f"; what is said about them is {', '.join(known)}" if known else "; nothing is said about them"
        about = "" if key == PLAIN and names else about
        raise UpimagineError(
            f"--labels {key} tells {len(names)} class{'es' * (len(names) != 1)} apart in {len(named)} pictures, two "
            f"are needed{about}"
        )
    if len(names) > min(_MOST, len(named) // 2):
        raise UpimagineError(
            f"--labels {key} has {len(names)} values in {len(named)} pictures, too many to learn each; choose another"
        )
    kept = [index for index, name in enumerate(named) if name is not None]
    for index in sorted(set(range(len(named))) - set(kept)):
        on_skip(pictures.paths[index], f"{pictures.paths[index]} has no label {key}; passed over")
    place = {name: number for number, name in enumerate(names)}
    numbers: list[Label] = [place[name] for name in named if name is not None]
    chosen = [pictures.pictures[index] for index in kept]
    return Decoded(chosen, numbers, [pictures.paths[index] for index in kept], pictures.skipped), names


def _name(label: Label, key: str) -> str | None:
    if key != PLAIN:
        label = label.get(key) if isinstance(label, dict) else None
    if isinstance(label, bool):
        return "yes" if label else "no"
    if isinstance(label, int | float):
        return f"{label:g}"
    return label.strip() or None if isinstance(label, str) else None


def with_classes(latents: Tensor, numbers: Tensor, classes: int) -> Tensor:
    """(N, L) and the classes' numbers (N,) int64 to latents (N, L + classes) of a generator that knows classes."""
    chosen = torch.nn.functional.one_hot(numbers, classes).to(latents.dtype)
    return torch.cat((latents, chosen), dim=1)
