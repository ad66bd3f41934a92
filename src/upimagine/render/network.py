"""Calls to a network in batches: side by side on a processor, timed, and smaller when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.memory import is_out_of_memory
from upimagine.render.threads import single_threads

#: On a processor larger batches are no faster, and leave a lane idle for longer at the end.
_MOST_A_LANE = 4


class NetworkCalls:
    """Runs a network over many items, at most ``batch`` of them at once, and adds up the time it takes.

    On a processor the calls run side by side, as many as torch has threads, each with one thread to itself: on two
    cores that is 1.2 to 1.8 times as fast as two threads a call, which wait for each other at every layer. Leave by
    ``with``, or by `close`.
    """

    def __init__(self, batch: int, device: torch.device) -> None:
        self.batch = batch
        """Most items at once; halved for good whenever memory runs out."""
        self.out_of_memory = False
        """Whether one item alone did not fit."""
        self._device = device
        self._inside = _TimeInside()
        self._lanes = min(torch.get_num_threads(), batch) if device.type == "cpu" else 1
        self._pool = single_threads(self._lanes) if self._lanes > 1 else None

    @property
    def seconds(self) -> float:
        """Time so far during which a network was at work."""
        return self._inside.seconds

    def close(self) -> None:
        """Let the threads go. May be called twice."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        count: int,
        call: Callable[[slice], Tensor],
        store: Callable[[slice, Tensor], None],
        name: Callable[[int], str],
        at_once: int | None = None,
    ) -> None:
        """Give every item to ``call`` once, and its result to ``store``. name(i) tells items in messages.

        Both may run in several threads at once, each for items of its own. Out of memory halves the batch and tries
        the same items again, one call at a time; raises UpimagineError when one item alone does not fit. Once the batch
        is below the number of threads, calls no longer run side by side. at_once: never more items a call. Other errors
        rise unchanged, those of the first items first. Batches are as even as can be, to waste no call on a left-over
        item.
        """
        waiting = [slice(0, count)]
        if self._pool is not None and self.batch >= self._lanes:
            batches = _evenly(count, min(_MOST_A_LANE, self.batch // self._lanes, at_once or count))
            futures = [self._pool.submit(self._attempt, items, call, store) for items in batches]
            try:
                waiting = [items for items, future in zip(batches, futures, strict=True) if not future.result()]
            except BaseException:
                _settle(futures)
                raise
            if waiting:
                self.batch = max(1, self.batch // 2)
        for items in waiting:
            self._one_after_another(items, call, store, name, at_once or count)

    def _one_after_another(
        self,
        items: slice,
        call: Callable[[slice], Tensor],
        store: Callable[[slice, Tensor], None],
        name: Callable[[int], str],
        at_once: int,
    ) -> None:
        start = items.start
        while start < items.stop:
            size = _evenly(items.stop - start, min(self.batch, at_once))[0].stop
            if self._attempt(slice(start, start + size), call, store):
                start += size
            elif size > 1:
                self.batch = (size + 1) // 2
            else:
                self.out_of_memory = True
                raise UpimagineError(
                    f"out of memory on {name(start)}, one tile at a time: "
                    "close other programs, or use a smaller model or another device"
                )

    def _attempt(self, items: slice, call: Callable[[slice], Tensor], store: Callable[[slice, Tensor], None]) -> bool:
        """Whether it fitted into memory. Returns only after the error has let go of its tensors."""
        output = self._output(items, call)
        if output is None:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            return False
        store(items, output)
        return True

    def _output(self, items: slice, call: Callable[[slice], Tensor]) -> Tensor | None:
        try:
            with self._inside, torch.inference_mode():
                output = call(items)
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)  # calls return before the work is done
            return output
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        return None


class _TimeInside:
    """Seconds during which at least one thread was inside the ``with`` block."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._count, self._since = 0, 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._count == 0:
                self._since = time.perf_counter()
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self.seconds += time.perf_counter() - self._since


def _evenly(count: int, most: int) -> list[slice]:
    """So many items in as few pieces as go, of at most `most`, as even as can be."""
    pieces: list[slice] = []
    start = 0
    while start < count:
        calls_left = -(-(count - start) // most)
        size = -(-(count - start) // calls_left)
        pieces.append(slice(start, start + size))
        start += size
    return pieces


def _settle(futures: list[Future[bool]]) -> None:
    """Wait until none of them runs any more; what has not begun never will."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()
