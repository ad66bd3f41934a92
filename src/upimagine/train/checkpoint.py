"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file that is whole or not there."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from upimagine.errors import UpimagineError
from upimagine.pixels.atomic import replacing

FILE_NAME = "checkpoint.pt"
#: What tasks did before it became a setting, which checkpoints of then do not name.
_FORMERLY: dict[str, dict[str, Any]] = {
    "dcgan": {
        "objective": "non-saturating",
        "generator": "dcgan",
        "optimizer": "adam",
        "beta2": 0.999,
        "critic_steps": 1,
        "opening_steps": 1,
        "norm": "batch",
        "generator_norm": "batch",
        "began_skip": True,
        "coarse_weight": 0.0,
        "gamma_every": 1,
        "ada": False,
        "ada_target": 0.6,
        "hold_out": 0.0,
        "held_out": 0,
    },
    "fastgan": {
        "coarse_weight": 0.0,
        "anchor_weight": 0.0,
        "anchor_px": 64,
        "anchor_noise": 0.5,
        "anchor_stretch": 1.0,
        "ada": False,
        "ada_target": 0.6,
        "hold_out": 0.0,
        "held_out": 0,
        "gamma": 0.0,
        "gamma_every": 8,
    },
    "upres": {
        "up": "deconv",
        "norm": "none",
        "residual_blocks": 0,
        "dropout_px": [],
        "noise_channels": 0,
        "low_px": [],
        "mismatch_share": 0.0,
        "l1_weight": 0.0,
        "laplacian_weights": [],
        "feature_matching_weight": 0.0,
        "stage_share": 0.5,
        "stage_pictures": 256,
        "checkerboard": 0.0,
        "levels": 0,
        "jpeg": 0,
    },
}


def save_checkpoint(run: Path, state: dict[str, Any]) -> None:
    """Write `run/checkpoint.pt` whole or not at all: a kill at any instant leaves the old or the new one.

    Raises UpimagineError when the disk is full.
    """
    path = run / FILE_NAME
    with replacing(path, overwrite=True) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's archive writer hides the system's word
            raise UpimagineError(
                f"{path}: could not be written, is the disk full? The checkpoint before it is kept: free some space "
                "and go on with the same command"
            ) from error


def load_checkpoint(run: Path, name: str = FILE_NAME) -> dict[str, Any] | None:
    """The run's checkpoint, or None when it has none. Only tensors and plain values are read, never code.

    Raises UpimagineError for a damaged file.
    """
    path = run / name
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise UpimagineError(f"{path} is damaged ({type(error).__name__}); delete it to begin the run anew") from error
    if not isinstance(state, dict) or "step" not in state:
        raise UpimagineError(f"{path} is not a training checkpoint; choose another --out folder")
    return state


def changed_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names and values of the settings in which a resumed run differs from its checkpoint.

    A setting that is younger than the checkpoint had the value that stands for what was done then, mostly None. Where
    the tasks differ that alone is told: all else follows from it.
    """
    if before.get("task") != now.get("task"):
        return [f"it trains {before.get('task')}, not {now.get('task')}"]
    before = _FORMERLY.get(before.get("task", ""), {}) | before
    names = sorted(set(before) | set(now))
    return [
        f"{name} was {before.get(name)!r}, now {now.get(name)!r}" for name in names if before.get(name) != now.get(name)
    ]
