"""Settle once, for a whole command, where and how networks run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from upimagine.errors import UpimagineError
from upimagine.make.stages import Machine
from upimagine.memory import is_out_of_memory
from upimagine.processor import bf16_is_faster, pick_device


def settle(device: str = "auto", dtype: str = "auto", threads: int = 0) -> Machine:
    """Turn "auto" into what this machine has, and set torch's threads. dtype: auto, float32 or bfloat16."""
    device = pick_device(device)
    if dtype == "auto":
        dtype = "bfloat16" if bf16_is_faster(torch.device(device).type) else "float32"
    torch.set_num_threads(threads or os.cpu_count() or 1)
    return Machine(device, dtype, torch.get_num_threads())


@contextmanager
def memory_told(name: str) -> Iterator[None]:
    """Tell in one line that memory ran out over a picture of that name, wherever that was."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UpimagineError(f"{name}: out of memory; close other programs, or ask for a smaller size") from error
