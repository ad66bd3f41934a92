"""Memory that runs out is an error that can be mended, not the end of the process."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, Metal
    "alloc_failed",  # cuDNN and cuBLAS, as a status
    "can't allocate memory",  # the CPU allocator on Linux and macOS
    "cannot allocate memory",
    "not enough memory",  # the CPU allocator on Windows
    "bad_alloc",  # C++ libraries, oneDNN among them
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)


class MemoryBound:
    """Inside, before each layer of a network, MemoryError is raised once this process has grown by three quarters of
    its share of the memory that was free when the bound was made.

    Linux promises more than there is and then kills whoever uses it; a process that is killed can mend nothing. The
    last quarter is for what the layer itself takes, for gradients and for the optimiser. A limit that the system
    enforces (RLIMIT_DATA) was tried first: oneDNN crashes when it gets nothing. On other systems, and on devices with
    memory of their own, nothing is changed.

    Args:
        device: where networks run.
        processes: that share the memory.
    """

    def __init__(self, device: torch.device, processes: int = 1) -> None:
        free = _free_bytes() if device.type == "cpu" else None
        self._share = None if free is None else free // processes
        self._most = 0 if self._share is None else _resident_bytes() + self._share * 3 // 4
        self._watch: RemovableHandle | None = None

    def __enter__(self) -> Self:
        if self._share is not None:
            self._watch = register_module_forward_pre_hook(self._check)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.remove()

    def _check(self, layer: nn.Module, inputs: object) -> None:
        if self._share is not None and _resident_bytes() > self._most:
            raise MemoryError(f"{self._share >> 20} MiB were free when training began")


def give_back() -> None:
    """Return freed memory to the system, which the C library else keeps for a smaller attempt that may not need it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim is not None:
            trim(0)


def _free_bytes() -> int | None:
    """Memory and swap that are free, or None where the system does not say."""
    table = Path("/proc/meminfo")
    if sys.platform != "linux" or not table.exists():
        return None
    rows = dict(line.split(":", 1) for line in table.read_text().splitlines())
    free = sum(_kib(rows[name]) * 1024 for name in ("MemAvailable", "SwapFree") if name in rows)
    group = Path("/sys/fs/cgroup")  # of a container
    if (limit := group / "memory.max").exists() and (most := limit.read_text().strip()).isdecimal():
        free = min(free, max(0, int(most) - int((group / "memory.current").read_text())))
    return free


def _resident_bytes() -> int:
    """What of this process lies in memory; some microseconds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _kib(text: str) -> int:
    return int(text.split(maxsplit=1)[0])
