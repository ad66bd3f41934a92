"""Calls to a network in batches: timed, and with smaller batches when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from upimagine.errors import UpimagineError

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, Metal
    "alloc_failed",  # cuDNN and cuBLAS, as a status
    "can't allocate memory",  # the CPU allocator on Linux and macOS
    "cannot allocate memory",
    "not enough memory",  # the CPU allocator on Windows
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)


class NetworkCalls:
    """Runs a network over many items, at most ``batch`` of them at once, and adds up the time it takes."""

    def __init__(self, batch: int, device: torch.device) -> None:
        self.batch = batch
        """Most items in a call; halved for good whenever memory runs out."""
        self.seconds = 0.0
        """Time spent inside the network so far."""
        self.out_of_memory = False
        """Whether one item alone did not fit."""
        self._device = device

    def run(
        self,
        count: int,
        call: Callable[[slice], Tensor],
        store: Callable[[slice, Tensor], None],
        name: Callable[[int], str],
    ) -> None:
        """Give every item to ``call`` once, in order, and its result to ``store``. name(i) tells items in messages.

        Out of memory halves the batch and tries the same items again; raises UpimagineError when one item alone does
        not fit. Other errors of the network rise unchanged. Batches are as even as can be, to waste no call on a
        left-over item.
        """
        start = 0
        while start < count:
            calls_left = -(-(count - start) // self.batch)
            size = -(-(count - start) // calls_left)
            items = slice(start, start + size)
            output = self._attempt(call, items)
            if output is None:
                if size == 1:
                    self.out_of_memory = True
                    raise UpimagineError(
                        f"out of memory on {name(start)}, one tile at a time: "
                        "close other programs, or use a smaller model or another device"
                    )
                self.batch = (size + 1) // 2
                continue
            store(items, output)
            start += size

    def _attempt(self, call: Callable[[slice], Tensor], items: slice) -> Tensor | None:
        """The result, or None when memory ran out. Returns only after the error has let go of its tensors."""
        started = time.perf_counter()
        try:
            with torch.inference_mode():
                output = call(items)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)  # calls return before the work is done
            return output
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        finally:
            self.seconds += time.perf_counter() - started
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None
