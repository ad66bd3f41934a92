"""Settle once, for a whole command, where and how networks run."""

from __future__ import annotations

import os

import torch

from upimagine.make.stages import Machine
from upimagine.processor import bf16_is_faster, pick_device


def settle(device: str = "auto", dtype: str = "auto", threads: int = 0) -> Machine:
    """Turn "auto" into what this machine has, and set torch's threads. dtype: auto, float32 or bfloat16."""
    device = pick_device(device)
    if dtype == "auto":
        dtype = "bfloat16" if bf16_is_faster(torch.device(device).type) else "float32"
    torch.set_num_threads(threads or os.cpu_count() or 1)
    return Machine(device, dtype, torch.get_num_threads())
