"""What this processor does fastest, found by trying it once in a process."""

from __future__ import annotations

import functools
import time

import torch

from upimagine.errors import UpimagineError


@functools.cache
def bf16_is_faster(device_type: str = "cpu") -> bool:
    """Whether bfloat16 matrix products run at least 1.3x as fast as float32 here; about 50 ms, once in a process.

    Processors without AVX-512 BF16 or AMX emulate bfloat16 and are slower with it. GPUs: as the driver reports.
    """
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.ones(512, 512, dtype=dtype)
        rounds = []
        for _ in range(6):  # the first ones warm up; the best one is the least disturbed
            start = time.perf_counter()
            _ = left @ left
            rounds.append(time.perf_counter() - start)
        times[dtype] = min(rounds)
    return times[torch.float32] > 1.3 * times[torch.bfloat16]


def pick_device(name: str = "auto") -> str:
    """ "auto" is the GPU when there is one, else the CPU; other names are torch's (cpu, cuda, cuda:1, mps).

    Raises UpimagineError for a name that torch does not know and for a device that is not here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise UpimagineError(f"device {name!r} is unknown; choose auto, cpu, cuda or mps") from error
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(kind, False):
        raise UpimagineError(f"device {name!r} is not here, or this PyTorch cannot use it; choose auto or cpu")
    return name
